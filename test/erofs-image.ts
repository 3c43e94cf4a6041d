/** @module A small EROFS file system, byte by byte (Linux, fs/erofs/erofs_fs.h): a root with one file and one other name of it. */
import { type Directory, emptyTree, type Inode } from '../src/core/archive/tree.ts';

const BLOCK = 4096;
const SLOT = 32;
const ROOT = 2;
const FILE = 8;

/** The file that both have, with an attribute. */
export const FILE_INODE: Inode = {
  ...emptyTree().inode,
  kind: 'file',
  mode: 0o4750,
  uid: 70000,
  gid: 5,
  size: 3,
  xattrs: new Map([['user.a', Uint8Array.of(1, 255)]]),
};

/** The tree that the image is of. */
export function smallTree(): Directory {
  const tree = emptyTree();
  return {
    ...tree,
    children: new Map([
      ['f', FILE_INODE],
      ['g', FILE_INODE],
    ]),
  };
}

/** The image, of two blocks. */
export function smallErofs(): Buffer {
  const image = Buffer.alloc(2 * BLOCK);
  image.writeUInt16LE(ROOT, 1024 + 14);
  image.writeUInt32LE(1, 1024 + 40);
  // Both directories end in a block behind the inode (form 2).
  const names: [string, number][] = [
    ['.', ROOT],
    ['..', ROOT],
    ['f', FILE],
    ['g', FILE],
  ];
  const heads = Buffer.alloc(12 * names.length);
  let at = heads.length;
  names.forEach(([name, nid], i) => {
    heads.writeBigUInt64LE(BigInt(nid), 12 * i);
    heads.writeUInt16LE(at, 12 * i + 8);
    at += name.length;
  });
  const body = Buffer.concat([heads, Buffer.from(names.map(([name]) => name).join(''))]);
  writeInode(image, ROOT, { format: 1 | (2 << 1), mode: 0o40755, size: body.length, links: 2 });
  body.copy(image, place(ROOT) + 64);
  writeInode(image, FILE, { format: 1, xattrs: 3, mode: 0o104750, uid: 70000, gid: 5, size: 3, links: 2 });
  // No shared attributes; one of its own: length of the name, index of "user.", length of the value, name, value.
  Buffer.from([1, 1, 2, 0, 0x61, 1, 255]).copy(image, place(FILE) + 64 + 12);
  return image;
}

const place = (nid: number): number => BLOCK + nid * SLOT;

function writeInode(image: Buffer, nid: number, fields: Readonly<Record<string, number>>): void {
  const at = place(nid);
  const put = (name: string, offset: number) => image.writeUInt32LE(fields[name] ?? 0, at + offset);
  image.writeUInt16LE(fields['format'] ?? 0, at);
  image.writeUInt16LE(fields['xattrs'] ?? 0, at + 2);
  image.writeUInt16LE(fields['mode'] ?? 0, at + 4);
  put('size', 8);
  put('uid', 24);
  put('gid', 28);
  put('links', 44);
}
