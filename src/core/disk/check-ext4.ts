/**
 * @module What a kernel looks at before it mounts ext4, and before it replays a journal: superblock and group descriptors (Linux,
 * fs/ext4/super.c, ext4_check_descriptors). A file system whose blocks lie elsewhere is held against its superblock only.
 */
import type { Disk } from '../luks/disk.ts';
import { readGroups, tablesOf } from './ext4-blocks.ts';
import { readAnySuperblock } from './ext4-superblock.ts';

/** Checks checksums, sizes and places. Throws `format` for the first that is wrong, `io`. */
export async function checkExt4(disk: Disk): Promise<void> {
  const ext4 = await readAnySuperblock(disk);
  if (!ext4.hasPlainGroups) return;
  for await (const group of readGroups(disk, ext4)) tablesOf(ext4, group);
}
