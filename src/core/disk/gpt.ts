/** @module A new GUID partition table for sectors of 512 bytes (UEFI 2.10, sections 5.2.3 and 5.3): what stands where. */
import { bytes, concat, layout, magic, reserved, u8, u16le, u32le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type Guid, guidToBytes } from '../guid.ts';
import { crc32 } from './crc32.ts';

/** Of the sector before the table: one partition over everything, for programs that know no GPT. */
export const ProtectiveMbr = layout('protective MBR', {
  code: reserved(446),
  boot: u8,
  startChs: bytes(3),
  type: u8,
  endChs: bytes(3),
  startLba: u32le,
  sectors: u32le,
  others: bytes(48),
  magic: u16le,
});

export const GptHeader = layout('GPT header', {
  signature: magic(Uint8Array.from('EFI PART', (letter) => letter.charCodeAt(0))),
  revision: u32le,
  headerSize: u32le,
  headerCrc: u32le,
  reserved: reserved(4),
  myLba: u64le,
  alternateLba: u64le,
  firstUsableLba: u64le,
  lastUsableLba: u64le,
  diskGuid: bytes(16),
  entriesLba: u64le,
  entryCount: u32le,
  entrySize: u32le,
  entriesCrc: u32le,
});

export const GptEntry = layout('GPT entry', {
  type: bytes(16),
  guid: bytes(16),
  firstLba: u64le,
  lastLba: u64le,
  attributes: u64le,
  name: bytes(72),
});

export const REVISION = 0x10000;
export const BOOT_SIGNATURE = 0xaa55;
/** Of the partition in the protective MBR. */
export const PROTECTIVE = 0xee;

const SECTOR = 512;
const ALIGNMENT = 1 << 20;
const ENTRIES = 128;
/** Sectors: header and entries. */
const TABLE = 1 + (ENTRIES * GptEntry.size) / SECTOR;

/** A partition that is wanted. */
export interface NewPartition {
  readonly type: Guid;
  readonly guid: Guid;
  /** At most 36 UTF-16 units. */
  readonly name: string;
  /** Bytes: whole sectors. */
  readonly size: number;
  readonly attributes: bigint;
}

/** A partition with its place. */
export interface PlacedPartition extends NewPartition {
  /** From 1. */
  readonly number: number;
  /** Bytes from the start of the disk. */
  readonly at: number;
}

/** Partitions one after the other, each at a whole MiB. */
export interface GptPlaces {
  readonly partitions: readonly PlacedPartition[];
  /** Bytes: whole MiB, with room for the second table at the end. */
  readonly diskSize: number;
}

/** Returns where partitions go; throws `usage` when there are too many or one is no whole number of sectors. */
export function placePartitions(wanted: readonly NewPartition[]): GptPlaces {
  if (wanted.length > ENTRIES) {
    throw new BootsealError('usage', `a partition table has room for ${ENTRIES} partitions`, {
      hint: 'give fewer partitions',
    });
  }
  let end = TABLE * SECTOR + SECTOR;
  const partitions = wanted.map((partition, i): PlacedPartition => {
    const { name, size } = partition;
    if (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR !== 0) {
      throw new BootsealError('usage', `a partition of ${size} bytes is no whole number of sectors of ${SECTOR}`, {
        hint: `fill it up to a multiple of ${SECTOR} bytes`,
      });
    }
    if (name.length > 36) {
      throw new BootsealError('usage', `the name of a partition has at most 36 letters: ${name}`, {
        hint: 'give it a shorter name',
      });
    }
    const at = roundUp(end);
    end = at + size;
    return { ...partition, number: i + 1, at };
  });
  return { partitions, diskSize: roundUp(end + TABLE * SECTOR) };
}

const roundUp = (at: number): number => Math.ceil(at / ALIGNMENT) * ALIGNMENT;

/** Returns the two tables, the one at the end first: the one at the start makes the disk one with partitions. */
export function encodeGpt(
  { partitions, diskSize }: GptPlaces,
  guid: Guid,
): readonly { at: number; bytes: Uint8Array }[] {
  const sectors = diskSize / SECTOR;
  const entries = new Uint8Array(ENTRIES * GptEntry.size);
  for (const [i, partition] of partitions.entries()) entries.set(encodeEntry(partition), i * GptEntry.size);
  const header = (myLba: number, alternateLba: number, entriesLba: number): Uint8Array => {
    const fields = {
      revision: REVISION,
      headerSize: GptHeader.size,
      headerCrc: 0,
      myLba: BigInt(myLba),
      alternateLba: BigInt(alternateLba),
      firstUsableLba: BigInt(1 + TABLE),
      lastUsableLba: BigInt(sectors - TABLE - 1),
      diskGuid: guidToBytes(guid),
      entriesLba: BigInt(entriesLba),
      entryCount: ENTRIES,
      entrySize: GptEntry.size,
      entriesCrc: crc32(entries),
    };
    const sector = new Uint8Array(SECTOR);
    sector.set(GptHeader.pack({ ...fields, headerCrc: crc32(GptHeader.pack(fields)) }));
    return sector;
  };
  const last = sectors - 1;
  return [
    { at: (sectors - TABLE) * SECTOR, bytes: concat(entries, header(last, 1, sectors - TABLE)) },
    { at: 0, bytes: concat(protectiveMbr(sectors), header(1, last, 2), entries) },
  ];
}

function protectiveMbr(sectors: number): Uint8Array {
  return ProtectiveMbr.pack({
    boot: 0,
    startChs: Uint8Array.of(0, 2, 0),
    type: PROTECTIVE,
    endChs: Uint8Array.of(0xff, 0xff, 0xff),
    startLba: 1,
    sectors: Math.min(sectors - 1, 0xffffffff),
    others: new Uint8Array(48),
    magic: BOOT_SIGNATURE,
  });
}

function encodeEntry({ type, guid, name, size, attributes, at }: PlacedPartition): Uint8Array {
  const encoded = new Uint8Array(72);
  for (let i = 0; i < name.length; i++) u16le.encode(name.charCodeAt(i), encoded, 2 * i, 'name');
  return GptEntry.pack({
    type: guidToBytes(type),
    guid: guidToBytes(guid),
    firstLba: BigInt(at / SECTOR),
    lastLba: BigInt((at + size) / SECTOR - 1),
    attributes,
    name: encoded,
  });
}
