/** @module The folder whose files go to an EFI system partition. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { FatNode } from '../../core/disk/fat32.ts';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';

const MAX_DEPTH = 32;
const MAX_FILES = 65536;

/**
 * Returns what is in a folder, in the order of the names, each file by its path.
 *
 * @throws `io` when it cannot be read; `usage` for what FAT has not, such as links, and for more than anybody boots from
 */
export async function readEspFolder(folder: string): Promise<readonly FatNode[]> {
  const count = { left: MAX_FILES };
  return readFolder(folder, MAX_DEPTH, count);
}

async function readFolder(folder: string, depth: number, count: { left: number }): Promise<readonly FatNode[]> {
  if (depth === 0) {
    throw new BootsealError('usage', `${folder}: folders go deeper than ${MAX_DEPTH}`, {
      hint: 'move what is deeper further up, or take it out',
    });
  }
  const names = await fs.readdir(folder).catch((cause: unknown) => Promise.reject(ioError(cause, folder, 'read')));
  const nodes: FatNode[] = [];
  // By code units, the same everywhere.
  for (const name of names.sort()) {
    const file = path.join(folder, name);
    if (--count.left < 0) {
      throw new BootsealError('usage', `there are more than ${MAX_FILES} files for the EFI system partition`, {
        hint: 'give --esp a folder with fewer files',
      });
    }
    const stat = await fs.lstat(file).catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
    if (stat.isDirectory()) nodes.push({ kind: 'folder', name, entries: await readFolder(file, depth - 1, count) });
    else if (stat.isFile()) nodes.push({ kind: 'file', name, size: stat.size, source: file });
    else {
      throw new BootsealError('usage', `${file} is neither a file nor a folder, and FAT has nothing else`, {
        hint: 'take it out of the folder, or in place of a link put the file there',
      });
    }
  }
  return nodes;
}
