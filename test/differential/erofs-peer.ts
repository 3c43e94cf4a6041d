/** @module What is in an EROFS file system: found by erofs-utils' dump.erofs, and read here by what the kernel's erofs_fs.h says. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import type { Needed } from '../needs.ts';

export const erofsUtils: Needed = {
  name: 'erofs-utils',
  files: ['/usr/bin/mkfs.erofs', '/usr/bin/fsck.erofs', '/usr/bin/dump.erofs'],
  how: 'apt-get install erofs-utils',
};

/** What makes file systems of archives. */
export const fakeroot: Needed = {
  name: 'fakeroot with attr',
  files: [...erofsUtils.files, '/usr/bin/fakeroot', '/usr/bin/setfattr'],
  how: 'apt-get install erofs-utils fakeroot attr',
};

/** A file as it is in the file system. */
export interface Found {
  readonly nid: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly mtime: readonly [number, number];
  /** As stat says it; only of devices. */
  readonly device: number;
  readonly xattrs: Readonly<Record<string, string>>;
}

const SUPERBLOCK = 1024;
const BLOCK = 4096;

/** erofs_fs.h, EROFS_XATTR_INDEX_*. */
const PREFIXES: Readonly<Record<number, string>> = {
  1: 'user.',
  2: 'system.posix_acl_access',
  3: 'system.posix_acl_default',
  4: 'trusted.',
  6: 'security.',
};

/** Returns the file under `path`, of an image with inodes of 64 bytes. Attributes are in hexadecimal. */
export function readErofs(file: string, path: string): Found {
  const printed = execFileSync('/usr/bin/dump.erofs', [`--path=/${path}`, file], { encoding: 'utf8' });
  const nid = Number(/^NID: ([0-9]+)/m.exec(printed)?.[1]);
  const image = fs.readFileSync(file);
  const at = image.readUInt32LE(SUPERBLOCK + 40) * BLOCK + nid * 32;
  return {
    nid,
    mode: image.readUInt16LE(at + 4),
    uid: image.readUInt32LE(at + 24),
    gid: image.readUInt32LE(at + 28),
    device: image.readUInt32LE(at + 16),
    mtime: [Number(image.readBigInt64LE(at + 32)), image.readUInt32LE(at + 40)],
    links: image.readUInt32LE(at + 44),
    xattrs: readXattrs(image, at),
  };
}

function readXattrs(image: Buffer, inode: number): Record<string, string> {
  const count = image.readUInt16LE(inode + 2);
  if (count === 0) return {};
  const found: Record<string, string> = {};
  const read = (at: number): number => {
    const [length = 0, prefix = 0] = image.subarray(at);
    const size = image.readUInt16LE(at + 2);
    const name = image.toString('latin1', at + 4, at + 4 + length);
    const value = at + 4 + length;
    found[`${PREFIXES[prefix]}${name}`] = image.toString('hex', value, value + size);
    return Math.ceil((4 + length + size) / 4) * 4;
  };
  const body = inode + 64;
  const shared = image[body + 4] ?? 0;
  const table = image.readUInt32LE(SUPERBLOCK + 44) * BLOCK;
  for (let i = 0; i < shared; i++) read(table + image.readUInt32LE(body + 12 + 4 * i) * 4);
  const end = body + 12 + (count - 1) * 4;
  for (let at = body + 12 + 4 * shared; at < end; ) at += read(at);
  return found;
}
