/** @module What the system says of a file, as an error of bootseal with what to do about it. */
import { BootsealError } from '../core/errors.ts';

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
/** What to do when a folder is where a file is needed. */
export const FOLDER = 'a file is needed there, not a folder';

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
