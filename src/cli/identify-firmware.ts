/** @module The firmware that `identify` is given. */
import { BootsealError } from '../core/errors.ts';
import type { BelievedFirmware } from '../core/identify/firmware-candidates.ts';
import { readFirmware } from './firmware-input.ts';
import type { Io } from './io.ts';

/** Each image is held up to three times, and again in each thread; bytes. */
const MOST_BYTES = 512 << 20;

/** Reads each firmware once, under whatever names it is given; throws `usage` for more than `most` bytes of images, and as readFirmware. */
export async function believedFirmware(
  io: Io,
  names: readonly string[],
  most = MOST_BYTES,
): Promise<readonly BelievedFirmware[]> {
  const first = new Map<string, BelievedFirmware>();
  let bytes = 0;
  for (const name of names) {
    const { hashed, ...measured } = await readFirmware(io, name);
    const { sha256 } = hashed;
    if (first.has(sha256)) continue;
    bytes += measured.image?.length ?? 0;
    if (bytes > most) {
      throw new BootsealError(
        'usage',
        `--firmware: more than ${most} bytes of images in all, which are held in memory`,
        {
          hint: 'search several times, each time with some of the firmware',
        },
      );
    }
    first.set(sha256, { name, ...measured });
  }
  return [...first.values()];
}
