/** @module New files of the owner's machine: written so that nothing half done is left, and nothing else is lost. */
import { randomBytes } from 'node:crypto';
// Not node:fs/promises, which is loaded at once: a measurement needs none of it.
import { promises as fs } from 'node:fs';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { ioError } from './io-error.ts';
import { withSignals } from './signals.ts';

/**
 * Writes a file under its final name only when all its bytes are on the disk: beside it first, then renamed. Throws `io` when
 * the name exists, unless `replace` is set; what `announce` throws, which is called when the file is there: then it is not, and what it
 * replaced is there again.
 */
export async function writeNewFile(
  file: string,
  bytes: Uint8Array | string,
  mode: number,
  replace = false,
  announce?: () => void,
): Promise<void> {
  // A signal waits until nothing half done is left: it may be a key.
  await withSignals(() => streamNewFile(file, mode, replace, (write) => write(bytes), announce));
}

/** Like {@link writeNewFile}, for more bytes than memory should hold: `produce` writes them one piece after another. */
export async function streamNewFile(
  file: string,
  mode: number,
  replace: boolean,
  produce: (write: (bytes: Uint8Array | string) => Promise<void>) => Promise<void>,
  announce?: () => void,
): Promise<void> {
  const beside = `${file}.${randomBytes(6).toString('hex')}.part`;
  try {
    await checkNewFile(file, replace);
    await writeThrough(beside, mode, produce);
    if (announce !== undefined) await nameAnnounced({ file, beside, replace }, announce);
    else await (replace ? fs.rename(beside, file) : nameNew(beside, file));
  } catch (cause) {
    throw withHint(ioError(cause, file, 'write'), cause);
  } finally {
    await discard(beside);
  }
}

async function nameAnnounced(named: NamedFile, announce: () => void): Promise<void> {
  const back = await nameWithWayBack(named);
  try {
    announce();
  } catch (error) {
    await back();
    throw error;
  } finally {
    await discard(oldName(named.beside));
  }
}

/** A file that is written beside the name that it is to have. */
export interface NamedFile {
  readonly file: string;
  readonly beside: string;
  /** Whether it may take the place of a file that exists. */
  readonly replace: boolean;
}

/** Returns the name under which the file that is replaced is kept until whoever wrote discards it. */
export const oldName = (beside: string): string => `${beside}.old`;

/** Gives a file its name; returns how to take that back. Throws `io`. */
export async function nameWithWayBack({ file, beside, replace }: NamedFile): Promise<() => Promise<void>> {
  if (!replace) {
    await nameNew(beside, file).catch(rejected(file));
    return () => discard(file);
  }
  const old = oldName(beside);
  await checkReplaceable(file);
  const isKept = await keep(file, old);
  try {
    await fs.rename(beside, file);
  } catch (cause) {
    // Of two names of one file, a rename leaves both.
    if (isKept)
      await fs
        .rename(old, file)
        .then(() => discard(old))
        .catch(() => undefined);
    return rejected(file)(cause);
  }
  return isKept ? () => fs.rename(old, file).catch(rejected(file)) : () => discard(file);
}

/** In a sticky folder of others, such as /tmp, a file of others can be given a second name, and that could never be removed. */
async function checkReplaceable(file: string): Promise<void> {
  const none = () => undefined;
  const [folder, found] = await Promise.all([fs.stat(path.dirname(file)).catch(none), fs.lstat(file).catch(none)]);
  const user = process.geteuid?.() ?? 0;
  if (folder === undefined || found === undefined || user === 0 || [folder.uid, found.uid].includes(user)) return;
  if ((folder.mode & STICKY) === 0) return;
  const message = `cannot write ${file}: it is of another user, in a folder where only its owner may replace it`;
  throw new BootsealError('io', message, { hint: 'choose another name' });
}

const STICKY = 0o1000;

/** Gives the file that is replaced a second name, where there are hard links, or else another one; says whether there is a file. */
async function keep(file: string, old: string): Promise<boolean> {
  try {
    await fs.link(file, old).catch(async () => {
      // What came there meanwhile may be a folder.
      await checkNewFile(file, true);
      await fs.rename(file, old);
    });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    return rejected(file)(cause);
  }
}

/** Rejects with what kept a file from being written, as `io`. */
export const rejected = (file: string) => (cause: unknown) =>
  Promise.reject(withHint(ioError(cause, file, 'write'), cause));

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

/** Throws `io` when the name is taken, with `replace` by anything but a regular file: a device or a link would be lost. */
export async function checkNewFile(file: string, replace: boolean): Promise<void> {
  const found = await fs.lstat(file).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw ioError(cause, file, 'write');
  });
  if (found === undefined || (replace && found.isFile())) return;
  if (found.isFile()) throw new BootsealError('io', `cannot write ${file}: it exists already`, { hint: FORCE_HINT });
  if (found.isDirectory())
    throw new BootsealError('io', `cannot write ${file}: is a directory`, { hint: FOLDER_THERE });
  throw new BootsealError('io', `cannot write ${file}: it is no regular file`, { hint: 'choose another name' });
}

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
