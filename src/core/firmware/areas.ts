/**
 * @module The areas that a firmware's footer names for what the host adds: whether a platform can put anything there, and whether
 * it stays as it was measured.
 */
import { BootsealError } from '../errors.ts';
import type { Area, Firmware } from './firmware.ts';
import { isOutsideMemory, NO_MEMORY } from './guest-memory.ts';

/** Where an image lies, and what the host puts beside it for a kernel; `size` is 0 where a descriptor does not say. */
export type Placed = Pick<Firmware, 'gpa' | 'size' | 'hashArea'>;

/** LAUNCH_UPDATE_DATA and LAUNCH_SECRET take addresses that are multiples of this, bytes (AMD SEV API 55766, 6.3 and 6.6). */
const ALIGNMENT = 16;

const ADVICE = 'the tables of this firmware are damaged or were changed: use another build';

/** Returns `area`; throws `format` when no host could fill it: unaligned, beyond 4 GiB, over the image itself, or where there is no memory. */
export function checkArea(name: 'hash area' | 'secret area', area: Area, image: Placed): Area {
  const { base, size } = area;
  const where = `the firmware's ${name} at 0x${base.toString(16)} with ${size} bytes`;
  if (base % ALIGNMENT !== 0) throw impossible(`${where} does not begin at a multiple of ${ALIGNMENT}`);
  if (base + size > 2 ** 32) throw impossible(`${where} reaches beyond 4 GiB`);
  if (overlap(area, { base: image.gpa, size: image.size })) throw impossible(`${where} lies over the image itself`);
  if (isOutsideMemory(area)) throw impossible(`${where} ${NO_MEMORY}`);
  return area;
}

/**
 * Returns the secret area, or undefined when the firmware has none. Throws `format` when it can hold no secret, or lies over the
 * hash area: a packet there would overwrite what was measured.
 */
export function usableSecretArea(firmware: Placed & Pick<Firmware, 'secretArea'>): Area | undefined {
  const { secretArea, hashArea } = firmware;
  if (secretArea === undefined) return undefined;
  const area = checkArea('secret area', secretArea, firmware);
  if (area.size < ALIGNMENT) throw impossible(`the firmware's secret area has ${area.size} bytes, which hold no table`);
  if (hashArea !== undefined && overlap(area, hashArea)) {
    throw impossible(
      "the firmware's secret area lies over its hash area: a secret would overwrite the measured hashes",
    );
  }
  return area;
}

function overlap(a: Area, b: Area): boolean {
  return a.base < b.base + b.size && b.base < a.base + a.size;
}

function impossible(message: string): BootsealError {
  return new BootsealError('format', message, { hint: ADVICE });
}
