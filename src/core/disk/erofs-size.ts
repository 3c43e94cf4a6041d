/** @module How much room an EROFS file system takes at most for a tree of files, in blocks of 4096 bytes. */
import { type Directory, type Inode, isDirectory, walkTree } from '../archive/tree.ts';

/** The block size that works with sectors of 512 and of 4096 bytes, and with the pages of every machine. */
export const EROFS_BLOCK = 4096;

/** Linux, fs/erofs/erofs_fs.h, erofs_inode_extended. */
const INODE_SIZE = 64;

/** erofs_xattr_ibody_header, without the identifiers of shared attributes, of which each also takes four bytes. */
const XATTR_HEADER = 12;
const XATTR_ENTRY = 4;

/** erofs_dirent. */
const ENTRY_SIZE = 12;

/** `.` and `..` with their entries. */
const OWN_ENTRIES = 2 * ENTRY_SIZE + 3;

/** Returns the bytes that are enough: metadata that cannot share a block counts as whole blocks. */
export function erofsRoom(tree: Directory): number {
  const seen = new Set<Inode>();
  const names = new Map<string, number>([['', OWN_ENTRIES]]);
  let bytes = EROFS_BLOCK;
  const add = (inode: Inode, content: number) => {
    if (seen.has(inode)) return;
    seen.add(inode);
    bytes += INODE_SIZE + attributeBytes(inode) + Math.ceil(content / EROFS_BLOCK) * EROFS_BLOCK;
  };
  for (const { path, node } of walkTree(tree)) {
    const slash = path.lastIndexOf('/');
    const folder = path.slice(0, Math.max(0, slash));
    names.set(folder, (names.get(folder) ?? OWN_ENTRIES) + ENTRY_SIZE + path.length - slash - 1);
    if (isDirectory(node)) {
      names.set(path, OWN_ENTRIES);
      add(node.inode, 0);
    } else add(node, node.kind === 'symlink' ? node.target.length : node.size);
  }
  add(tree.inode, 0);
  // A block of a directory ends with what the next name does not fit into.
  for (const size of names.values()) bytes += Math.ceil(size / (EROFS_BLOCK - 256 - ENTRY_SIZE)) * EROFS_BLOCK;
  return Math.ceil(bytes / EROFS_BLOCK) * EROFS_BLOCK;
}

function attributeBytes({ xattrs }: Inode): number {
  if (xattrs.size === 0) return 0;
  let bytes = XATTR_HEADER;
  for (const [name, value] of xattrs) bytes += 4 + Math.ceil((XATTR_ENTRY + name.length + value.length) / 4) * 4;
  return bytes;
}
