/** @module Folders that appear complete or not at all, and that take the place of another only when nothing else is lost with it. */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { ioError } from './io-error.ts';
import { FORCE_HINT, writeThrough } from './new-file.ts';
import { withSignals } from './signals.ts';

/** A file of the folder. */
export interface NewFile {
  /** Its path from the folder; folders on the way are made. */
  readonly name: string;
  readonly bytes: Uint8Array | string;
  /** Permission bits; 0600 where it holds keys. */
  readonly mode: number;
}

/** What is rarely wanted of a new folder. */
export interface FolderOptions {
  /** For a folder that is for others too: folders have this mode and files theirs, whatever this process's umask is. */
  readonly folderMode?: number;
  /** Called when the folder is there; what it throws is an error like any other. */
  readonly announce?: () => void;
}

/**
 * Writes a folder of files. Throws `io` when the name is taken, unless `replace` is set and what is there is a folder with
 * nothing in it but files of these names; after any error what was there before is there again.
 */
export async function writeNewFolder(
  folder: string,
  files: readonly NewFile[],
  replace = false,
  options: FolderOptions = {},
): Promise<void> {
  // A signal waits until nothing half done is left: among the files are keys.
  await withSignals(() => writeFolder(folder, files, replace, options));
}

async function writeFolder(
  folder: string,
  files: readonly NewFile[],
  replace: boolean,
  { folderMode, announce }: FolderOptions,
) {
  const names = files.map(({ name }) => name);
  const beside = `${folder}.${randomBytes(6).toString('hex')}.part`;
  try {
    await checkNewFolder(folder, names, replace);
    await fs.mkdir(beside, { mode: 0o700 });
    for (const name of foldersOf(names)) await fs.mkdir(path.join(beside, name), { mode: 0o700 });
    for (const file of files) await writeThrough(path.join(beside, file.name), file.mode, (write) => write(file.bytes));
    if (folderMode !== undefined) {
      for (const file of files) await fs.chmod(path.join(beside, file.name), file.mode);
      for (const name of [...foldersOf(names), '']) await fs.chmod(path.join(beside, name), folderMode);
    }
    const isThere = (await statOf(folder)) !== undefined;
    if (isThere && (replace || announce !== undefined)) await exchange(beside, folder, replace ? names : [], announce);
    // A rename takes the place of an empty folder, and of nothing else.
    else {
      await fs.rename(beside, folder);
      await orBack(() => fs.rename(folder, beside), announce);
    }
  } catch (cause) {
    throw taken(cause) ? takenAlready(folder, cause) : ioError(cause, folder, 'write');
  } finally {
    await removeFolder(beside, names);
  }
}

/** Throws `io` when writeNewFolder would refuse, for callers that cannot undo what comes before the writing. */
export async function checkNewFolder(folder: string, names: readonly string[], replace = false): Promise<void> {
  try {
    await fs.access(path.dirname(folder), fs.constants.W_OK | fs.constants.X_OK);
    const stat = await statOf(folder);
    if (stat === undefined) return;
    // Through a symbolic link somebody else's folder would be replaced.
    if (!stat.isDirectory()) {
      throw new BootsealError('io', `cannot write ${folder}: it exists already and is no folder`, {
        hint: replace ? ELSEWHERE : 'choose another name',
      });
    }
    if (replace) await refuseStrangers(folder, names);
    else if ((await fs.readdir(folder)).length > 0) throw takenAlready(folder);
  } catch (cause) {
    throw ioError(cause, folder, 'write');
  }
}

/**
 * Throws `io` when {@link writeNewFolder} would fail for another reason than want of room, by doing all of it but the files, for
 * callers that cannot undo what comes before the writing; what is there stays as it was.
 */
export async function rehearseNewFolder(folder: string, names: readonly string[], replace = false): Promise<void> {
  await withSignals(async () => {
    const beside = `${folder}.${randomBytes(6).toString('hex')}.part`;
    try {
      await checkNewFolder(folder, names, replace);
      await fs.mkdir(beside, { mode: 0o700 });
      if ((await statOf(folder)) === undefined) {
        await fs.rename(beside, folder);
        await fs.rmdir(folder);
      } else {
        await fs.rename(folder, `${beside}.old`);
        await putBack(`${beside}.old`, folder);
      }
    } catch (cause) {
      throw ioError(cause, folder, 'write');
    } finally {
      await removeFolder(beside, []);
    }
  });
}

const ELSEWHERE = 'choose another name: --force replaces only what an earlier run of the same command wrote';

/** Says whether `file` exists and lies in `folder` or is it, whatever links lead there. */
export async function liesIn(folder: string, file: string): Promise<boolean> {
  try {
    const [outer, inner] = [await fs.realpath(folder), await fs.realpath(file)];
    return inner === outer || inner.startsWith(outer.endsWith(path.sep) ? outer : outer + path.sep);
  } catch {
    return false;
  }
}

/** Puts `beside` in the place of `folder`, which is discarded only when that has succeeded. */
async function exchange(
  beside: string,
  folder: string,
  names: readonly string[],
  announce?: () => void,
): Promise<void> {
  const old = `${beside}.old`;
  await fs.rename(folder, old);
  try {
    // Under this name nobody puts anything into it any more.
    await refuseStrangers(old, names, folder);
    await fs.rename(beside, folder);
    await orBack(() => fs.rename(folder, beside), announce);
  } catch (cause) {
    await putBack(old, folder);
    throw cause;
  }
  await removeFolder(old, names);
}

async function orBack(back: () => Promise<void>, announce: (() => void) | undefined): Promise<void> {
  try {
    announce?.();
  } catch (error) {
    await back();
    throw error;
  }
}

async function putBack(old: string, folder: string): Promise<void> {
  try {
    await fs.rename(old, folder);
  } catch (cause) {
    throw new BootsealError('io', `cannot write ${folder}, and what was there is now ${old}`, {
      hint: 'rename it back by hand',
      cause,
    });
  }
}

async function refuseStrangers(folder: string, names: readonly string[], calledBefore = folder): Promise<void> {
  const stranger = await strangerIn(folder, names);
  if (stranger === undefined) return;
  throw new BootsealError(
    'io',
    `cannot replace ${calledBefore}: it holds ${JSON.stringify(stranger)}, which this command does not write`,
    { hint: ELSEWHERE },
  );
}

/** Returns the first thing that is neither a file of these names nor a folder on the way to one. */
async function strangerIn(folder: string, names: readonly string[]): Promise<string | undefined> {
  const folders = foldersOf(names);
  for (const below of ['', ...folders]) {
    for (const entry of await entriesOf(path.join(folder, below))) {
      const name = path.join(below, entry.name);
      if (!(entry.isFile() ? names : entry.isDirectory() ? folders : []).includes(name)) return name;
    }
  }
  return undefined;
}

/** Returns the folders that lie on the way to these names, outermost first. */
function foldersOf(names: readonly string[]): readonly string[] {
  const found = new Set<string>();
  for (const name of names) {
    const parts = path.dirname(name).split('/');
    parts.forEach((part, i) => {
      if (part !== '.') found.add(parts.slice(0, i + 1).join('/'));
    });
  }
  return [...found];
}

/** Returns what is in a folder; nothing when it is not there. */
async function entriesOf(folder: string) {
  try {
    return await fs.readdir(folder, { withFileTypes: true });
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return [];
    throw cause;
  }
}

/** Removes the files of these names and the folder; not recursively, so that nothing else can go with them. */
async function removeFolder(folder: string, names: readonly string[]): Promise<void> {
  try {
    for (const name of names) await fs.rm(path.join(folder, name), { force: true });
    for (const name of [...foldersOf(names).toReversed(), '']) await removeEmpty(path.join(folder, name));
  } catch (cause) {
    if (!ABSENT.includes(codeOf(cause))) throw ioError(cause, folder, 'remove');
  }
}

async function removeEmpty(folder: string): Promise<void> {
  try {
    await fs.rmdir(folder);
  } catch (cause) {
    if (!ABSENT.includes(codeOf(cause))) throw cause;
  }
}

async function statOf(folder: string) {
  try {
    return await fs.lstat(folder);
  } catch (cause) {
    if (ABSENT.includes(codeOf(cause))) return undefined;
    throw cause;
  }
}

const ABSENT = ['ENOENT', 'ENOTDIR'];
const codeOf = (cause: unknown): string => (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
const taken = (cause: unknown): boolean => ['EEXIST', 'ENOTEMPTY'].includes(codeOf(cause));

function takenAlready(folder: string, cause?: unknown): BootsealError {
  return new BootsealError('io', `cannot write ${folder}: it exists already`, { hint: FORCE_HINT, cause });
}
