/**
 * @module Which blocks of an ext4 file system are in use (Linux, Documentation/filesystems/ext4/group_descr.rst and bitmaps.rst;
 * fs/ext4/balloc.c, ext4_init_block_bitmap). What belongs to the file system itself is in use whatever a bitmap says.
 */
import { layout, reserved, u16le, u32le } from '../bytes.ts';
import { type Disk, readExactly } from '../luks/disk.ts';
import { crc32c } from './crc32.ts';
import { broken, type Ext4, readSuperblock } from './ext4-superblock.ts';
import { markUnits, noUnits, type Units } from './units.ts';

const Descriptor = layout('ext4 group descriptor', {
  blockBitmap: u32le,
  inodeBitmap: u32le,
  inodeTable: u32le,
  freeBlocks: u16le,
  inodes: reserved(4),
  flags: u16le,
  exclude: reserved(4),
  bitmapChecksum: u16le,
  inodeBitmapChecksum: reserved(2),
  unusedInodes: reserved(2),
  checksum: u16le,
});

/** Behind it, with the feature 64bit. */
const DescriptorHigh = layout('ext4 group descriptor, 64bit', {
  blockBitmap: u32le,
  inodeBitmap: u32le,
  inodeTable: u32le,
  freeBlocks: u16le,
  inodes: reserved(4),
  unusedInodes: reserved(2),
  exclude: reserved(4),
  bitmapChecksum: u16le,
  inodeBitmapChecksum: reserved(2),
  reserved: reserved(4),
});

/** EXT4_BG_BLOCK_UNINIT: the group has no bitmap, since nothing but its own tables is in it. */
const BLOCK_UNINIT = 0x2;

/** A group, as its descriptor says. */
export interface Group {
  readonly number: number;
  readonly first: number;
  readonly blocks: number;
  readonly blockBitmap: number;
  readonly inodeBitmap: number;
  readonly inodeTable: number;
  readonly freeBlocks: number;
  readonly uninitialised: boolean;
  /** 16 or, with 64bit, 32 bits. */
  readonly bitmapChecksum: number;
}

/**
 * Returns the units of an image that hold blocks in use, or something behind the file system.
 *
 * @throws `format` when the image is no clean ext4, or one whose checksums or counts are wrong; `io`
 */
export async function ext4Units(disk: Disk): Promise<Units> {
  const ext4 = await readSuperblock(disk);
  const units = noUnits(disk.size);
  const mark = (first: number, count: number): void => {
    markUnits(units, first * ext4.blockSize, (first + count) * ext4.blockSize);
  };
  // The boot block before the first block of groups.
  mark(0, ext4.firstDataBlock + 1);
  markUnits(units, ext4.blocks * ext4.blockSize, disk.size);
  for await (const group of readGroups(disk, ext4)) {
    const { first } = group;
    if (ext4.hasSuperblock(group.number)) {
      const copies = 1 + ext4.descriptorBlocks + ext4.reservedDescriptorBlocks;
      mark(first, Math.min(copies, group.blocks));
    }
    for (const [at, count] of tablesOf(ext4, group)) mark(at, count);
    if (!group.uninitialised) await markUsed(disk, ext4, group, mark);
  }
  return units;
}

/** Returns first block and number of blocks of a group's tables. Throws `format` when they are not in the file system. */
export function tablesOf(ext4: Ext4, group: Group): readonly (readonly [first: number, count: number])[] {
  const { blockBitmap, inodeBitmap, inodeTable } = group;
  const tables = [[blockBitmap, 1] as const, [inodeBitmap, 1] as const, [inodeTable, ext4.inodeTableBlocks] as const];
  for (const [at, count] of tables) {
    if (at <= ext4.firstDataBlock || at + count > ext4.blocks)
      throw broken(`group ${group.number} has tables outside of the file system`);
  }
  return tables;
}

/** Yields the groups, a block of descriptors at a time. Throws `format` when the checksum of one is wrong, `io`. */
export async function* readGroups(disk: Disk, ext4: Ext4): AsyncGenerator<Group> {
  const { blockSize, descriptorSize, groups, firstDataBlock, blocksPerGroup, blocks } = ext4;
  const perBlock = Math.floor(blockSize / descriptorSize);
  for (let number = 0; number < groups; number += perBlock) {
    const at = (firstDataBlock + 1) * blockSize + (number / perBlock) * blockSize;
    const table = await readExactly(disk, at, blockSize, 'the group descriptors of ext4');
    for (let i = 0; i < perBlock && number + i < groups; i++) {
      const first = firstDataBlock + (number + i) * blocksPerGroup;
      const raw = table.subarray(i * descriptorSize, (i + 1) * descriptorSize);
      const place = { number: number + i, first, blocks: Math.min(blocksPerGroup, blocks - first) };
      yield { ...place, ...readDescriptor(raw, ext4, number + i) };
    }
  }
}

function readDescriptor(raw: Uint8Array, ext4: Ext4, number: number) {
  const low = Descriptor.unpack(raw);
  const high = ext4.descriptorSize > Descriptor.size ? DescriptorHigh.unpack(raw, Descriptor.size) : NO_HIGH;
  if (ext4.checksumSeed !== undefined) {
    const hashed = raw.slice();
    u16le.encode(0, hashed, Descriptor.offset.checksum, 'checksum');
    const group = new Uint8Array(4);
    u32le.encode(number, group, 0, 'group');
    const sum = crc32c(crc32c(ext4.checksumSeed, group), hashed) & 0xffff;
    if (sum !== low.checksum) throw broken(`the checksum of the descriptor of group ${number} is wrong`);
  }
  return {
    blockBitmap: low.blockBitmap + high.blockBitmap * 2 ** 32,
    inodeBitmap: low.inodeBitmap + high.inodeBitmap * 2 ** 32,
    inodeTable: low.inodeTable + high.inodeTable * 2 ** 32,
    freeBlocks: low.freeBlocks + high.freeBlocks * 2 ** 16,
    uninitialised: ext4.mayBeUninitialised && (low.flags & BLOCK_UNINIT) !== 0,
    bitmapChecksum: low.bitmapChecksum + high.bitmapChecksum * 2 ** 16,
  };
}

const NO_HIGH: ReturnType<typeof DescriptorHigh.unpack> = {
  blockBitmap: 0,
  inodeBitmap: 0,
  inodeTable: 0,
  freeBlocks: 0,
  bitmapChecksum: 0,
};

/** Marks what the bitmap of a group says is in use; checksum and count of free blocks must say the same as it. */
async function markUsed(
  disk: Disk,
  ext4: Ext4,
  group: Group,
  mark: (first: number, count: number) => void,
): Promise<void> {
  const { number, first, blocks, blockBitmap, freeBlocks, bitmapChecksum } = group;
  const where = `the block bitmap of group ${number}`;
  const bitmap = await readExactly(disk, blockBitmap * ext4.blockSize, ext4.blockSize, where);
  if (ext4.checksumSeed !== undefined) {
    const sum = crc32c(ext4.checksumSeed, bitmap.subarray(0, ext4.blocksPerGroup / 8));
    const expected = ext4.descriptorSize > Descriptor.size ? sum : sum & 0xffff;
    if (expected !== bitmapChecksum) throw broken(`the checksum of ${where} is wrong`);
  }
  let free = 0;
  let start: number | undefined;
  for (let block = 0; block < blocks; block++) {
    const used = (((bitmap[block >> 3] ?? 0) >> (block & 7)) & 1) === 1;
    if (used) start ??= block;
    else {
      free++;
      if (start !== undefined) mark(first + start, block - start);
      start = undefined;
    }
  }
  if (start !== undefined) mark(first + start, blocks - start);
  if (free !== freeBlocks)
    throw broken(`group ${number} says that ${freeBlocks} blocks are free, and its bitmap says ${free}`);
}
