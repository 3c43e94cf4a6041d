/** @module Files of the owner's machine, read: all of a small one, or a stream of a large one, never more than is accepted. */
// Not node:fs/promises, which is loaded at once: a measurement needs none of it.
import { closeSync, createReadStream, promises as fs, openSync, read, readSync, statSync } from 'node:fs';
import { BootsealError } from '../core/errors.ts';
import { FOLDER, ioError } from './io-error.ts';
import { unlessStopped } from './signals.ts';

/** Says whether `name` is a folder, or a link to one; throws `io` when nothing is there. */
export async function isFolder(name: string): Promise<boolean> {
  try {
    return (await fs.stat(name)).isDirectory();
  } catch (cause) {
    throw ioError(cause, name, 'read');
  }
}

/**
 * Reads a whole small file; throws `io` when it cannot and `format` when it has more than `limit` bytes. Messages name it `shown`,
 * for where the name may be a secret by mistake.
 */
export async function readSmallFile(file: string, limit: number, shown = file): Promise<Uint8Array> {
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) throw new BootsealError('io', `cannot read ${shown}: is a directory`, { hint: FOLDER });
    if (stat.isFile() && stat.size > limit) throw tooLarge(shown, limit);
    // Files that say how long they are come in one piece; pipes and /proc do not say.
    if (stat.isFile() && stat.size > 0) return plain(readWhole(file, stat.size, limit, shown));
    return await unlessStopped(readBounded(createReadStream(file), limit, shown));
  } catch (cause) {
    throw ioError(cause, shown, 'read');
  }
}

/** Reads `size` bytes, which may be fewer by now; throws `io` when there are more. */
function readWhole(file: string, size: number, limit: number, name: string): Uint8Array {
  const open = openSync(file, 'r');
  try {
    const bytes = Buffer.allocUnsafeSlow(size);
    let total = 0;
    while (total < size) {
      const read = readSync(open, bytes, total, size - total, total);
      if (read === 0) return bytes.subarray(0, total);
      total += read;
    }
    if (readSync(open, Buffer.allocUnsafe(1), 0, 1, total) === 0) return bytes;
  } finally {
    closeSync(open);
  }
  throw new BootsealError('io', `${name} grew while it was read`, {
    hint: `it may have at most ${limit} bytes and must stay as it is`,
  });
}

/** Collects a stream of at most `limit` bytes; throws `format` when there are more. */
export async function readBounded(
  stream: AsyncIterable<Uint8Array | string>,
  limit: number,
  name: string,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    total += bytes.length;
    if (total > limit) throw tooLarge(name, limit);
    chunks.push(bytes);
  }
  const only = chunks[0];
  return plain(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks));
}

/** The same memory as a plain array: a Buffer's slice() aliases, so that what is done to the copy is done to the original. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Returns the `format` error for a file beyond `limit` bytes. */
export function tooLarge(name: string, limit: number): BootsealError {
  return new BootsealError('format', `${name} is larger than ${limit} bytes, the most that is accepted here`, {
    hint: 'look whether it is what was meant: the real ones are smaller',
  });
}

/** Pieces that stay in the processor's cache between reading and hashing: megabytes at once take half as long again. */
const PIECE = 1 << 16;

/**
 * Feeds the bytes of a file to `take`, a piece of at most 64 KiB at a time, which `take` must not keep; returns how many there
 * were. Throws `io`, and `format` beyond `limit` bytes. It reads without giving way: there is nothing else to do, and for small files threads cost more than they save.
 */
export function streamFile(file: string, take: (bytes: Uint8Array) => void, limit = Number.POSITIVE_INFINITY): number {
  try {
    const open = openSync(file, 'r');
    try {
      const piece = Buffer.allocUnsafeSlow(PIECE);
      let total = 0;
      for (;;) {
        const size = readSync(open, piece, 0, PIECE, null);
        if (size === 0) return total;
        total += size;
        if (total > limit) throw tooLarge(file, limit);
        take(piece.subarray(0, size));
      }
    } finally {
      closeSync(open);
    }
  } catch (cause) {
    throw ioError(cause, file, 'read');
  }
}

/** From this size on the start of a thread is worth its cost; bytes. */
const LARGE = 1 << 22;
/** Larger pieces than a processor's own cache holds, since they come from another one. */
const LARGE_PIECE = 1 << 20;

/** As {@link streamFile}; of a large file the next piece, of at most 1 MiB, is read in another thread while `take` has this one. */
export async function streamLargeFile(file: string, take: (bytes: Uint8Array) => void, limit: number): Promise<number> {
  try {
    if (statSync(file).size < LARGE) return streamFile(file, take, limit);
    const open = openSync(file, 'r');
    let [full, free] = [Buffer.allocUnsafeSlow(LARGE_PIECE), Buffer.allocUnsafeSlow(LARGE_PIECE)];
    let reading = readPiece(open, full);
    try {
      let total = 0;
      for (;;) {
        const size = await reading;
        if (size === 0) return total;
        total += size;
        if (total > limit) throw tooLarge(file, limit);
        reading = readPiece(open, free);
        take(full.subarray(0, size));
        [full, free] = [free, full];
      }
    } finally {
      await reading.catch(() => undefined);
      closeSync(open);
    }
  } catch (cause) {
    throw ioError(cause, file, 'read');
  }
}

function readPiece(open: number, piece: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    read(open, piece, 0, piece.length, null, (error, size) => (error === null ? resolve(size) : reject(error)));
  });
}
