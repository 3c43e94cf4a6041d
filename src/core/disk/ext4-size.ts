/** @module How large an ext4 file system must be for a tree of files, in blocks of 4096 bytes. */
import { type Directory, type Inode, isDirectory, walkTree } from '../archive/tree.ts';
import { BootsealError } from '../errors.ts';

/** The block size that works with sectors of 512 and of 4096 bytes. */
export const EXT4_BLOCK = 4096;

/** What a file system is made with. */
export interface Ext4Size {
  /** Bytes of the whole: whole MiB. */
  readonly size: number;
  readonly inodes: number;
  /** Bytes that are not zeros, about: what the file system takes while it lies in memory. */
  readonly used: number;
}

const MIB = 2 ** 20;

/** mke2fs's own: one for so many bytes. */
const BYTES_PER_INODE = 16384;
const INODE_SIZE = 256;

/** At least so much is free, and at least this part of what is used. */
const MARGIN = 64 * MIB;
const MARGIN_PART = 4;

/** The largest that blocks with 32-bit numbers reach. */
const MAX_EXT4 = 2 ** 44;

/** A symbolic link shorter than this lies in the inode (Linux, Documentation/filesystems/ext4/inodes.rst). */
const INLINE_LINK = 60;

/**
 * Returns the size for a tree: what the user asks for, or what the files need and a quarter more, at least 64 MiB, so that the guest
 * has room.
 *
 * @param asked bytes
 * @throws `usage` when that is too little for the tree, or more than ext4 can be
 */
export function fitExt4(tree: Directory, asked: number | undefined): Ext4Size {
  const { blocks, inodes: present } = countBlocks(tree);
  const data = blocks * EXT4_BLOCK;
  const needed = (free: number) => {
    const inodes = Math.max(present + 1024, Math.ceil((data + free) / BYTES_PER_INODE));
    return { inodes, used: Math.ceil(data + inodes * INODE_SIZE + overhead(data + free)) };
  };
  const margin = Math.max(MARGIN, data / MARGIN_PART);
  const fitted = needed(margin);
  const size = asked ?? Math.ceil((fitted.used + margin) / MIB) * MIB;
  const least = needed(0);
  if (size < least.used) {
    const least_ = `${Math.ceil(least.used / MIB)} MiB`;
    throw new BootsealError('usage', `the files need a file system of ${least_} or more, not ${size} bytes`, {
      hint: 'give a larger --size, or none',
    });
  }
  if (size > MAX_EXT4) {
    throw new BootsealError('usage', 'ext4 with blocks of 4096 bytes has at most 16 TiB', {
      hint: 'give a smaller --size, or fewer files',
    });
  }
  if (size % EXT4_BLOCK !== 0) {
    throw new BootsealError('usage', `the size is not a multiple of ${EXT4_BLOCK}`, {
      hint: 'give --size in MiB, such as 512M',
    });
  }
  const inodes = Math.max(present + 1024, Math.floor(size / BYTES_PER_INODE));
  return { size, inodes, used: least.used };
}

/** The journal, which is up to 1 GiB for the largest, and descriptors and bitmaps of block groups. */
function overhead(bytes: number): number {
  const journal = bytes < 128 * MIB ? 4 * MIB : bytes < 1024 * MIB ? 16 * MIB : Math.min(1024 * MIB, bytes / 32);
  return 2 * MIB + journal + bytes / 256;
}

function countBlocks(tree: Directory): { blocks: number; inodes: number } {
  const seen = new Set<Inode>();
  const entries = new Map<string, number>([['', 24]]);
  let blocks = 0;
  const count = (inode: Inode) => {
    if (seen.has(inode)) return;
    seen.add(inode);
    blocks += blocksOf(inode.size) + (inode.kind === 'symlink' && inode.target.length >= INLINE_LINK ? 1 : 0);
    // What does not fit into the inode takes a block of its own.
    if (inode.xattrs.size > 0) blocks += 1;
  };
  count(tree.inode);
  let directories = 1;
  for (const { path, node } of walkTree(tree)) {
    count(isDirectory(node) ? node.inode : node);
    if (isDirectory(node)) directories++;
    const slash = path.lastIndexOf('/');
    const folder = path.slice(0, Math.max(0, slash));
    entries.set(folder, (entries.get(folder) ?? 24) + 12 + path.length - slash);
  }
  for (const bytes of entries.values()) blocks += blocksOf(bytes * 1.1);
  return { blocks: blocks + directories, inodes: seen.size + directories };
}

/** Whole blocks, and those that say where they are: one for some 340 pieces, of which there is one for 128 MiB and seldom more. */
function blocksOf(bytes: number): number {
  const blocks = Math.ceil(bytes / EXT4_BLOCK);
  return blocks + Math.floor(blocks / 1024);
}
