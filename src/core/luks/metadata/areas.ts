/**
 * @module Rules between the objects of LUKS2 metadata: areas that must not touch, keys that must belong to something
 * (cryptsetup, lib/luks2/luks2_json_metadata.c and luks2_keyslot.c).
 */
import { type Config, isOnlineReencrypt } from './config.ts';
import type { Digest } from './digests.ts';
import { invalid } from './fields.ts';
import type { Keyslot } from './keyslots.ts';
import { isBackup, type Segment } from './segments.ts';

/** Refuses keyslot areas outside [2 header sizes, + keyslots_size), empty or overlapping ones. Throws `format`. */
export function checkAreas(keyslots: readonly Keyslot[], config: Config, headerSize: number): void {
  const first = 2 * headerSize;
  const last = first + config.keyslotsSize;
  for (const { id, area } of keyslots) {
    const where = `keyslots.${id}.area`;
    if (area.size === 0) throw invalid(where, 'must not be empty');
    if (area.offset < first)
      throw invalid(where, `starts at ${area.offset}, inside the headers, which end at ${first}`);
    if (area.offset + area.size > last) {
      throw invalid(where, `ends at ${area.offset + area.size}, behind the keyslots area, which ends at ${last}`);
    }
    const other = keyslots.find((slot) => slot.id > id && touches(slot.area, area));
    if (other !== undefined) throw invalid(where, `overlaps the area of keyslot ${other.id}`);
  }
}

function touches(a: Keyslot['area'], b: Keyslot['area']): boolean {
  return a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

/** Refuses a keyslots area that reaches into the data; the data of a detached header are elsewhere, at offset 0. Throws `format`. */
export function checkDataOffset(segments: readonly Segment[], config: Config, headerSize: number): void {
  const end = BigInt(2 * headerSize + config.keyslotsSize);
  const [first = 0n] = segments
    .filter((segment) => !isBackup(segment))
    .map(({ offset }) => offset)
    .sort((a, b) => (a < b ? -1 : 1));
  if (first !== 0n && first < end) {
    throw invalid('config.keyslots_size', `the keyslots area ends at ${end}, inside the data, which start at ${first}`);
  }
}

/** Refuses keyslots of the type luks2 without exactly one digest, and encrypted segments without any. Throws `format`. */
export function checkDigests(
  keyslots: readonly Keyslot[],
  segments: readonly Segment[],
  digests: readonly Digest[],
): void {
  for (const { id, kind } of keyslots) {
    const count = digests.filter((digest) => digest.keyslots.includes(id)).length;
    if (kind === 'luks2' && count !== 1) throw invalid(`keyslots.${id}`, `belongs to ${count} digests instead of one`);
  }
  for (const { id, crypt } of segments) {
    if (crypt !== undefined && !digests.some((digest) => digest.segments.includes(id))) {
      throw invalid(`segments.${id}`, 'belongs to no digest');
    }
  }
}

/** Refuses a reencryption that is only half there. Throws `format`. */
export function checkReencryption(keyslots: readonly Keyslot[], segments: readonly Segment[], config: Config): void {
  const count = keyslots.filter(({ type }) => type === 'reencrypt').length;
  const required = config.requirements.some(isOnlineReencrypt);
  if (count > 1) throw invalid('keyslots', 'more than one is of the type reencrypt');
  if (required && count === 0)
    throw invalid('keyslots', 'reencryption is required, but no keyslot is of the type reencrypt');
  if (!required && count === 1)
    throw invalid('config.requirements', 'a keyslot is of the type reencrypt, but it is not required');
  if (!required) return;
  for (const flag of ['backup-final', 'backup-previous']) {
    if (!segments.some(({ flags }) => flags.includes(flag))) {
      throw invalid('segments', `reencryption is required, but no segment has the flag ${flag}`);
    }
  }
}
