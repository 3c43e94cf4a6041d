/** @module The content of a segment of an initrd, as a stream. */

import { Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import type { Compression } from '../../core/archive/compression.ts';
import { INITRD_AGAIN } from '../../core/archive/cpio.ts';
import type { Segment } from '../../core/archive/segments.ts';
import { BootsealError } from '../../core/errors.ts';
import type { Disk } from '../../core/luks/disk.ts';
import { filterProgram, type Program } from '../program.ts';

/** Bytes that are read at once. */
const PIECE = 1 << 18;

/** What a segment may unpack to, bytes: more than the memory of the guests that it is for. */
const MAX_CONTENT = 2 ** 35;

const PROGRAMS: Readonly<Record<Exclude<Compression, 'gzip'>, { program: Program; args: readonly string[] }>> = {
  bzip2: { program: { name: 'bzip2', package: 'bzip2' }, args: ['-dc'] },
  lzma: { program: { name: 'xz', package: 'xz-utils' }, args: ['--format=lzma', '-dc'] },
  xz: { program: { name: 'xz', package: 'xz-utils' }, args: ['--format=xz', '-dc'] },
  lzo: { program: { name: 'lzop', package: 'lzop' }, args: ['-dc'] },
  lz4: { program: { name: 'lz4', package: 'lz4' }, args: ['-dc'] },
  zstd: { program: { name: 'zstd', package: 'zstd' }, args: ['-dc'] },
};

/** Yields what a segment unpacks to. Throws `format` for broken data, `tool` when the program for it is missing or fails, `io`. */
export async function* segmentContent(disk: Disk, segment: Segment): AsyncGenerator<Uint8Array> {
  let total = 0;
  for await (const piece of decompress(disk, segment)) {
    total += piece.length;
    if (total > MAX_CONTENT) {
      throw new BootsealError(
        'format',
        `initrd: the segment at byte ${segment.offset} unpacks to more than ${MAX_CONTENT} bytes`,
        INITRD_AGAIN,
      );
    }
    yield piece;
  }
}

function decompress(disk: Disk, segment: Segment): AsyncIterable<Uint8Array> {
  const stored = pieces(disk, segment);
  const { compression } = segment;
  if (compression === 'none') return stored;
  if (compression === 'gzip') return gunzip(stored);
  const { program, args } = PROGRAMS[compression];
  return filterProgram(program, { args }, stored);
}

/** Yields bytes of the disk, a piece at a time. */
export async function* pieces(
  disk: Disk,
  { offset, size }: { offset: number; size: number },
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; at += PIECE) yield await disk.read(offset + at, Math.min(PIECE, size - at));
}

async function* gunzip(stored: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const unzip = zlib.createGunzip();
  const source = Readable.from(stored, { objectMode: false });
  source.on('error', (error) => unzip.destroy(error));
  source.pipe(unzip);
  try {
    for await (const piece of unzip) yield piece as Uint8Array;
  } catch (cause) {
    if (cause instanceof BootsealError) throw cause;
    throw new BootsealError('format', 'gzip: the data are broken', { ...INITRD_AGAIN, cause });
  } finally {
    source.destroy();
    unzip.destroy();
  }
}
