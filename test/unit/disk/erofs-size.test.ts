import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/core/archive/entry.ts';
import { addEntry, emptyTree, overlay } from '../../../src/core/archive/tree.ts';
import { erofsRoom } from '../../../src/core/disk/erofs-size.ts';

function room(...entries: readonly Partial<Entry>[]): number {
  const over = overlay(emptyTree(), 0, 'a');
  for (const [number, entry] of entries.entries()) {
    const rest = { kind: 'file', mode: 0, uid: 0, gid: 0, size: 0, target: '', xattrs: new Map() } as const;
    const zero = { mtime: { seconds: 0, nanoseconds: 0 }, device: { major: 0, minor: 0 } };
    addEntry(over, { ...rest, ...zero, path: 'f', ...entry }, number);
  }
  return erofsRoom(over.tree);
}

const files = (count: number, entry: Partial<Entry> = {}) =>
  Array.from({ length: count }, (_, i) => ({ ...entry, path: `${i}`.padStart(5, '0') }));

describe('erofsRoom', () => {
  it('is superblock, inodes and directory for nothing', () => {
    expect(room()).toBe(3 * 4096);
    expect(room({})).toBe(3 * 4096);
  });

  it('has whole blocks for each content, and one for what is a few bytes', () => {
    expect(room({ size: 1 })).toBe(4 * 4096);
    expect(room({ size: 4096 })).toBe(4 * 4096);
    expect(room({ size: 4097 })).toBe(5 * 4096);
    expect(room({ kind: 'symlink', target: 'x' })).toBe(4 * 4096);
    expect(room({ kind: 'character', device: { major: 1, minor: 3 } })).toBe(3 * 4096);
  });

  it('counts a file with two names once', () => {
    expect(room({ size: 8192 }, { path: 'g', kind: 'link', target: 'f' })).toBe(5 * 4096);
    expect(room({ size: 8192 }, { path: 'g', size: 8192 })).toBe(7 * 4096);
  });

  it('has 64 bytes for each inode', () => {
    // The root has one as well, and so many names of 17 bytes take one block of the directory.
    expect(room(...files(63))).toBe(3 * 4096);
    expect(room(...files(64))).toBe(4 * 4096);
  });

  it('has a block for each directory, and more for one with many names', () => {
    expect(room({ path: 'd', kind: 'directory' })).toBe(4 * 4096);
    expect(room({ path: 'd/e', kind: 'directory' })).toBe(5 * 4096);
    // 3828 bytes a block: 27 of its own and 223 times 12 and 5.
    expect(room(...files(223)) - 4096 * Math.ceil((224 * 64) / 4096)).toBe(2 * 4096);
    expect(room(...files(224)) - 4096 * Math.ceil((225 * 64) / 4096)).toBe(3 * 4096);
    const deep = (entry: Partial<Entry>) => ({ ...entry, path: `d/${entry.path}` });
    const inodes = (count: number) => 4096 * Math.ceil((count * 64) / 4096);
    expect(room(...files(223).map(deep)) - inodes(225)).toBe(3 * 4096);
    expect(room(...files(224).map(deep)) - inodes(226)).toBe(4 * 4096);
  });

  it('has room for attributes, shared or not', () => {
    const xattrs = (size: number) => new Map([['user.x', new Uint8Array(size)]]);
    // Two inodes, a header of 12, a reference of 4, an entry of 4, a name of 6 and the value: 3940 fill a block.
    expect(room({ xattrs: xattrs(3942) })).toBe(3 * 4096);
    expect(room({ xattrs: xattrs(3943) })).toBe(4 * 4096);
    expect(room({ xattrs: new Map([...xattrs(3900), ['user.yy', new Uint8Array(60)]]) })).toBe(4 * 4096);
  });
});
