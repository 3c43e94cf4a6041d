/** @module An ext4 file system made of a tree of files, in a file in memory, by e2fsprogs and without any right of root. */
import type * as fs from 'node:fs/promises';
import { type Directory, isDirectory, walkTree } from '../../core/archive/tree.ts';
import { EXT4_BLOCK, type Ext4Size } from '../../core/disk/ext4-size.ts';
import { ioError } from '../io-error.ts';
import { inheritedFile, runProgram } from '../program.ts';
import { openDebugfs } from './debugfs.ts';
import { type Filling, fillTree } from './fill-tree.ts';
import type { Scratch } from './scratch.ts';
import { openStages } from './stages.ts';

/** What is made. */
export interface Ext4Options extends Ext4Size, Filling {
  readonly uuid: string;
  /** Seeds the hashes of names in large directories. */
  readonly hashSeed: string;
  /** Seconds since 1970: when the file system and all files in it were made. */
  readonly time: number;
  readonly stop?: AbortSignal | undefined;
}

const program = (name: string) => ({ name, package: 'e2fsprogs' });

/**
 * What Debian 12's mke2fs takes by itself: nothing that Linux 3.18 or GRUB 2.06 do not know, such as metadata_csum_seed and orphan_file.
 */
const FEATURES = [
  'none',
  ...['has_journal', 'ext_attr', 'resize_inode', 'dir_index', 'filetype', 'extent', '64bit', 'flex_bg'],
  ...['sparse_super', 'large_file', 'huge_file', 'dir_nlink', 'extra_isize', 'metadata_csum'],
].join(',');

/**
 * Makes the file system and returns the open file that it lies in.
 *
 * @throws `tool` when a program of e2fsprogs is missing or fails, `io` when there is no room, what `contents` throws
 */
export async function makeExt4(options: Ext4Options, scratch: Scratch): Promise<fs.FileHandle> {
  const { used, tree, stop } = options;
  await scratch.checkRoom(used + largestFile(tree));
  const image = await scratch.open();
  try {
    await makeEmpty(image, options);
    await fill(image, options, scratch);
    // debugfs is not strict: the checker has the last word.
    await runProgram(program('e2fsck'), { args: ['-fn', inheritedFile(0)], files: [image.fd], stop });
    return image;
  } catch (error) {
    await image.close();
    throw error;
  }
}

/** Bytes of the largest file, which lies in memory twice while it is written. */
function largestFile(tree: Directory): number {
  let largest = 0;
  for (const { node } of walkTree(tree)) if (!isDirectory(node)) largest = Math.max(largest, node.size);
  return largest;
}

async function makeEmpty(
  image: fs.FileHandle,
  { size, inodes, uuid, hashSeed, time, stop }: Ext4Options,
): Promise<void> {
  await image.truncate(size).catch((cause: unknown) => Promise.reject(ioError(cause, 'the file system', 'make')));
  const extended = `hash_seed=${hashSeed},lazy_itable_init=1,nodiscard,root_owner=0:0`;
  const args = [
    ...['-q', '-F', '-t', 'ext4', '-b', `${EXT4_BLOCK}`, '-I', '256', '-N', `${inodes}`, '-m', '1'],
    ...['-O', FEATURES, '-U', uuid, '-E', extended, inheritedFile(0), `${size / EXT4_BLOCK}`],
  ];
  // The machine's own configuration must not change what is made.
  const env = { E2FSPROGS_FAKE_TIME: `${time}`, MKE2FS_CONFIG: '/dev/null' };
  await runProgram(program('mke2fs'), { args, env, files: [image.fd], stop });
}

async function fill(image: fs.FileHandle, options: Ext4Options, scratch: Scratch): Promise<void> {
  const stages = await openStages(scratch);
  const debugfs = openDebugfs([image.fd, ...stages.files], options.time, options.stop);
  try {
    await fillTree(debugfs, stages, options);
    await debugfs.close();
  } finally {
    debugfs.kill();
    await stages.close();
  }
}
