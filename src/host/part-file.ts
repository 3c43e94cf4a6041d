/** @module Large files that appear under their names complete or not at all, also several together. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { checkNewFile, discard, type NamedFile, nameWithWayBack, oldName, rejected, syncFolder } from './new-file.ts';

/** A file to be written. */
export interface NewPart {
  readonly file: string;
  /** Permission bits; 0600 where it holds keys. */
  readonly mode: number;
  /** Whether it may take the place of a file that exists. */
  readonly replace: boolean;
}

/** A file that is being written beside the name that it will have. */
export interface PartFile extends NamedFile {
  readonly handle: fs.FileHandle;
  /** The same file past the page cache (O_DIRECT), where the file system can do that. */
  readonly direct: fs.FileHandle | undefined;
}

/**
 * Opens files beside their names, lets `write` fill them, and gives them their names when every byte of all of them is on the
 * disk: one after the other in the order given, the last one last, and then `announce` is called. Whatever happens, nothing unfinished stays.
 *
 * @throws `io` when one exists and may not be replaced, or cannot be written; what `write` and `announce` throw
 */
export async function writeParts<T>(
  files: readonly NewPart[],
  write: (parts: readonly PartFile[]) => Promise<T>,
  announce: (result: T) => void = () => undefined,
): Promise<T> {
  const parts: PartFile[] = [];
  try {
    for (const { file, replace } of files) await checkNewFile(file, replace);
    for (const file of files) parts.push(await openPart(file));
    const result = await write(parts);
    for (const { handle, file } of parts) await handle.sync().catch(rejected(file));
    await nameAll(parts, () => announce(result));
    return result;
  } finally {
    for (const { handle, direct } of parts) await Promise.all([handle.close(), direct?.close()]);
    for (const { beside } of parts) await discard(beside);
  }
}

async function openPart({ file, mode, replace }: NewPart): Promise<PartFile> {
  const beside = `${file}.${randomBytes(6).toString('hex')}.part`;
  const handle = await fs.open(beside, 'wx', mode).catch(rejected(file));
  // Not every file system takes the flag (EINVAL), and not every system has it.
  const flags = constants.O_WRONLY | (constants.O_DIRECT ?? 0);
  return { file, replace, beside, handle, direct: await fs.open(beside, flags).catch(() => undefined) };
}

/** Puts all in their places, or none: what is replaced is kept under another name until the last one has its own. */
async function nameAll(parts: readonly PartFile[], announce: () => void): Promise<void> {
  const undo: (() => Promise<void>)[] = [];
  try {
    for (const part of parts) undo.push(await nameWithWayBack(part));
    for (const folder of new Set(parts.map(({ file }) => path.dirname(file)))) await syncFolder(folder);
    announce();
  } catch (error) {
    for (const back of undo.reverse()) await back();
    throw error;
  } finally {
    for (const { beside } of parts) await discard(oldName(beside));
  }
}
