/**
 * @module Files without a name, in memory: what must lie somewhere during a build in the clear, and be gone with the process that
 * made it, also when that is killed.
 */

import { randomBytes } from 'node:crypto';
import { constants, type StatsFs, writeSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';

/** Where such files are made. */
export interface Scratch {
  readonly folder: string;
  /** Whether what lies there lies in memory. */
  readonly inMemory: boolean;
  /** Makes an empty file that nobody else can open by a name. Throws `io`. */
  open(): Promise<fs.FileHandle>;
  /** Throws `io` when there is no room for so many bytes. */
  checkRoom(bytes: number): Promise<void>;
}

/** Linux, include/uapi/linux/magic.h. */
const TMPFS = 0x01021994;

/**
 * Chooses where.
 *
 * @param folder what the user says; else the roomiest folder whose files lie in memory
 * @throws `io` when no such folder can be written to
 */
export async function findScratch(folder: string | undefined): Promise<Scratch> {
  if (folder !== undefined) {
    await fs.statfs(folder).catch((cause: unknown) => Promise.reject(ioError(cause, folder, 'write to')));
    return scratchIn(folder, false);
  }
  let best: { readonly folder: string; readonly free: number } | undefined;
  for (const candidate of ['/dev/shm', process.env['XDG_RUNTIME_DIR'], '/run/shm', '/tmp']) {
    const free = candidate === undefined ? undefined : await roomInMemory(candidate);
    if (candidate !== undefined && free !== undefined && free > (best?.free ?? 0)) best = { folder: candidate, free };
  }
  if (best !== undefined) return scratchIn(best.folder, true);
  throw new BootsealError('io', 'no folder here keeps its files in memory (such as /dev/shm)', { hint: HINT });
}

const HINT =
  '--scratch DIR takes room on a disk instead: the content then lies there in the clear, in a file without a name, until the build ends';

async function roomInMemory(folder: string): Promise<number | undefined> {
  try {
    const found = await fs.statfs(folder);
    if (found.type !== TMPFS) return undefined;
    await fs.access(folder, constants.W_OK | constants.X_OK);
    return roomOf(found);
  } catch {
    return undefined;
  }
}

/** A tmpfs without a limit says that it has no blocks. */
const roomOf = ({ blocks, bavail, bsize }: StatsFs): number =>
  blocks === 0 ? Number.MAX_SAFE_INTEGER : bavail * bsize;

function scratchIn(folder: string, inMemory: boolean): Scratch {
  return {
    folder,
    inMemory,
    open: () => openNameless(folder),
    async checkRoom(bytes) {
      const free = roomOf(await fs.statfs(folder));
      const room = inMemory ? Math.min(free, await freeMemory()) : free;
      if (bytes <= room) return;
      const where = inMemory ? `in memory (${folder})` : `in ${folder}`;
      throw new BootsealError(
        'io',
        `the build needs ${mebibytes(bytes)} MiB ${where}, and ${mebibytes(room)} MiB are free`,
        inMemory ? { hint: HINT } : { hint: 'choose a folder with more room' },
      );
    },
  };
}

/** Writes a piece to a file of these without giving way: it is memory. Throws `io`. */
export function writeScratch({ folder }: Scratch, fd: number, piece: Uint8Array, at: number): void {
  try {
    for (let done = 0; done < piece.length; ) done += writeSync(fd, piece, done, piece.length - done, at + done);
  } catch (cause) {
    throw ioError(cause, folder, 'write to');
  }
}

const mebibytes = (bytes: number): number => Math.ceil(bytes / 2 ** 20);

/** Memory that can be used without pushing out anything else. */
async function freeMemory(): Promise<number> {
  const text = await fs.readFile('/proc/meminfo', 'utf8').catch(() => '');
  const found = /^MemAvailable: *([0-9]+) kB$/m.exec(text)?.[1];
  return found === undefined ? Number.MAX_SAFE_INTEGER : Number(found) * 1024;
}

/** Linux, include/uapi/asm-generic/fcntl.h: with O_DIRECTORY, a file that never has a name. */
const TMPFILE = 0o20000000 | constants.O_DIRECTORY;

async function openNameless(folder: string): Promise<fs.FileHandle> {
  try {
    return await fs.open(folder, constants.O_RDWR | TMPFILE, 0o600);
  } catch (cause) {
    if (!WITHOUT_TMPFILE.includes((cause as NodeJS.ErrnoException).code ?? ''))
      throw ioError(cause, folder, 'write to');
  }
  // A file system that cannot do that: the name goes before there is anything in the file.
  const named = path.join(folder, `bootseal-${randomBytes(6).toString('hex')}.part`);
  try {
    const handle = await fs.open(named, 'wx+', 0o600);
    await fs.unlink(named);
    return handle;
  } catch (cause) {
    throw ioError(cause, named, 'write');
  }
}

const WITHOUT_TMPFILE = ['EOPNOTSUPP', 'EISDIR', 'EINVAL', 'ENOENT'];
