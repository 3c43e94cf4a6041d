/** @module How a file is packed, told by its first bytes. */
import { BootsealError } from '../errors.ts';

/** A way in which archives are compressed here. */
export type Packing = 'none' | 'gzip' | 'zstd';

const SIGNATURES: readonly (readonly [string, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
  ['qcow2', [0x51, 0x46, 0x49, 0xfb]],
];

/**
 * Says how what begins with these bytes is packed.
 *
 * @throws `usage` for what is packed in a way that is not read here: encrypted as it is, nothing in the guest could use it
 */
export function packingOf(start: Uint8Array, name: string): Packing {
  const found = SIGNATURES.find(([, bytes]) => bytes.every((byte, i) => start[i] === byte))?.[0];
  if (found === undefined) return 'none';
  if (found === 'gzip' || found === 'zstd') return found;
  throw new BootsealError('usage', `${name} is packed as ${found}, which is not read here`, {
    hint: found === 'qcow2' ? 'convert it with qemu-img convert -O raw' : 'unpack it first, for instance into --from -',
  });
}
