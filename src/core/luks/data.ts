/** @module The plaintext of an image, a piece at a time. */
import type { AesModes } from './aes.ts';
import { type Disk, readExactly } from './disk.ts';
import { cryptSectors } from './sectors.ts';
import type { DataSegment } from './segment.ts';

/** Bytes; a multiple of every sector size. */
const PIECE = 1 << 20;

/** Yields the decrypted data in order. Throws `format` when the disk ends before the segment does, `io`. */
export async function* readPlaintext(
  disk: Disk,
  segment: DataSegment,
  volumeKey: Uint8Array,
  aes: AesModes,
): AsyncGenerator<Uint8Array> {
  const format = { ...segment, key: volumeKey };
  for (let at = 0; at < segment.size; at += PIECE) {
    const size = Math.min(PIECE, segment.size - at);
    const cipher = await readExactly(disk, segment.offset + at, size, 'the data');
    yield cryptSectors('decrypt', format, cipher, at / 512, aes);
  }
}
