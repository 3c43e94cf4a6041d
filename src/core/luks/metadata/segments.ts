/**
 * @module Segment objects of LUKS2 metadata: which part of the device is encrypted and how (LUKS2 On-Disk Format Specification
 * 1.1.4, section 3.3; rules of cryptsetup, lib/luks2/luks2_json_metadata.c).
 */
import {
  decimalField,
  integerField,
  invalid,
  numberedObjects,
  objectField,
  optionalStringsField,
  type Place,
  stringField,
} from './fields.ts';

/** How a segment of type `crypt` is encrypted. */
export interface CryptParameters {
  /** Added to the number of each 512-byte sector before it becomes an IV. */
  readonly ivTweak: bigint;
  /** Such as `aes-xts-plain64`. */
  readonly encryption: string;
  /** Bytes. */
  readonly sectorSize: number;
  /** Tags of dm-integrity, where the segment has them. */
  readonly integrity?: {
    readonly type: string;
    readonly journalEncryption: string;
    readonly journalIntegrity: string;
  };
}

/** A part of the device. */
export interface Segment {
  readonly id: number;
  readonly type: string;
  /** Bytes from the start of the data device. */
  readonly offset: bigint;
  /** Bytes; `dynamic` is up to the end of the device. */
  readonly size: bigint | 'dynamic';
  readonly flags: readonly string[];
  /** For the types `crypt` and `hw-opal-crypt`. */
  readonly crypt?: CryptParameters;
}

export const MAX_SEGMENTS = 32;
const UINT64_END = 1n << 64n;

/** Reads the section `segments`; throws `format` naming the first place that breaks a rule. */
export function readSegments(section: Place): readonly Segment[] {
  const segments = numberedObjects(section, MAX_SEGMENTS).map(({ id, place }) => readSegment(id, place));
  if (segments.length === 0) throw invalid(section.where, 'at least one segment is required');
  for (const [position, { id }] of segments.entries()) {
    if (id !== position) throw invalid(section.where, `there is no segment ${position}, but one after it`);
  }
  checkOrder(section, segments);
  return segments;
}

/** Says whether reencryption has put the segment aside; such segments overlap the others and are not activated. */
export function isBackup(segment: Segment): boolean {
  return segment.flags.some((flag) => flag.startsWith('backup-'));
}

function readSegment(id: number, place: Place): Segment {
  const type = stringField(place, 'type');
  const offset = decimalField(place, 'offset');
  const size: Segment['size'] = stringField(place, 'size') === 'dynamic' ? 'dynamic' : decimalField(place, 'size');
  if (offset % 512n !== 0n) throw invalid(`${place.where}.offset`, 'not a multiple of 512');
  if (size === 0n) throw invalid(`${place.where}.size`, 'must not be zero');
  if (size !== 'dynamic' && size % 512n !== 0n) throw invalid(`${place.where}.size`, 'not a multiple of 512');
  const segment = { id, type, offset, size, flags: optionalStringsField(place, 'flags') };
  if (type.startsWith('hw-opal')) checkOpal(place, size);
  return type === 'crypt' || type === 'hw-opal-crypt' ? { ...segment, crypt: readCrypt(place, size) } : segment;
}

function readCrypt(place: Place, size: Segment['size']): CryptParameters {
  const ivTweak = decimalField(place, 'iv_tweak');
  const encryption = stringField(place, 'encryption');
  const sectorSize = integerField(place, 'sector_size', 512);
  if (sectorSize % 512 !== 0) throw invalid(`${place.where}.sector_size`, 'not a multiple of 512');
  if (size !== 'dynamic' && size % BigInt(sectorSize) !== 0n) {
    throw invalid(`${place.where}.size`, 'not a multiple of the sector size');
  }
  const parameters = { ivTweak, encryption, sectorSize };
  if (!place.object.has('integrity')) return parameters;
  const integrity = objectField(place, 'integrity');
  return {
    ...parameters,
    integrity: {
      type: stringField(integrity, 'type'),
      journalEncryption: stringField(integrity, 'journal_encryption'),
      journalIntegrity: stringField(integrity, 'journal_integrity'),
    },
  };
}

function checkOpal(place: Place, size: Segment['size']): void {
  if (size === 'dynamic') throw invalid(`${place.where}.size`, 'an OPAL segment has a size of its own');
  integerField(place, 'opal_segment_number');
  integerField(place, 'opal_key_size');
  if (decimalField(place, 'opal_segment_size') < size) {
    throw invalid(`${place.where}.size`, 'larger than the OPAL locking range');
  }
}

function checkOrder({ where }: Place, segments: readonly Segment[]): void {
  const firstBackup = segments.findIndex(isBackup);
  const regular = firstBackup === -1 ? segments : segments.slice(0, firstBackup);
  if (regular.length === 0) throw invalid(where, 'every segment is a backup of reencryption');
  const late = segments.slice(regular.length).find((segment) => !isBackup(segment));
  if (late !== undefined) throw invalid(`${where}.${late.id}`, 'a regular segment stands behind a backup segment');
  for (const segment of regular.slice(0, -1)) {
    if (segment.size === 'dynamic')
      throw invalid(`${where}.${segment.id}.size`, 'only the last segment may be dynamic');
  }
  for (const segment of regular) {
    if (end(segment) > UINT64_END) throw invalid(`${where}.${segment.id}`, 'ends beyond 2^64');
    const other = regular.find((candidate) => candidate.id > segment.id && overlap(candidate, segment));
    if (other !== undefined) throw invalid(`${where}.${segment.id}`, `overlaps segment ${other.id}`);
  }
}

function end({ offset, size }: Segment): bigint {
  return size === 'dynamic' ? UINT64_END : offset + size;
}

function overlap(a: Segment, b: Segment): boolean {
  return a.offset < end(b) && b.offset < end(a);
}
