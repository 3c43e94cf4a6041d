/** @module Keyslots of LUKS1 that come and go. The header has one copy; each keyslot but the seventh lies in one sector of it. */
import { sha256 } from '@noble/hashes/sha2.js';
import { BootsealError } from '../errors.ts';
import { bytesToHex } from '../hex.ts';
import { type HeaderChange, headerState, type Stage, withWrites } from './header-change.ts';
import { sealKeyslot } from './keyslot.ts';
import type { ChangeInputs, KeyslotChange } from './keyslot-change.ts';
import { encodeLuks1, type Luks1Header, type Luks1Keyslot } from './luks1.ts';
import { SALT_SIZE, STRIPES, stripesSize } from './metadata/keyslots.ts';
import type { Random } from './plan.ts';

/** A header to which a key was added. */
export interface AddedLuks1Key extends Omit<HeaderChange, 'removed' | 'removal'> {
  readonly header: Luks1Header;
}

const SECTOR = 512;

/** Adds a key in the first keyslot that is free: its area first, then the header. Throws as changeKeyslots. */
export async function addLuks1Key(
  header: Luks1Header,
  { key, opened }: NonNullable<KeyslotChange['add']>,
  { random, crypto }: ChangeInputs,
): Promise<AddedLuks1Key> {
  if (key.kdf.type !== 'pbkdf2')
    throw new BootsealError('usage', `LUKS1 has only pbkdf2, not ${key.kdf.type}`, { hint: 'take --kdf pbkdf2' });
  if (key.priority !== undefined)
    throw new BootsealError('usage', 'LUKS1 has no priorities', { hint: 'add the key without a priority' });
  const slot = header.keyslots.find(({ active }) => !active);
  if (slot === undefined) {
    throw new BootsealError('usage', `all ${header.keyslots.length} keyslots are in use`, {
      hint: 'remove a key that is needed no more first',
    });
  }
  const { hash, encryption, keySize } = header;
  const salt = random(SALT_SIZE);
  const { iterations } = key.kdf;
  const kdf = { type: 'pbkdf2', hash, iterations, salt } as const;
  const format = { where: `keyslot ${slot.id}`, kdf, afHash: hash, encryption, encryptionKeySize: keySize, keySize };
  const filler = random((STRIPES - 1) * keySize);
  const bytes = await sealKeyslot(format, opened.volumeKey, key.passphrase, filler, crypto);
  const after = withSlots(header, [{ ...slot, active: true, iterations, salt }]);
  return {
    stages: [[{ at: slot.offset, bytes }], headerStage(after)],
    states: states(header, after),
    added: slot.id,
    header: after,
  };
}

/** Removes keyslots, after what was added: their areas are wiped first (cryptsetup, LUKS_del_key in lib/luks1/keymanage.c). */
export function removeLuks1Keyslots(
  header: Luks1Header,
  ids: readonly number[],
  random: Random,
  added: AddedLuks1Key | undefined,
): HeaderChange {
  const start = {
    stages: added?.stages ?? [],
    states: added?.states ?? [headerState(header)],
    added: added?.added,
    removed: ids,
    removal: undefined,
  };
  if (ids.length === 0) return start;
  const slots = ids.map((id) => activeSlot(header, id));
  const wipes = slots.map(({ offset }) => ({ at: offset, bytes: random(stripesSize(header.keySize)) }));
  const empty = { active: false, iterations: 0, salt: new Uint8Array(SALT_SIZE) };
  const after = withSlots(
    header,
    slots.map((slot) => ({ ...slot, ...empty })),
  );
  return {
    ...start,
    stages: [...start.stages, wipes, headerStage(after)],
    states: [...start.states, ...states(header, after).slice(1)],
    removal: { state: headerState(header), keyslots: ids },
  };
}

function activeSlot({ keyslots }: Luks1Header, id: number): Luks1Keyslot {
  const slot = keyslots[id];
  if (slot?.active === true) return slot;
  const used = keyslots.filter(({ active }) => active).map((one) => one.id);
  throw new BootsealError('usage', `keyslot ${id} is not in use`, { hint: `in use are: ${used.join(', ') || 'none'}` });
}

function withSlots(header: Luks1Header, changed: readonly Luks1Keyslot[]): Luks1Header {
  const keyslots = header.keyslots.map((slot) => changed.find(({ id }) => id === slot.id) ?? slot);
  return { ...header, keyslots };
}

function headerStage(header: Luks1Header): Stage {
  return [{ at: 0, bytes: encodeLuks1(header) }];
}

/** The header before, what a write of only one of its two sectors makes of it, and the header after. */
function states(before: Luks1Header, after: Luks1Header): readonly string[] {
  const [old, wanted] = [encodeLuks1(before), encodeLuks1(after)];
  const first = withWrites(old, [{ at: 0, bytes: wanted.subarray(0, SECTOR) }]);
  const second = withWrites(old, [{ at: SECTOR, bytes: wanted.subarray(SECTOR) }]);
  return [old, first, second, wanted].map((bytes) => bytesToHex(sha256(bytes)));
}
