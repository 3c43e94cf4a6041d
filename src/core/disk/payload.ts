/**
 * @module What a raw image holds, as far as its first bytes tell, and the largest sectors that this works with: a file system of
 * blocks of 1 KiB on sectors of 4096 bytes opens and cannot be mounted.
 */
import { type Layout, layout, magic, reserved, u8, u16le, u32le } from '../bytes.ts';

/** What a raw image is. */
export interface Payload {
  /** For people: `ext4 with blocks of 4096 bytes`. */
  readonly what: string;
  /** Bytes: the most that a sector may have. */
  readonly largestSector: number;
}

/** Bytes at the start of an image that {@link identifyPayload} looks at. */
export const PAYLOAD_START = 0x11000;

const ascii = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** Linux, Documentation/filesystems/ext4/super.rst; at 1024. */
const ExtSuperblock = layout('ext4 superblock', {
  counts: reserved(24),
  logBlockSize: u32le,
  more: reserved(28),
  magic: magic(Uint8Array.of(0x53, 0xef)),
});

/** Linux, fs/erofs/erofs_fs.h, erofs_super_block; at 1024. */
const ErofsSuperblock = layout('EROFS superblock', {
  magic: magic(Uint8Array.of(0xe2, 0xe1, 0xf5, 0xe0)),
  features: reserved(8),
  logBlockSize: u8,
});

/** Linux, include/uapi/linux/btrfs_tree.h, btrfs_super_block; at 64 KiB. */
const BtrfsSuperblock = layout('Btrfs superblock', {
  before: reserved(64),
  magic: magic(ascii('_BHRfS_M')),
  roots: reserved(72),
  sectorSize: u32le,
});

/** UEFI Specification 2.10, section 5.3.2; in the second sector. */
const GptHeader = layout('GPT header', { magic: magic(ascii('EFI PART')) });

/** Microsoft FAT32 File System Specification 1.03, "Boot Sector and BPB". */
const BootSector = layout('boot sector', {
  before: reserved(11),
  bytesPerSector: u16le,
  code: reserved(497),
  magic: magic(Uint8Array.of(0x55, 0xaa)),
});

/** UEFI Specification 2.10, section 5.2.1. */
const PartitionTable = layout('partition table', {
  code: reserved(446),
  boot0: u8,
  chs0: reserved(3),
  type0: u8,
  rest0: reserved(11),
  boot1: u8,
  rest1: reserved(15),
  boot2: u8,
  rest2: reserved(15),
  boot3: u8,
  rest3: reserved(15),
  magic: magic(Uint8Array.of(0x55, 0xaa)),
});

const EXT_AT = 1024;
const BTRFS_AT = 0x10000;

/** Says what the image with these first bytes is (fewer than {@link PAYLOAD_START} where it ends before); undefined when unknown. */
export function identifyPayload(start: Uint8Array): Payload | undefined {
  // The order matters: a partitioned disk also has a boot sector, and ext4 may have one in front of it.
  return gpt(start, 512) ?? gpt(start, 4096) ?? ext(start) ?? erofs(start) ?? btrfs(start) ?? bootSector(start);
}

function gpt(start: Uint8Array, sector: number): Payload | undefined {
  if (at(GptHeader, start, sector) === undefined) return undefined;
  return { what: `a GPT for sectors of ${sector} bytes`, largestSector: sector };
}

function ext(start: Uint8Array): Payload | undefined {
  const found = at(ExtSuperblock, start, EXT_AT);
  // EXT4_MAX_BLOCK_LOG_SIZE is 16: 64 KiB.
  return found === undefined || found.logBlockSize > 6 ? undefined : blocks('ext4', 1024 << found.logBlockSize);
}

function erofs(start: Uint8Array): Payload | undefined {
  const found = at(ErofsSuperblock, start, EXT_AT);
  return found === undefined || found.logBlockSize > 16 ? undefined : blocks('EROFS', 1 << found.logBlockSize);
}

function btrfs(start: Uint8Array): Payload | undefined {
  const found = at(BtrfsSuperblock, start, BTRFS_AT);
  return found === undefined ? undefined : blocks('Btrfs', found.sectorSize);
}

function bootSector(start: Uint8Array): Payload | undefined {
  const jump = start[0];
  const boot = at(BootSector, start, 0);
  if (boot !== undefined && (jump === 0xeb || jump === 0xe9) && [512, 1024, 2048, 4096].includes(boot.bytesPerSector)) {
    return blocks('FAT or NTFS', boot.bytesPerSector);
  }
  const table = at(PartitionTable, start, 0);
  if (table === undefined || table.type0 === 0) return undefined;
  const flags = [table.boot0, table.boot1, table.boot2, table.boot3];
  if (flags.some((flag) => flag !== 0 && flag !== 0x80)) return undefined;
  return { what: 'a partition table (MBR)', largestSector: 512 };
}

const blocks = (name: string, size: number): Payload => ({
  what: `${name} with blocks of ${size} bytes`,
  largestSector: size,
});

/** Returns the structure, or undefined when it is not there. */
function at<F>(structure: Layout<F>, start: Uint8Array, offset: number): ReturnType<Layout<F>['unpack']> | undefined {
  if (start.length < offset + structure.size) return undefined;
  try {
    return structure.unpack(start, offset);
  } catch {
    return undefined;
  }
}

/** The size of encrypted sectors, and why it is not the one that was asked for, or for people to know. */
export interface SectorChoice {
  readonly size: 512 | 4096;
  readonly why: string;
  /** Whether another size was asked for. */
  readonly changed: boolean;
}

/** Chooses the size of sectors: 4096 bytes are faster in the guest, 512 work with everything. */
export function chooseSectorSize(payload: Payload | undefined, asked: 512 | 4096 | undefined): SectorChoice {
  const fits = payload !== undefined && payload.largestSector >= 4096;
  if (asked === 512) return { size: 512, why: 'asked for', changed: false };
  if (fits) return { size: 4096, why: `${payload.what} works with it`, changed: false };
  if (payload !== undefined) {
    return { size: 512, why: `${payload.what} does not work with sectors of 4096`, changed: asked === 4096 };
  }
  if (asked === 4096) return { size: 4096, why: 'asked for; what is in the image is not known', changed: false };
  return { size: 512, why: 'what is in the image is not known, and 512 work with everything', changed: false };
}
