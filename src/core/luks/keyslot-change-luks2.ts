/** @module Keyslots of LUKS2 that come and go; what is not about them stays in the metadata as it stands. */

import { BootsealError } from '../errors.ts';
import type { HeaderCopy } from './header.ts';
import { type HeaderChange, headerStages, luks2State } from './header-change.ts';
import { sealKeyslot } from './keyslot.ts';
import type { ChangeInputs, KeyslotChange } from './keyslot-change.ts';
import { keyslotJson } from './keyslot-json.ts';
import { isArray, isObject, type JsonObject, type JsonValue } from './metadata/json.ts';
import {
  type KnownKdf,
  type Luks2Keyslot,
  MAX_KEYSLOTS,
  SALT_SIZE,
  STRIPES,
  stripesSize,
} from './metadata/keyslots.ts';
import { OWN_COPY } from './own-copy.ts';
import type { KdfChoice, Random } from './plan.ts';

/** A header to which a key was added. */
export interface AddedLuks2Key extends Omit<HeaderChange, 'removed' | 'removal'> {
  readonly added: number;
  readonly json: JsonObject;
  readonly seqid: bigint;
  /** Where the keyslot went whose number the new one took. */
  readonly moved: { readonly from: number; readonly to: number } | undefined;
}

/** Of key derivation and anti-forensic splitter; cryptsetup's default. */
const HASH = 'sha256';
/** Areas start at multiples of this; bytes. */
const ALIGNMENT = 4096;

/** Adds a key: its area first, where nothing is, then both copies of the header that say so. Throws as changeKeyslots. */
export async function addLuks2Key(
  copy: HeaderCopy,
  { key, opened, replaces }: NonNullable<KeyslotChange['add']>,
  { random, crypto }: ChangeInputs,
): Promise<AddedLuks2Key> {
  const old = passphraseKeyslot(copy, opened.keyslot);
  const { keySize, encryption, encryptionKeySize } = old;
  const free = freeNumber(copy);
  const area = freeArea(copy, Math.ceil(stripesSize(keySize) / ALIGNMENT) * ALIGNMENT);
  const kdf = newKdf(key.kdf, random(SALT_SIZE));
  // The cipher of the keyslot that was opened: who can read that one can read this one.
  const format = { where: `keyslot ${free}`, kdf, afHash: HASH, keySize, encryption, encryptionKeySize };
  const filler = random((STRIPES - 1) * keySize);
  const bytes = await sealKeyslot(format, opened.volumeKey, key.passphrase, filler, crypto);
  const replaced = replaces === undefined ? undefined : passphraseKeyslot(copy, replaces);
  const priority = key.priority ?? (replaced?.priority === 1 ? undefined : replaced?.priority);
  const json = withKeyslot(copy, keyslotJson({ ...format, area, priority }), free, opened.keyslot, replaces);
  const seqid = copy.seqid + 1n;
  return {
    stages: [[{ at: area.offset, bytes }], ...headerStages(copy, json, seqid, random)],
    states: [luks2State(copy, copy.metadata.json), luks2State(copy, json)],
    added: replaces ?? free,
    json,
    seqid,
    moved: replaces === undefined ? undefined : { from: replaces, to: free },
  };
}

/** Removes keyslots, after what was added: their areas are wiped first, so that no kill leaves a key that nothing mentions. */
export function removeLuks2Keyslots(
  copy: HeaderCopy,
  ids: readonly number[],
  random: Random,
  added: AddedLuks2Key | undefined,
): HeaderChange {
  const before = added?.json ?? copy.metadata.json;
  const states = added?.states ?? [luks2State(copy, before)];
  const start = { stages: added?.stages ?? [], states, added: added?.added, removed: ids, removal: undefined };
  if (ids.length === 0) return start;
  const wipes = ids
    .map((id) => passphraseKeyslot(copy, id).area)
    .map(({ offset, size }) => ({ at: offset, bytes: random(size) }));
  const gone = ids.map((id) => (id === added?.moved?.from ? added.moved.to : id));
  const json = withoutKeyslots(before, gone.map(String));
  const seqid = (added?.seqid ?? copy.seqid) + 1n;
  return {
    ...start,
    stages: [...start.stages, wipes, ...headerStages(copy, json, seqid, random)],
    states: [...states, luks2State(copy, json)],
    removal: { state: luks2State(copy, before), keyslots: gone },
  };
}

function passphraseKeyslot({ metadata }: HeaderCopy, id: number): Luks2Keyslot {
  const slot = metadata.keyslots.find((candidate) => candidate.id === id);
  if (slot?.kind === 'luks2') return slot;
  const open = metadata.keyslots.filter(({ kind }) => kind === 'luks2').map((one) => one.id);
  throw new BootsealError(
    'usage',
    `keyslot ${id} is ${slot === undefined ? 'not in use' : 'none that a passphrase opens'}`,
    { hint: `passphrases open: ${open.join(', ') || 'none'}` },
  );
}

function newKdf(choice: KdfChoice, salt: Uint8Array): KnownKdf {
  return choice.type === 'pbkdf2' ? { ...choice, hash: HASH, salt } : { ...choice, salt };
}

function freeNumber({ metadata }: HeaderCopy): number {
  const used = new Set(metadata.keyslots.map(({ id }) => id));
  for (let id = 0; id < MAX_KEYSLOTS; id++) if (!used.has(id)) return id;
  throw noRoom(`all ${MAX_KEYSLOTS} keyslots are in use`);
}

/** The first gap that is large enough, as cryptsetup's LUKS2_find_area_gap (lib/luks2/luks2_json_metadata.c). */
function freeArea({ size: headerSize, metadata }: HeaderCopy, size: number): { offset: number; size: number } {
  const end = 2 * headerSize + metadata.config.keyslotsSize;
  const areas = metadata.keyslots.map(({ area }) => area).sort((a, b) => a.offset - b.offset);
  let offset = 2 * headerSize;
  for (const area of areas) {
    if (area.offset - offset >= size) break;
    offset = Math.ceil((area.offset + area.size) / ALIGNMENT) * ALIGNMENT;
  }
  if (offset + size > end) throw noRoom('there is no room for another keyslot');
  return { offset, size };
}

function noRoom(what: string): BootsealError {
  return new BootsealError('usage', what, { hint: 'remove a key that is needed no more first' });
}

/** Adds `slot` and its number to the digest of the keyslot `like`; a slot that is replaced moves to the number that was free. */
function withKeyslot(
  { metadata }: HeaderCopy,
  slot: JsonObject,
  free: number,
  like: number,
  replaces: number | undefined,
): JsonObject {
  const { json, digests } = metadata;
  const slots = new Map(objectAt(json, 'keyslots'));
  if (replaces === undefined) slots.set(String(free), slot);
  else slots.set(String(free), objectAt(slots, String(replaces))).set(String(replaces), slot);
  const digest = digests.find(({ keyslots }) => keyslots.includes(like));
  if (digest === undefined || digest.segments.length === 0) {
    throw new BootsealError('usage', `keyslot ${like} holds the key of no data`, {
      hint: 'open the image with a key of its data',
    });
  }
  const name = String(digest.id);
  const all = objectAt(json, 'digests');
  const own = objectAt(all, name);
  const members = [...digest.keyslots.map(String), String(free)];
  const changed = new Map(all).set(name, new Map(own).set('keyslots', members));
  return new Map(json).set('keyslots', slots).set('digests', changed);
}

function withoutKeyslots(json: JsonObject, gone: readonly string[]): JsonObject {
  const slots = new Map([...objectAt(json, 'keyslots')].filter(([name]) => !gone.includes(name)));
  const forget = ([name, value]: [string, JsonValue]): [string, JsonValue] => {
    const members = isObject(value) ? value.get('keyslots') : undefined;
    if (!isObject(value) || !isArray(members)) return [name, value];
    return [
      name,
      new Map(value).set(
        'keyslots',
        members.filter((member) => !gone.includes(String(member))),
      ),
    ];
  };
  // A digest of no keyslot and no segment says nothing any more (cryptsetup, LUKS2_digests_erase_unused).
  const isUsed = ([, value]: [string, JsonValue]) =>
    !isObject(value) || ['keyslots', 'segments'].some((name) => (value.get(name) as readonly JsonValue[]).length > 0);
  const digests = new Map([...objectAt(json, 'digests')].map(forget).filter(isUsed));
  const tokens = new Map([...objectAt(json, 'tokens')].map(forget));
  return new Map(json).set('keyslots', slots).set('digests', digests).set('tokens', tokens);
}

function objectAt(json: JsonObject, name: string): JsonObject {
  const value = json.get(name);
  if (!isObject(value)) throw new BootsealError('format', `LUKS2 metadata: ${name}: an object is required`, OWN_COPY);
  return value;
}
