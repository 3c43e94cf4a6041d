import { describe, expect, it } from 'vitest';
import type { Entry } from '../../../src/core/archive/entry.ts';
import { addEntry, emptyTree, overlay } from '../../../src/core/archive/tree.ts';
import { fitExt4 } from '../../../src/core/disk/ext4-size.ts';

const MIB = 2 ** 20;

function tree(...entries: readonly Partial<Entry>[]) {
  const over = overlay(emptyTree(), 0, 'a');
  for (const [number, entry] of entries.entries()) {
    const rest = { kind: 'file', mode: 0, uid: 0, gid: 0, size: 0, target: '', xattrs: new Map() } as const;
    const full = {
      ...rest,
      mtime: { seconds: 0, nanoseconds: 0 },
      device: { major: 0, minor: 0 },
      path: 'f',
      ...entry,
    };
    addEntry(over, full, number);
  }
  return over.tree;
}

describe('fitExt4', () => {
  it('has whole MiB and 64 MiB of room at least', () => {
    const { size, inodes, used } = fitExt4(tree({ size: 1 }), undefined);
    expect(size % MIB).toBe(0);
    expect(size - used).toBeGreaterThanOrEqual(64 * MIB);
    expect(size).toBeLessThan(80 * MIB);
    expect(inodes).toBe(size / 16384);
  });

  it('has a quarter more than the files need', () => {
    const { size, used } = fitExt4(tree({ size: 4096 * MIB }), undefined);
    expect(used).toBeGreaterThan(4096 * MIB);
    expect(used).toBeLessThan(4096 * MIB * 1.07);
    expect(size - used).toBeGreaterThanOrEqual(1024 * MIB);
    expect(size).toBeLessThan(4096 * MIB * 1.35);
  });

  it('has an inode for each file, however small', () => {
    const many = Array.from({ length: 20_000 }, (_, i) => ({ path: `d/${i}` }));
    expect(fitExt4(tree(...many), undefined).inodes).toBeGreaterThan(20_000);
  });

  it('counts a file with two names once, and what does not fit into an inode', () => {
    const used = (...entries: readonly Partial<Entry>[]) => fitExt4(tree(...entries), undefined).used;
    const one = used({ size: MIB });
    expect(used({ size: MIB }, { path: 'g', kind: 'link', target: 'f' })).toBeLessThan(one + 4096);
    expect(used({ size: MIB }, { path: 'g', size: MIB })).toBeGreaterThan(one + MIB - 4096);
    const link = (length: number) => used({ kind: 'symlink', target: 't'.repeat(length) });
    expect(link(60) - link(59)).toBeGreaterThanOrEqual(4096);
    expect(used({ xattrs: new Map([['user.x', new Uint8Array(1)]]) })).toBeGreaterThan(used({}) + 4095);
  });

  it('takes the size that is asked for, when the files fit in it', () => {
    expect(fitExt4(tree({ size: MIB }), 64 * MIB)).toMatchObject({ size: 64 * MIB, inodes: 4096 });
    const least = fitExt4(tree({ size: 100 * MIB }), 200 * MIB).used;
    expect(fitExt4(tree({ size: 100 * MIB }), Math.ceil(least / 4096) * 4096).used).toBe(least);
    const refuse = (size: number, message: string) =>
      expect(() => fitExt4(tree({ size: 100 * MIB }), size)).toThrow(
        expect.objectContaining({ kind: 'usage', message: expect.stringContaining(message) }),
      );
    refuse(Math.floor(least / 4096) * 4096, 'the files need a file system of');
    refuse(200 * MIB + 512, 'the size is not a multiple of 4096');
    refuse(2 ** 44 + 4096, 'at most 16 TiB');
    expect(fitExt4(tree({}), 2 ** 44).size).toBe(2 ** 44);
  });
});
