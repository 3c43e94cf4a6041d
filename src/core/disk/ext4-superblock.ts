/**
 * @module The superblock of ext4, and whether the file system is one whose free blocks can be told: clean, and without any feature
 * that gives its block bitmaps another meaning (Linux, Documentation/filesystems/ext4/super.rst).
 */
import { bytes, layout, reserved, u8, u16le, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type Disk, readExactly } from '../luks/disk.ts';
import { crc32c } from './crc32.ts';
import { identifyPayload, PAYLOAD_START } from './payload.ts';

const Superblock = layout('ext4 superblock', {
  inodes: u32le,
  blocksLow: u32le,
  reservedBlocks: reserved(4),
  freeBlocks: reserved(4),
  freeInodes: reserved(4),
  firstDataBlock: u32le,
  logBlockSize: u32le,
  logClusterSize: u32le,
  blocksPerGroup: u32le,
  clustersPerGroup: u32le,
  inodesPerGroup: u32le,
  times: reserved(8),
  mounts: reserved(4),
  magic: u16le,
  state: u16le,
  errors: reserved(4),
  checks: reserved(8),
  creator: reserved(4),
  revision: u32le,
  owner: reserved(4),
  firstInode: reserved(4),
  inodeSize: u16le,
  blockGroup: reserved(2),
  compatible: u32le,
  incompatible: u32le,
  readOnlyCompatible: u32le,
  uuid: bytes(16),
  names: reserved(84),
  preallocation: reserved(2),
  reservedGdtBlocks: u16le,
  journal: reserved(24),
  lastOrphan: u32le,
  hash: reserved(18),
  descriptorSize: u16le,
  mountOptions: reserved(80),
  blocksHigh: u32le,
  more: reserved(33),
  checksumType: u8,
  more1: reserved(214),
  backupGroup0: u32le,
  backupGroup1: u32le,
  more2: reserved(28),
  checksumSeed: u32le,
  more3: reserved(392),
  checksum: u32le,
});

/** What the rest of the reader needs to know. */
export interface Ext4 {
  /** Bytes. */
  readonly blockSize: number;
  readonly blocks: number;
  readonly firstDataBlock: number;
  readonly blocksPerGroup: number;
  readonly groups: number;
  /** Bytes. */
  readonly descriptorSize: number;
  /** Blocks of the group descriptors, and those kept free behind them. */
  readonly descriptorBlocks: number;
  readonly reservedDescriptorBlocks: number;
  readonly inodeTableBlocks: number;
  /** Whether groups may be without a bitmap (uninit_bg, metadata_csum). */
  readonly mayBeUninitialised: boolean;
  /** What checksums begin with; undefined where there are none. */
  readonly checksumSeed: number | undefined;
  /** Whether descriptors of all groups follow the superblock, and blocks are what bitmaps count. */
  readonly hasPlainGroups: boolean;
  /** Says whether a group begins with a copy of superblock and descriptors. */
  hasSuperblock(group: number): boolean;
}

const SUPERBLOCK_AT = 1024;
const MAGIC = 0xef53;
const STATE_CLEAN = 1;
const DESCRIPTOR_SIZE = 32;

const COMPATIBLE = { sparseSuper2: 0x200 };
const INCOMPATIBLE = { recover: 0x4, journalDevice: 0x8, metaGroups: 0x10, bits64: 0x80, checksumSeed: 0x2000 };
const READ_ONLY = {
  sparseSuper: 0x1,
  gdtChecksum: 0x10,
  bigAlloc: 0x200,
  metadataChecksum: 0x400,
  orphanPresent: 0x10000,
};

/** filetype, extents, 64bit, flex_bg, ea_inode, csum_seed, largedir, inline_data, encrypt, casefold: block bitmaps stay what they are. */
const KNOWN_INCOMPATIBLE = 0x2 | 0x40 | 0x80 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000;
/** sparse_super, large_file, huge_file, uninit_bg, dir_nlink, extra_isize, quota, metadata_csum, readonly, project, verity. */
const KNOWN_READ_ONLY = 0x1 | 0x2 | 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0x400 | 0x1000 | 0x2000 | 0x8000;

/** Reads the superblock; throws `format` when it is no clean ext4 whose bitmaps can be read, or breaks a rule; `io`. */
export async function readSuperblock(disk: Disk): Promise<Ext4> {
  const { raw, fields } = await readFields(disk);
  if (fields.magic !== MAGIC) throw another(await disk.read(0, PAYLOAD_START));
  checkFeatures(fields);
  if (fields.state !== STATE_CLEAN) throw unclean('it was not unmounted, or has errors');
  if (fields.lastOrphan !== 0) throw unclean('it has files that were deleted while they were open');
  return shapeOf(raw, fields, disk);
}

/** Reads the superblock of any ext4, clean or not and whatever its features; throws `format` when it breaks a rule, `io`. */
export async function readAnySuperblock(disk: Disk): Promise<Ext4> {
  const { raw, fields } = await readFields(disk);
  return shapeOf(raw, fields, disk);
}

async function readFields(disk: Disk): Promise<{ raw: Uint8Array; fields: Fields }> {
  const raw = await readExactly(disk, SUPERBLOCK_AT, Superblock.size, 'the superblock of ext4');
  return { raw, fields: Superblock.unpack(raw) };
}

function shapeOf(raw: Uint8Array, fields: Fields, disk: Disk): Ext4 {
  const { logBlockSize, blocksPerGroup, firstDataBlock, inodesPerGroup, inodeSize } = fields;
  const { journalDevice, metaGroups } = INCOMPATIBLE;
  const clustered = (fields.readOnlyCompatible & READ_ONLY.bigAlloc) !== 0;
  const hasPlainGroups = !clustered && (fields.incompatible & (journalDevice | metaGroups)) === 0;
  if (logBlockSize > 6) throw broken('the size of its blocks is wrong');
  const blockSize = 1024 << logBlockSize;
  if (hasPlainGroups) checkGroups(fields, blockSize);
  const bits64 = (fields.incompatible & INCOMPATIBLE.bits64) !== 0;
  const blocks = fields.blocksLow + (bits64 ? fields.blocksHigh * 2 ** 32 : 0);
  if (blocks * blockSize > disk.size) throw broken(`it has ${blocks} blocks, which is more than the image holds`);
  if (blocks <= firstDataBlock) throw broken(`it has ${blocks} blocks`);
  const descriptorSize = bits64 ? fields.descriptorSize : DESCRIPTOR_SIZE;
  if (bits64 && (descriptorSize < 64 || descriptorSize > 1024 || (descriptorSize & (descriptorSize - 1)) !== 0)) {
    throw broken(`descriptors of ${descriptorSize} bytes`);
  }
  const checksumSeed = seedOf(fields);
  if (
    checksumSeed !== undefined &&
    crc32c(0xffffffff, raw.subarray(0, Superblock.offset.checksum)) !== fields.checksum
  ) {
    throw broken('the checksum of its superblock is wrong');
  }
  const size = fields.revision === 0 ? 128 : inodeSize;
  const inodeTableBlocks = Math.ceil((inodesPerGroup * size) / blockSize);
  if (inodeTableBlocks === 0 || inodeTableBlocks > blocksPerGroup)
    throw broken('the size of its inode tables is wrong');
  const groups = Math.ceil((blocks - firstDataBlock) / blocksPerGroup);
  return {
    ...{ blockSize, blocks, firstDataBlock, blocksPerGroup, groups, descriptorSize, inodeTableBlocks, checksumSeed },
    hasPlainGroups,
    descriptorBlocks: Math.ceil((groups * descriptorSize) / blockSize),
    reservedDescriptorBlocks: fields.reservedGdtBlocks,
    mayBeUninitialised: (fields.readOnlyCompatible & (READ_ONLY.gdtChecksum | READ_ONLY.metadataChecksum)) !== 0,
    hasSuperblock: (group) => hasSuperblock(fields, group),
  };
}

function checkGroups({ blocksPerGroup, firstDataBlock, ...fields }: Fields, blockSize: number): void {
  if (fields.logClusterSize !== fields.logBlockSize) throw broken('the size of its blocks is wrong');
  if (blocksPerGroup === 0 || blocksPerGroup % 8 !== 0 || blocksPerGroup > blockSize * 8) {
    throw broken(`groups of ${blocksPerGroup} blocks`);
  }
  if (fields.clustersPerGroup !== blocksPerGroup) throw broken('its groups have two sizes');
  if (firstDataBlock !== (blockSize === 1024 ? 1 : 0)) throw broken('it begins at another block than it must');
}

const WITHOUT = 'leave --sparse out: every sector is then encrypted';

function another(start: Uint8Array): BootsealError {
  const what = identifyPayload(start)?.what ?? 'something unknown';
  return new BootsealError('format', `free blocks are known of ext4 only, and the image holds ${what}`, {
    hint: WITHOUT,
  });
}

type Fields = ReturnType<typeof Superblock.unpack>;

function checkFeatures({ incompatible, readOnlyCompatible, revision }: Fields): void {
  if (revision > 1) throw broken(`revision ${revision}`);
  if ((incompatible & INCOMPATIBLE.recover) !== 0) throw unclean('its journal was not replayed');
  if ((readOnlyCompatible & READ_ONLY.orphanPresent) !== 0)
    throw unclean('it has files that were deleted while they were open');
  const unknown = [incompatible & ~KNOWN_INCOMPATIBLE, readOnlyCompatible & ~KNOWN_READ_ONLY];
  if (unknown.every((bits) => bits === 0)) return;
  const [first = 0, second = 0] = unknown.map((bits) => bits >>> 0);
  throw new BootsealError(
    'format',
    `ext4: its features (0x${first.toString(16)}, 0x${second.toString(16)}) are not known well enough to tell which blocks are free`,
    { hint: WITHOUT },
  );
}

function seedOf({ incompatible, readOnlyCompatible, checksumType, checksumSeed, uuid }: Fields): number | undefined {
  if ((readOnlyCompatible & READ_ONLY.metadataChecksum) === 0) return undefined;
  if (checksumType !== 1) throw broken(`checksums of the unknown type ${checksumType}`);
  return (incompatible & INCOMPATIBLE.checksumSeed) !== 0 ? checksumSeed : crc32c(0xffffffff, uuid);
}

/** Linux, fs/ext4/balloc.c, ext4_bg_has_super. */
function hasSuperblock({ compatible, readOnlyCompatible, backupGroup0, backupGroup1 }: Fields, group: number): boolean {
  if (group === 0) return true;
  if ((compatible & COMPATIBLE.sparseSuper2) !== 0) return group === backupGroup0 || group === backupGroup1;
  if (group === 1 || (readOnlyCompatible & READ_ONLY.sparseSuper) === 0) return true;
  return [3, 5, 7].some((base) => {
    let power = base;
    while (power < group) power *= base;
    return power === group;
  });
}

export function broken(what: string): BootsealError {
  return new BootsealError('format', `ext4: ${what}`, { hint: 'e2fsck -f repairs a file system' });
}

function unclean(why: string): BootsealError {
  return new BootsealError('format', `ext4: the file system is not clean: ${why}`, {
    hint: 'unmount it or run e2fsck -f on it, or leave --sparse out',
  });
}
