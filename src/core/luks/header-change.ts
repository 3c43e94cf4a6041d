/**
 * @module A change of a header, as writes in an order in which it may be cut off anywhere: at every moment the header can be read,
 * and every key opens that opened before or shall open after.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { BootsealError } from '../errors.ts';
import { bytesToHex } from '../hex.ts';
import { encodeUtf8 } from '../utf8.ts';
import { type CopyName, encodeHeaderCopy, type HeaderCopy } from './header.ts';
import type { LuksHeader } from './image.ts';
import { encodeLuks1 } from './luks1.ts';
import { copiesAgree, type Luks2Header } from './luks2.ts';
import { type JsonObject, printJson } from './metadata/json.ts';
import { printMetadata, validateMetadata } from './metadata.ts';
import type { Random } from './plan.ts';

/** Bytes that go to a place, counted from the start of the header. */
export interface Write {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Writes that must all be on the disk before anything after them is written. */
export type Stage = readonly Write[];

/** A change of the keyslots. */
export interface HeaderChange {
  readonly stages: readonly Stage[];
  /** What {@link headerState} says of the header before, between and after; the last one is the whole change. */
  readonly states: readonly string[];
  /** The keyslot that is new, if one is. */
  readonly added: number | undefined;
  /** Numbers that the removed keyslots had at first. */
  readonly removed: readonly number[];
  /** What is left to do in the state before they are removed, when something of them may be wiped already. */
  readonly removal: Removal | undefined;
}

/** Keyslots, by the numbers that they have in a state of the header. */
export interface Removal {
  readonly state: string;
  readonly keyslots: readonly number[];
}

const HEADER_SALT_SIZE = 64;

/** Returns a name for what a header says, the same for both copies and whatever their salts and sequence numbers. */
export function headerState(header: LuksHeader): string {
  return header.version === 1
    ? bytesToHex(sha256(encodeLuks1(header)))
    : luks2State(header.current, header.current.metadata.json);
}

/** As {@link headerState}, for a copy with other metadata. */
export function luks2State({ uuid, label, subsystem }: HeaderCopy, json: JsonObject): string {
  return bytesToHex(sha256(encodeUtf8([uuid, label, subsystem, printJson(json)].join('\0'))));
}

/**
 * Returns the writes of both copies with these metadata: primary first, so that there is a good one at every moment, the order of
 * cryptsetup's LUKS2_disk_hdr_write (lib/luks2/luks2_disk_metadata.c).
 *
 * @param seqid of the new copies: one more than that of the old ones
 * @throws `format` when the metadata break a rule or have no room
 */
export function headerStages(old: HeaderCopy, json: JsonObject, seqid: bigint, random: Random): readonly Stage[] {
  validateMetadata(json, old.size);
  return (['primary', 'secondary'] as const).map((name) => [copyWrite(old, json, seqid, name, random)]);
}

/**
 * Returns the writes that make a bad or older copy of a header equal to the good one, as cryptsetup does it whenever it opens such
 * a header; none when both agree.
 *
 * @throws `mismatch` when both copies are good, have the same sequence number and do not say the same: no interruption leaves that
 */
export function repairStages(header: Luks2Header, random: Random): readonly Stage[] {
  if (copiesAgree(header)) return [];
  const names = ['primary', 'secondary'] as const;
  const worse = names.find((name) => header.copies[name].state !== 'good');
  if (worse === undefined) {
    throw new BootsealError('mismatch', 'both copies of the header look right, but say different things', {
      hint: 'no interrupted write leaves that: someone changed one of them. Restore the header from a copy that you made yourself',
    });
  }
  const { current } = header;
  return [[copyWrite(current, current.metadata.json, current.seqid, worse, random)]];
}

function copyWrite(old: HeaderCopy, json: JsonObject, seqid: bigint, name: CopyName, random: Random): Write {
  const { size, label, subsystem, uuid } = old;
  const fields = { size, seqid, label, subsystem, uuid, salt: random(HEADER_SALT_SIZE) };
  const bytes = encodeHeaderCopy({ ...fields, area: printMetadata(json, size) }, name);
  return { at: name === 'primary' ? 0 : size, bytes };
}

/** Returns the bytes with what the writes make of them; those that end behind them make them longer. */
export function withWrites(bytes: Uint8Array, writes: Stage): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(Math.max(bytes.length, ...writes.map((write) => write.at + write.bytes.length)));
  all.set(bytes);
  for (const write of writes) all.set(write.bytes, write.at);
  return all;
}
