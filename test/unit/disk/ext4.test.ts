import { describe, expect, it } from 'vitest';
import { crc32c } from '../../../src/core/disk/crc32.ts';
import { ext4Units } from '../../../src/core/disk/ext4-blocks.ts';
import { holds, type noUnits, UNIT } from '../../../src/core/disk/units.ts';
import { fixture, vectors } from '../../fixtures.ts';
import { memoryDisk } from '../../luks-image.ts';

interface Case {
  readonly image: string;
  readonly options: string;
  readonly blockSize: number;
  readonly uninitialised: number;
  readonly free: readonly (readonly [number, number])[];
}

const { tests } = vectors<{ tests: readonly Case[] }>('ext4-free.json');
const image = (name: string): Uint8Array => fixture(`ext4/${name}.img`);

/** The units that dumpe2fs calls free from end to end. */
function freeUnits(size: number, { blockSize, free }: Case): number[] {
  const isFree = new Uint8Array(size / blockSize);
  for (const [first, last] of free) isFree.fill(1, first, last + 1);
  const perUnit = UNIT / blockSize;
  const units = Array.from({ length: size / UNIT }, (_, i) => i);
  return units.filter((unit) => isFree.subarray(unit * perUnit, (unit + 1) * perUnit).every((bit) => bit === 1));
}

function unused(found: ReturnType<typeof noUnits>, size: number): number[] {
  return Array.from({ length: Math.ceil(size / UNIT) }, (_, i) => i).filter((unit) => !holds(found, unit));
}

describe('ext4Units', () => {
  it.each(tests)('finds what dumpe2fs calls free: $options', async (test) => {
    const bytes = image(test.image);
    const expected = freeUnits(bytes.length, test);
    expect(expected.length).toBeGreaterThan(50);
    expect(unused(await ext4Units(memoryDisk(bytes)), bytes.length)).toEqual(expected);
  });

  it('has fixtures with groups that have no bitmap, and with some free and some used units in one group', () => {
    expect(tests.map(({ uninitialised }) => uninitialised > 0)).toEqual([true, true, true, false]);
  });

  it('takes what lies behind the file system for used', async () => {
    const bytes = image('blocks-4096-uninit');
    const longer = new Uint8Array(bytes.length + 3 * UNIT + 1);
    longer.set(bytes);
    const units = await ext4Units(memoryDisk(longer));
    const [first, last] = [bytes.length / UNIT, bytes.length / UNIT + 3];
    for (let unit = first; unit <= last; unit++) expect(holds(units, unit)).toBe(true);
    expect(unused(units, bytes.length)).toEqual(unused(await ext4Units(memoryDisk(bytes)), bytes.length));
  });
});

const SUPER = 1024;

/** Changes a copy of an image; the checksum of its superblock is made right again. */
function changed(name: string, change: (view: DataView) => void): Uint8Array {
  const copy = image(name).slice();
  const view = new DataView(copy.buffer);
  change(view);
  view.setUint32(SUPER + 0x3fc, crc32c(0xffffffff, copy.subarray(SUPER, SUPER + 0x3fc)), true);
  return copy;
}

/** Makes the checksum of a group descriptor right again, as the kernel computes it. */
function repairDescriptor(view: DataView, group: number): void {
  const bytes = new Uint8Array(view.buffer);
  const blockSize = 1024 << view.getUint32(SUPER + 24, true);
  const size = view.getUint16(SUPER + 0xfe, true);
  const at = (view.getUint32(SUPER + 20, true) + 1) * blockSize + group * size;
  view.setUint16(at + 0x1e, 0, true);
  const seed = crc32c(crc32c(0xffffffff, bytes.slice(SUPER + 0x68, SUPER + 0x78)), Uint8Array.of(group, 0, 0, 0));
  view.setUint16(at + 0x1e, crc32c(seed, bytes.subarray(at, at + size)), true);
}

const units = (bytes: Uint8Array) => ext4Units(memoryDisk(bytes));
const u16 = (at: number, value: number) => (view: DataView) => view.setUint16(SUPER + at, value, true);
const u32 = (at: number, value: number) => (view: DataView) => view.setUint32(SUPER + at, value, true);
const or32 = (at: number, bits: number) => (view: DataView) =>
  view.setUint32(SUPER + at, view.getUint32(SUPER + at, true) | bits, true);

describe('ext4Units: what is no clean ext4', () => {
  it.each<[string, (view: DataView) => void, string]>([
    ['no magic number', u16(0x38, 0), 'free blocks are known of ext4 only, and the image holds something unknown'],
    ['mounted', u16(0x3a, 0), 'not clean: it was not unmounted, or has errors'],
    ['with errors', u16(0x3a, 3), 'not clean: it was not unmounted, or has errors'],
    ['a journal to replay', or32(0x60, 4), 'not clean: its journal was not replayed'],
    ['orphans in a list', u32(0xe8, 12), 'not clean: it has files that were deleted'],
    ['orphans in a file', or32(0x64, 0x10000), 'not clean: it has files that were deleted'],
    ['meta_bg', or32(0x60, 0x10), 'features (0x10, 0x0) are not known well enough'],
    ['mmp', or32(0x60, 0x100), 'features (0x100, 0x0)'],
    ['compression', or32(0x60, 1), 'features (0x1, 0x0)'],
    ['a journal device', or32(0x60, 8), 'features (0x8, 0x0)'],
    ['an unknown feature', or32(0x60, 0x80000000), 'features (0x80000000, 0x0)'],
    ['bigalloc', or32(0x64, 0x200), 'features (0x0, 0x200)'],
    ['shared blocks', or32(0x64, 0x4000), 'features (0x0, 0x4000)'],
    ['an unknown read-only feature', or32(0x64, 0x80000000), 'features (0x0, 0x80000000)'],
    ['revision 2', u32(0x4c, 2), 'ext4: revision 2'],
    ['blocks of 128 KiB', u32(0x18, 7), 'the size of its blocks is wrong'],
    ['clusters', u32(0x1c, 1), 'the size of its blocks is wrong'],
    ['groups of no block', u32(0x20, 0), 'groups of 0 blocks'],
    ['groups of 1020 blocks', u32(0x20, 1020), 'groups of 1020 blocks'],
    ['groups of 8200 blocks', u32(0x20, 8200), 'groups of 8200 blocks'],
    ['groups of two sizes', u32(0x24, 1016), 'its groups have two sizes'],
    ['another first block', u32(0x14, 0), 'it begins at another block than it must'],
    ['one block too many', u32(0x4, 16385), 'it has 16385 blocks, which is more than the image holds'],
    ['2^32 blocks more', u32(0x150, 1), 'it has 4294983680 blocks, which is more than the image holds'],
    ['no blocks', u32(0x4, 1), 'it has 1 blocks'],
    ['descriptors of 32 bytes with 64bit', u16(0xfe, 32), 'descriptors of 32 bytes'],
    ['descriptors of 96 bytes', u16(0xfe, 96), 'descriptors of 96 bytes'],
    ['descriptors of 2048 bytes', u16(0xfe, 2048), 'descriptors of 2048 bytes'],
    ['an unknown checksum', (view) => view.setUint8(SUPER + 0x175, 2), 'checksums of the unknown type 2'],
    ['no inodes', u32(0x28, 0), 'the size of its inode tables is wrong'],
    ['inode tables larger than a group', u32(0x28, 0xffffffff), 'the size of its inode tables is wrong'],
  ])('refuses %s', async (_, change, message) => {
    await expect(units(changed('blocks-1024-flex', change))).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
    });
  });

  it('names what the image holds when it is another file system', async () => {
    const erofs = new Uint8Array(8192);
    erofs.set([0xe2, 0xe1, 0xf5, 0xe0], SUPER);
    erofs[SUPER + 12] = 12;
    await expect(units(erofs)).rejects.toMatchObject({
      kind: 'format',
      message: 'free blocks are known of ext4 only, and the image holds EROFS with blocks of 4096 bytes',
      hint: 'leave --sparse out: every sector is then encrypted',
    });
  });

  it('refuses a superblock whose checksum is wrong', async () => {
    const bytes = image('blocks-1024-flex').slice();
    bytes[SUPER + 0x78] = 1;
    await expect(units(bytes)).rejects.toMatchObject({ message: 'ext4: the checksum of its superblock is wrong' });
  });

  it('refuses an image that ends within the superblock, the descriptors or a bitmap', async () => {
    const bytes = image('blocks-1024-flex');
    await expect(units(bytes.slice(0, 2047))).rejects.toMatchObject({
      message: expect.stringMatching(/before the end of the superblock/),
    });
    await expect(units(new Uint8Array())).rejects.toMatchObject({ kind: 'format' });
  });

  it.each([
    ['the free blocks', 0xc],
    ['the flags', 0x12],
    ['the high half of the inode table', 0x28],
  ])('refuses a descriptor in which a bit of %s is changed', async (_, at) => {
    const bytes = changed('blocks-1024-flex', (view) =>
      view.setUint8(2048 + 64 + at, view.getUint8(2048 + 64 + at) ^ 1),
    );
    await expect(units(bytes)).rejects.toMatchObject({
      message: 'ext4: the checksum of the descriptor of group 1 is wrong',
    });
  });

  it.each([
    ['a bitmap behind the end', 0x0, 16384],
    ['a bitmap at the start', 0x0, 1],
    ['an inode bitmap behind the end', 0x4, 16384],
    ['an inode table that reaches behind the end', 0x8, 16384 - 63],
  ])('refuses %s', async (_, at, block) => {
    const bytes = changed('blocks-1024-flex', (view) => {
      view.setUint32(2048 + at, block, true);
      repairDescriptor(view, 0);
    });
    await expect(units(bytes)).rejects.toMatchObject({
      message: 'ext4: group 0 has tables outside of the file system',
    });
  });

  it('takes tables up to the last block', async () => {
    const bytes = changed('blocks-1024-flex', (view) => {
      view.setUint32(2048 + 8, 16384 - 64, true);
      repairDescriptor(view, 0);
    });
    const found = await units(bytes);
    expect(holds(found, 255)).toBe(true);
  });

  it('refuses a bitmap whose checksum is wrong', async () => {
    const view = new DataView(image('blocks-1024-flex').buffer);
    const at = view.getUint32(2048, true) * 1024;
    const bytes = changed('blocks-1024-flex', (copy) => copy.setUint8(at + 100, 0));
    await expect(units(bytes)).rejects.toMatchObject({
      message: 'ext4: the checksum of the block bitmap of group 0 is wrong',
    });
  });

  it('refuses a bitmap that has other free blocks than the descriptor says, also without checksums', async () => {
    const view = new DataView(image('blocks-1024-ext2').buffer);
    const free = view.getUint16(2048 + 0xc, true);
    const bytes = changed('blocks-1024-ext2', (copy) => copy.setUint16(2048 + 0xc, free - 1, true));
    await expect(units(bytes)).rejects.toMatchObject({
      message: `ext4: group 0 says that ${free - 1} blocks are free, and its bitmap says ${free}`,
    });
  });
});

describe('ext4Units: groups without a bitmap', () => {
  const NAME = 'blocks-4096-uninit';
  const DESCRIPTORS = 4096;
  const flag = (view: DataView, group: number) => view.getUint16(DESCRIPTORS + 32 * group + 0x12, true);
  const groups = Array.from({ length: 24 }, (_, i) => i);
  const view = new DataView(image(NAME).buffer);
  const without = groups.filter((group) => (flag(view, group) & 2) !== 0);
  const unitsOfGroup = (group: number) => Array.from({ length: 16 }, (_, i) => group * 16 + i);

  it('hold what they hold of the file system itself, whatever else stands there', async () => {
    const [group = 0] = without;
    // The tables of another group move into one without a bitmap: flex_bg puts them there.
    const bytes = changed(NAME, (copy) => copy.setUint32(DESCRIPTORS + 32 * 23 + 4, group * 256 + 40, true));
    const before = await units(image(NAME));
    expect(unitsOfGroup(group).filter((unit) => holds(before, unit))).toEqual([]);
    const found = await units(bytes);
    expect(unitsOfGroup(group).filter((unit) => holds(found, unit))).toEqual([group * 16 + 2]);
  });

  it('are told by their flag only where the file system may have them', async () => {
    const [group = 0] = without;
    const fillBitmap = (copy: DataView) => {
      const at = copy.getUint32(DESCRIPTORS + 32 * group, true) * 4096;
      new Uint8Array(copy.buffer).fill(0xff, at, at + 4096);
    };
    const found = await units(changed(NAME, fillBitmap));
    expect(unitsOfGroup(group).filter((unit) => holds(found, unit))).toEqual([]);
    // Without uninit_bg the flag means nothing, and the bitmap counts.
    const plain = changed(NAME, (copy) => {
      fillBitmap(copy);
      copy.setUint32(SUPER + 0x64, copy.getUint32(SUPER + 0x64, true) & ~0x10, true);
    });
    await expect(units(plain)).rejects.toMatchObject({
      message: `ext4: group ${group} says that 256 blocks are free, and its bitmap says 0`,
    });
  });

  it('hold the copies of the superblock that sparse_super2 names', async () => {
    const [group = 0] = without;
    const bytes = changed(NAME, (copy) => {
      copy.setUint32(SUPER + 0x24c, group, true);
      copy.setUint16(SUPER + 0xce, 20, true);
    });
    const found = await units(bytes);
    // Superblock, descriptors, and 20 blocks kept for more of them.
    expect(unitsOfGroup(group).filter((unit) => holds(found, unit))).toEqual([group * 16, group * 16 + 1]);
  });

  it.each([
    [1, [1, 3, 5, 7, 9]],
    [0, Array.from({ length: 24 }, (_, i) => i).slice(1)],
  ])('hold the copies of the superblock with sparse_super %i', async (sparse, expected) => {
    const bytes = changed(NAME, (copy) => {
      copy.setUint32(SUPER + 0x5c, copy.getUint32(SUPER + 0x5c, true) & ~0x200, true);
      copy.setUint32(SUPER + 0x64, (copy.getUint32(SUPER + 0x64, true) & ~1) | sparse, true);
      // Every group but the first has no bitmap now.
      for (const group of groups.slice(1)) copy.setUint16(DESCRIPTORS + 32 * group + 0x12, 2, true);
      // All tables in the first group.
      for (const group of groups.slice(1)) {
        for (const at of [0, 4, 8])
          copy.setUint32(DESCRIPTORS + 32 * group + at, copy.getUint32(DESCRIPTORS + at, true), true);
      }
    });
    const found = await units(bytes);
    const first = groups.slice(1).filter((group) => holds(found, group * 16));
    expect(first.filter((group) => group < 12)).toEqual(expected.filter((group) => group < 12));
    expect(first).toEqual(groups.slice(1).filter((group) => expected.includes(group)));
  });
});
