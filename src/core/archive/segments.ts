/**
 * @module The segments of an initrd: archives one after another, each plain or compressed, with zeros between them (linux
 * Documentation/driver-api/early-userspace/buffer-format.rst; init/initramfs.c).
 */

import { BootsealError } from '../errors.ts';
import type { Disk } from '../luks/disk.ts';
import { type Compression, compressionOf, PASS, type PassSegment } from './compression.ts';
import { INITRD_AGAIN } from './cpio.ts';
import { readCpio } from './read-cpio.ts';
import { diskSource, passZeros } from './source.ts';

/** One archive in an initrd. */
export interface Segment {
  /** Where it begins, bytes. */
  readonly offset: number;
  /** Bytes, without the zeros behind it. */
  readonly size: number;
  readonly compression: Compression | 'none';
  /** False when only decompressing it would tell where it ends: it is taken to reach to the end of the file. */
  readonly endKnown: boolean;
}

/** Segments that an initrd may have. */
const MAX_SEGMENTS = 4096;

const WHICH = 'give the file that the machine gets as its initrd';

/**
 * Returns the segments of an initrd, in order. `passGzip` passes one gzip member.
 *
 * @throws `format` for anything else than segments and zeros, `io`
 */
export async function findSegments(disk: Disk, passGzip: PassSegment): Promise<readonly Segment[]> {
  const segments: Segment[] = [];
  const source = diskSource(disk, 0);
  while (await passZeros(source)) {
    if (segments.length === MAX_SEGMENTS)
      throw new BootsealError('format', `initrd: more than ${MAX_SEGMENTS} segments`, INITRD_AGAIN);
    const offset = source.position;
    const start = await source.peek(2);
    const compression = start[0] === 0x30 ? 'none' : compressionOf(start);
    if (compression === undefined) {
      throw new BootsealError(
        'format',
        `initrd: at byte ${offset} is neither an archive nor a compression that Linux knows`,
        {
          hint: segments.length === 0 ? WHICH : 'make the initrd again: Linux would report junk and drop what follows',
        },
      );
    }
    if (compression === 'none' && offset % 4 !== 0) {
      throw new BootsealError('format', `initrd: the archive at byte ${offset} does not begin at a multiple of 4`, {
        hint: 'fill up with zeros what stands before it: Linux finds an archive only there',
      });
    }
    const endKnown = await passOne(compression, source, passGzip);
    segments.push({ offset, size: source.position - offset, compression, endKnown });
  }
  if (segments.length === 0) {
    throw new BootsealError('format', 'initrd: there is no archive in it', {
      hint: WHICH,
    });
  }
  return segments;
}

/** Passes a segment; returns whether it ends where the source stands then. */
async function passOne(
  compression: Segment['compression'],
  source: ReturnType<typeof diskSource>,
  passGzip: PassSegment,
): Promise<boolean> {
  if (compression === 'none') {
    for await (const _ of readCpio(source));
    return true;
  }
  const passSegment = compression === 'gzip' ? passGzip : PASS[compression];
  if (passSegment === undefined) {
    await source.skip(Number.MAX_SAFE_INTEGER);
    return false;
  }
  await passSegment(source);
  return true;
}

/**
 * Returns how many zeros must follow an initrd of `size` bytes before another archive: up to a multiple of 4, and where the last
 * segment is lz4 at least four, which end it (linux lib/decompress_unlz4.c).
 */
export function zerosBeforeNext(size: number, last: Segment): number {
  const ending = last.compression === 'lz4' ? Math.max(0, 4 - (size - last.offset - last.size)) : 0;
  return ending + ((4 - ((size + ending) % 4)) % 4);
}
