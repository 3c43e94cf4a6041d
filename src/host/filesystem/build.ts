/** @module From archives to a file system: their files are read and checked, measured, and made. */

import { fitExt4 } from '../../core/disk/ext4-size.ts';
import { randomGuid } from '../../core/guid.ts';
import type { Random } from '../../core/luks/plan.ts';
import { type ReadTreeOptions, readTree } from '../archive/read-tree.ts';
import type { TarFile } from '../archive/tar-file.ts';
import type { RawSource } from '../image/source.ts';
import { makeExt4 } from './ext4.ts';
import type { Scratch } from './scratch.ts';

/** What is wanted. */
export interface BuildOptions extends ReadTreeOptions {
  /** Bytes; what the files need and room when left out. */
  readonly size: number | undefined;
  readonly scratch: Scratch;
  /** Seconds since 1970. */
  readonly time: number;
  readonly random: Random;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Runs `use` with a file system of all files of `archives`. Throws as the steps do; nothing is left but what `use` makes. */
export async function withFilesystemOf<T>(
  archives: readonly TarFile[],
  options: BuildOptions,
  use: (source: RawSource) => Promise<T>,
): Promise<T> {
  const { size, scratch, time, random, onProgress, stop } = options;
  const { tree, bytes, contents } = await readTree(archives, options);
  const fitted = fitExt4(tree, size);
  const [uuid, hashSeed] = [randomGuid(random), randomGuid(random)];
  const progress = (done: number) => onProgress?.(done, bytes);
  const made = { ...fitted, tree, contents, uuid, hashSeed, time, stop, onProgress: progress };
  const handle = await makeExt4(made, scratch);
  try {
    return await use({ file: 'the new file system', handle, size: fitted.size });
  } finally {
    await handle.close();
  }
}
