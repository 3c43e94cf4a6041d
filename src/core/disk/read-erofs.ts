/**
 * @module What an EROFS file system says of its files, read for a comparison: inodes of 64 bytes, directories that are not
 * compressed, attributes with the common prefixes (Linux, fs/erofs/erofs_fs.h).
 */
import { latin1 } from '../archive/tar-header.ts';
import { layout, reserved, u8, u16le, u32le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { EROFS_BLOCK } from './erofs-size.ts';

const SUPERBLOCK_AT = 1024;

const Superblock = layout('EROFS superblock', {
  before: reserved(14),
  rootNid: u16le,
  times: reserved(24),
  metaBlock: u32le,
  xattrBlock: u32le,
});

const Extended = layout('EROFS inode', {
  format: u16le,
  xattrCount: u16le,
  mode: u16le,
  reserved: reserved(2),
  size: u64le,
  /** The first block of the content, or the number of a device. */
  content: u32le,
  number: reserved(4),
  uid: u32le,
  gid: u32le,
  mtime: reserved(12),
  links: u32le,
  more: reserved(16),
});

const Dirent = layout('EROFS directory entry', { nid: u64le, nameOffset: u16le, type: u8, reserved: reserved(1) });

const XattrEntry = layout('EROFS attribute', { nameLength: u8, prefix: u8, valueSize: u16le });
const XATTR_HEADER = 12;
const SHARED_COUNT_AT = 4;

/** EROFS_XATTR_INDEX_*. */
const PREFIXES: Readonly<Record<number, string>> = {
  1: 'user.',
  2: 'system.posix_acl_access',
  3: 'system.posix_acl_default',
  4: 'trusted.',
  6: 'security.',
};

/** Inodes start at multiples of this. */
const SLOT = 32;

/** A file. */
export interface ErofsInode {
  readonly nid: bigint;
  /** With the bits of its kind. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly size: bigint;
  /** As Linux writes it down (include/linux/kdev_t.h, new_encode_dev); of others than devices, where their content is. */
  readonly device: number;
  /** One letter a byte, as all texts here. */
  readonly xattrs: ReadonlyMap<string, string>;
  /** What is in it, when it is a directory. */
  children(): ReadonlyMap<string, ErofsInode>;
}

/** Returns bytes of the file system. */
export type ReadErofs = (at: number, size: number) => Uint8Array;

/** Returns the root. Throws `format`, as its inodes do, for what is broken or of another form. */
export function readErofs(read: ReadErofs): ErofsInode {
  const { rootNid, metaBlock, xattrBlock } = Superblock.unpack(read(SUPERBLOCK_AT, Superblock.size));
  const inodeAt = (nid: bigint): ErofsInode => {
    const at = metaBlock * EROFS_BLOCK + Number(nid) * SLOT;
    if (!Number.isSafeInteger(at)) throw unknown(`inode ${nid} is beyond all limits`);
    const inode = Extended.unpack(read(at, Extended.size));
    if ((inode.format & 1) === 0) throw unknown(`inode ${nid} has 32 bytes`);
    const xattrSize = inode.xattrCount === 0 ? 0 : XATTR_HEADER + (inode.xattrCount - 1) * 4;
    const body = at + Extended.size;
    return {
      ...inode,
      nid,
      device: inode.content,
      xattrs: readXattrs(read, body, xattrSize, xattrBlock * EROFS_BLOCK),
      children() {
        const entries = [...blocksOf(read, inode, nid, body + xattrSize)].flatMap(readNames);
        return new Map(
          entries.filter(([name]) => name !== '.' && name !== '..').map(([name, to]) => [name, inodeAt(to)]),
        );
      },
    };
  };
  return inodeAt(BigInt(rootNid));
}

function unknown(what: string): BootsealError {
  return new BootsealError('format', `EROFS: ${what}`, {
    hint: 'mkfs.erofs of erofs-utils makes another form, see --filesystem',
  });
}

/** A directory of a million long names; bytes. */
const MOST_DIRECTORY = 2 ** 28;

/** Where the content is: in blocks, or the last of them behind the inode. */
const FLAT_PLAIN = 0;
const FLAT_INLINE = 2;

function* blocksOf(
  read: ReadErofs,
  inode: { readonly format: number; readonly size: bigint; readonly content: number },
  nid: bigint,
  inline: number,
): Generator<Uint8Array> {
  const form = (inode.format >> 1) & 7;
  if (form !== FLAT_PLAIN && form !== FLAT_INLINE) throw unknown(`directory ${nid} is in form ${form}`);
  const size = Number(inode.size);
  if (size > MOST_DIRECTORY) throw unknown(`directory ${nid} has ${size} bytes`);
  const whole = Math.floor(size / EROFS_BLOCK);
  for (let at = 0; at < size; at += EROFS_BLOCK) {
    const isInline = form === FLAT_INLINE && at / EROFS_BLOCK === whole;
    yield read(isInline ? inline : inode.content * EROFS_BLOCK + at, Math.min(EROFS_BLOCK, size - at));
  }
}

/** The entries come first, of which the first says where names begin; the last name ends at a zero. */
function readNames(block: Uint8Array): (readonly [string, bigint])[] {
  const count = Math.floor(Dirent.unpack(block).nameOffset / Dirent.size);
  const entries = Array.from({ length: count }, (_, i) => Dirent.unpack(block, i * Dirent.size));
  return entries.map(({ nid, nameOffset }, i) => {
    const name = latin1(block.subarray(nameOffset, entries[i + 1]?.nameOffset));
    return [name.split('\0', 1)[0] ?? '', nid];
  });
}

function readXattrs(read: ReadErofs, at: number, size: number, table: number): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (size === 0) return found;
  const body = read(at, size);
  const shared = body[SHARED_COUNT_AT] ?? 0;
  const add = (place: number, bytes: (from: number, length: number) => Uint8Array): number => {
    const { nameLength, prefix, valueSize } = XattrEntry.unpack(bytes(place, XattrEntry.size));
    const text = latin1(bytes(place + XattrEntry.size, nameLength + valueSize));
    found.set(`${PREFIXES[prefix] ?? `${prefix}.`}${text.slice(0, nameLength)}`, text.slice(nameLength));
    return place + Math.ceil((XattrEntry.size + nameLength + valueSize) / 4) * 4;
  };
  for (let i = 0; i < shared; i++) {
    add(table + u32le.decode(body, XATTR_HEADER + 4 * i, 'EROFS attribute') * 4, read);
  }
  let place = XATTR_HEADER + 4 * shared;
  while (place < size) place = add(place, (from, length) => body.subarray(from, from + length));
  return found;
}
