/** @module The files that a command writes, none of which may be one that it reads, under whatever name. */
// Not node:fs/promises, which is loaded at once: most runs of `measure` write no file.
import { promises as fs } from 'node:fs';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { type Io, resolvePath } from './io.ts';

/** Returns a name under which a file is made; throws `usage` for standard output, which would be a file named `-`. */
export function outputFile(option: string, name: string): string {
  if (name !== '-') return name;
  throw new BootsealError('usage', `${option} - would be standard output, and a file is made`, {
    hint: `give ${option} the name of a file`,
  });
}

/**
 * Throws `usage` when a file that is written is also one that is read, or is there in a folder that is, or when two of them are the same:
 * by their names, with links on the way followed, or by device and inode of what is there. `-` among those that are read is standard input.
 */
export async function checkOutputs(
  io: Io,
  written: readonly (string | undefined)[],
  read: readonly (string | undefined)[],
): Promise<void> {
  const files = given(written);
  if (files.length === 0) return;
  const inputs = new Set((await Promise.all(given(read).map((file) => marksOf(io, input(file))))).flat());
  const folders = (await Promise.all(given(read).map((file) => folderOf(io, file)))).flat();
  const outputs = new Set<string>();
  for (const file of files) {
    const marks = await marksOf(io, file);
    if (marks.some((mark) => inputs.has(mark))) {
      throw new BootsealError('usage', `${file} would be written, and is one of the files that are read`, {
        hint: 'choose another name: not that of the key, the image, its header, its manifest or another input',
      });
    }
    if (marks.length > 1 && folders.some((folder) => marks[0]?.startsWith(folder))) {
      throw new BootsealError('usage', `${file} would be written, and is in a folder that is read`, {
        hint: 'choose another name, outside of that folder',
      });
    }
    if (marks.some((mark) => outputs.has(mark))) {
      throw new BootsealError('usage', `${file} is named twice: each file needs a name of its own`, {
        hint: 'give one of them another name',
      });
    }
    for (const mark of marks) outputs.add(mark);
  }
}

function given(files: readonly (string | undefined)[]): readonly string[] {
  return files.filter((file) => file !== undefined);
}

function input(file: string): string {
  return file === '-' ? '/dev/stdin' : file;
}

/** Returns the place of a folder, with a slash at its end; nothing for what is none. */
async function folderOf(io: Io, name: string): Promise<readonly string[]> {
  if (name === '-') return [];
  const real = await fs.realpath(resolvePath(io, name)).catch(() => undefined);
  if (real === undefined || !(await fs.stat(real)).isDirectory()) return [];
  return [path.join(real, path.sep)];
}

/** What two names of one file have in common: the place first, and the file that is there. */
async function marksOf(io: Io, name: string): Promise<readonly string[]> {
  const file = resolvePath(io, name);
  const folder = path.dirname(file);
  const real = await fs.realpath(folder).catch(() => folder);
  const place = path.join(real, path.basename(file));
  const found = await fs.stat(file).catch(() => undefined);
  return found === undefined ? [place] : [place, `${found.dev} ${found.ino}`];
}
