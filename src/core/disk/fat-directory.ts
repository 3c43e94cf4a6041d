/** @module The entries of a directory of FAT32 (Microsoft FAT32 File System Specification 1.03, "FAT Directory Structure"). */
import { bytes, concat, layout, reserved, u8, u16le, u32le } from '../bytes.ts';
import type { FatName } from './fat-names.ts';

const Entry = layout('FAT directory entry', {
  name: bytes(11),
  attributes: u8,
  caseBits: reserved(1),
  createdTenths: reserved(1),
  createdTime: reserved(2),
  createdDate: u16le,
  accessedDate: u16le,
  clusterHigh: u16le,
  writtenTime: reserved(2),
  writtenDate: u16le,
  clusterLow: u16le,
  size: u32le,
});

const LongEntry = layout('FAT long name entry', {
  order: u8,
  units1: bytes(10),
  attributes: u8,
  type: reserved(1),
  checksum: u8,
  units2: bytes(12),
  cluster: reserved(2),
  units3: bytes(4),
});

export const ENTRY_SIZE: number = Entry.size;

/** Of what an entry is for. */
export const ATTRIBUTES = { file: 0x20, folder: 0x10, label: 0x08 } as const;
const LONG_NAME = 0x0f;
const LAST_LONG = 0x40;
const UNITS_PER_ENTRY = 13;

/** 1 January 1980, the first day of FAT: a disk says nothing about when it was made. */
const DATE = 0x21;

/** What an entry says. */
export interface FatEntry {
  readonly name: FatName;
  readonly attributes: number;
  /** The first one; 0 for nothing. */
  readonly cluster: number;
  /** Bytes; 0 for folders. */
  readonly size: number;
}

/** Returns how many entries a name takes. */
export function entryCount({ long }: FatName): number {
  return 1 + Math.ceil((long?.length ?? 0) / UNITS_PER_ENTRY);
}

/** Returns an entry, its long name before it. */
export function encodeEntry({ name, attributes, cluster, size }: FatEntry): Uint8Array {
  const short = Entry.pack({
    name: name.short,
    attributes,
    createdDate: DATE,
    accessedDate: DATE,
    clusterHigh: cluster >>> 16,
    writtenDate: DATE,
    clusterLow: cluster & 0xffff,
    size,
  });
  return name.long === undefined ? short : concat(...longEntries(name.long, checksum(name.short)), short);
}

/** Parts of 13 units, the last one first; a zero ends the name where there is room, and ones fill the rest. */
function longEntries(units: readonly number[], sum: number): Uint8Array[] {
  const count = Math.ceil(units.length / UNITS_PER_ENTRY);
  const entries = Array.from({ length: count }, (_, i) => {
    const part = new Uint8Array(2 * UNITS_PER_ENTRY);
    for (let at = 0; at < UNITS_PER_ENTRY; at++) {
      const place = i * UNITS_PER_ENTRY + at;
      u16le.encode(units[place] ?? (place === units.length ? 0 : 0xffff), part, 2 * at, 'long name');
    }
    return LongEntry.pack({
      order: (i + 1) | (i === count - 1 ? LAST_LONG : 0),
      attributes: LONG_NAME,
      checksum: sum,
      units1: part.subarray(0, 10),
      units2: part.subarray(10, 22),
      units3: part.subarray(22),
    });
  });
  return entries.reverse();
}

/** Ties a long name to its short one. */
function checksum(short: Uint8Array): number {
  return short.reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
}
