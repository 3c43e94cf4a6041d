/** @module How long a file system says that it is: a stream of it that ends earlier was cut off. */
import { type Layout, layout, magic, reserved, u8, u32le } from '../bytes.ts';

/** Linux, Documentation/filesystems/ext4/super.rst; at 1024. */
const ExtSuperblock = layout('ext4 superblock', {
  inodes: reserved(4),
  blocks: u32le,
  counts: reserved(16),
  logBlockSize: u32le,
  more: reserved(28),
  magic: magic(Uint8Array.of(0x53, 0xef)),
  state: reserved(38),
  incompatible: u32le,
  names: reserved(236),
  blocksHigh: u32le,
});

/** INCOMPAT_64BIT: the number of blocks has an upper half. */
const EXT_64BIT = 0x80;

/** Linux, fs/erofs/erofs_fs.h, erofs_super_block; at 1024. */
const ErofsSuperblock = layout('EROFS superblock', {
  magic: magic(Uint8Array.of(0xe2, 0xe1, 0xf5, 0xe0)),
  features: reserved(8),
  logBlockSize: u8,
  more: reserved(23),
  blocks: u32le,
});

const SUPERBLOCK_AT = 1024;

/** Returns the bytes of the ext4 or EROFS file system that begins like this; undefined when it is none, or cannot be so long. */
export function payloadSize(start: Uint8Array): number | undefined {
  const ext = at(ExtSuperblock, start);
  if (ext !== undefined && ext.logBlockSize <= 6) {
    const high = (ext.incompatible & EXT_64BIT) === 0 ? 0 : ext.blocksHigh;
    return possible((high * 2 ** 32 + ext.blocks) * (1024 << ext.logBlockSize));
  }
  const erofs = at(ErofsSuperblock, start);
  return erofs === undefined || erofs.logBlockSize > 16 ? undefined : possible(erofs.blocks * 2 ** erofs.logBlockSize);
}

const possible = (size: number): number | undefined => (Number.isSafeInteger(size) && size > 0 ? size : undefined);

function at<F>(structure: Layout<F>, start: Uint8Array): ReturnType<Layout<F>['unpack']> | undefined {
  if (start.length < SUPERBLOCK_AT + structure.size) return undefined;
  try {
    return structure.unpack(start, SUPERBLOCK_AT);
  } catch {
    return undefined;
  }
}
