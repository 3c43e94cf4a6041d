/** @module Files of the owner's machine: bounded reads, streams, and writes that leave nothing half done. */
import { randomBytes } from 'node:crypto';
// Not node:fs/promises, which is loaded at once: a measurement needs none of it.
import { closeSync, createReadStream, promises as fs, openSync, read, readSync, type Stats, statSync } from 'node:fs';
import { BootsealError } from '../core/errors.ts';
import { unlessStopped, withSignals } from './signals.ts';

/** Turns a system error into an `io` error that names the file. */
export function ioError(cause: unknown, file: string, doing: string): BootsealError {
  if (cause instanceof BootsealError) return cause;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? 'unknown error';
  const reason = REASONS[code] ?? code;
  return new BootsealError('io', `cannot ${doing} ${file}: ${reason}`, { hint: HINTS[code] ?? LOOK, cause });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'is a directory',
  ENOTDIR: 'a part of the path is not a directory',
  EEXIST: 'it exists already',
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
  EFBIG: 'file too large',
  ELOOP: 'too many symbolic links on the way',
  ENAMETOOLONG: 'the name is too long',
};

const PERMITTED = 'look who may use it and the folders above it (ls -ld), or run as another user';
const FOLDER = 'a file is needed there, not a folder';

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'look whether the name is right, and whether the folder that it is in is there',
  EACCES: PERMITTED,
  EPERM: PERMITTED,
  EISDIR: FOLDER,
  ENOTDIR: 'look for the part of the path that is a file: nothing can be below it',
  EEXIST: 'choose another name, or move away what is there',
  ENOSPC: 'make room there, or choose a place that has more',
  EDQUOT: 'make room there, or choose a place that has more',
  EROFS: 'choose a place that can be written to',
  EFBIG: 'choose a file system for larger files, or raise the limit (ulimit -f)',
  ELOOP: 'give the file itself: the links lead in a circle, or from one to the next without end (ls -l)',
  ENAMETOOLONG: 'choose a shorter name: most file systems take 255 bytes, and some are added while it is written',
  EBUSY: 'something is mounted there, or in use: give a name inside of it, or beside it',
  EMFILE: 'raise the limit of open files (ulimit -n)',
};

/** What to do when temporary files have no place. */
export const OTHER_TMPDIR = 'make room there, or set TMPDIR to a folder of yours that has more';

/** For all that is rarer. */
const LOOK = 'look whether another program can use it, and what the kernel log says';

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

/**
 * Writes a file under its final name only when all its bytes are on the disk: beside it first, then renamed. Throws `io` when
 * the name exists, unless `replace` is set.
 */
export async function writeNewFile(
  file: string,
  bytes: Uint8Array | string,
  mode: number,
  replace = false,
): Promise<void> {
  // A signal waits until nothing half done is left: it may be a key.
  await withSignals(() => streamNewFile(file, mode, replace, (write) => write(bytes)));
}

/** Like {@link writeNewFile}, for more bytes than memory should hold: `produce` writes them one piece after another. */
export async function streamNewFile(
  file: string,
  mode: number,
  replace: boolean,
  produce: (write: (bytes: Uint8Array | string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const beside = `${file}.${randomBytes(6).toString('hex')}.part`;
  try {
    const stat = await statOf(file);
    if (stat?.isDirectory())
      throw new BootsealError('io', `cannot write ${file}: is a directory`, { hint: FOLDER_THERE });
    if (!replace && stat !== undefined)
      throw new BootsealError('io', `cannot write ${file}: it exists already`, { hint: FORCE_HINT });
    await writeThrough(beside, mode, produce);
    await (replace ? fs.rename(beside, file) : nameNew(beside, file));
  } catch (cause) {
    throw withHint(ioError(cause, file, 'write'), cause);
  } finally {
    await discard(beside);
  }
}

/**
 * Gives the file `beside` the name `file`, which nothing may have: also nothing that appeared meanwhile. Throws what the system says.
 *
 * A hard link, unlike a rename, refuses to take the place of a file. Where there are none (FAT, some network file systems) an empty
 * file takes the name first.
 */
export async function nameNew(beside: string, file: string): Promise<void> {
  try {
    await fs.link(beside, file);
  } catch (cause) {
    if (!NO_LINKS.has((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
    await (await fs.open(file, 'wx')).close();
    await fs.rename(beside, file).catch(async (error: unknown) => {
      await discard(file);
      throw error;
    });
  }
}

const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** No option replaces a folder with a file. */
const FOLDER_THERE = 'a folder is there: choose another name';

/** What to do about a name that is taken. */
export const FORCE_HINT = 'choose another name; --force replaces it, where the command has that option';

/** Adds that hint to an error whose cause is a name that is taken. */
export function withHint(error: BootsealError, cause: unknown): BootsealError {
  if ((cause as NodeJS.ErrnoException | undefined)?.code !== 'EEXIST') return error;
  return new BootsealError('io', error.message, { hint: FORCE_HINT, cause });
}

/** Removes what is there; where a part of the path is a file, or the name too long, nothing is. */
export async function discard(name: string): Promise<void> {
  try {
    await fs.rm(name, { force: true });
  } catch (cause) {
    const { code = '' } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOTDIR' && code !== 'ENAMETOOLONG') throw ioError(cause, name, 'remove');
  }
}

/** Writes a new file and waits until it is on the disk. */
export async function writeThrough(
  file: string,
  mode: number,
  produce: (write: (bytes: Uint8Array | string) => Promise<void>) => Promise<void>,
): Promise<void> {
  const handle = await fs.open(file, 'wx', mode);
  try {
    await produce((bytes) => handle.writeFile(bytes));
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Returns what has that name, which may be a link; undefined also when nobody may look. */
async function statOf(file: string): Promise<Stats | undefined> {
  return fs.lstat(file).catch(() => undefined);
}

/** Makes the names in a folder survive a power cut. Throws `io`. */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await fs.open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw ioError(cause, folder, 'write');
  }
}
