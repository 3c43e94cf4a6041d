/** @module A LUKS header of either version, and the one way to open it: which keyslot gives the volume key for a passphrase. */
import { wipe } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { isKeyOf, type KeyDigest } from './digest.ts';
import { type Disk, readExactly } from './disk.ts';
import { MAGIC } from './header.ts';
import { type KdfLimits, kdfShare } from './kdf.ts';
import { type KeyslotFormat, type LuksCrypto, openKeyslot } from './keyslot.ts';
import { type Luks1Header, readLuks1 } from './luks1.ts';
import { type Luks2Header, readLuks2 } from './luks2.ts';
import { stripesSize } from './metadata/keyslots.ts';

/** A header of either version. */
export type LuksHeader = Luks1Header | Luks2Header;

/** A keyslot that a passphrase may open, in the words of both versions. */
export interface PassphraseSlot extends KeyslotFormat {
  readonly id: number;
  /** Bytes from the start of the header. */
  readonly offset: number;
  /** 0: only when asked for by number, 1: normal, 2: tried first. */
  readonly priority: number;
  readonly digest: KeyDigest;
  /** Whether its key encrypts data; cryptsetup makes others too, and calls them unbound. */
  readonly bound: boolean;
}

/** An opened image. */
export interface Unlocked {
  readonly keyslot: number;
  readonly volumeKey: Uint8Array;
}

/** A keyslot that a passphrase opens, also one whose key encrypts no data. */
export interface OpenedKeyslot extends Unlocked, Pick<PassphraseSlot, 'bound'> {}

/** Keyslots at the limit of their cost that are tried before the search is given up. */
const MAX_SHARES = 4;
/** Bytes up to the version, which both headers have at the same place. */
const VERSION_AT = 6;

/** Reads the header at the start of a disk. Throws `format` when it is no LUKS header or breaks a rule; `io`. */
export async function readHeader(disk: Disk): Promise<LuksHeader> {
  const start = await disk.read(0, VERSION_AT + 2);
  const isPrimary = MAGIC.primary.every((byte, i) => start[i] === byte);
  if (isPrimary && start[VERSION_AT] === 0 && start[VERSION_AT + 1] === 1) return readLuks1(disk);
  try {
    return await readLuks2(disk);
  } catch (error) {
    if (isPrimary || !(error instanceof BootsealError) || error.kind !== 'format') throw error;
    throw new BootsealError('format', 'not a LUKS image: neither header has the magic number and a right checksum', {
      hint: 'in a partitioned disk the header is at the start of a partition, and a detached header is a file of its own',
      cause: error,
    });
  }
}

/** Returns the keyslots in use that take a passphrase, in the order of their numbers. */
export function passphraseSlots(header: LuksHeader): readonly PassphraseSlot[] {
  return header.version === 1 ? luks1Slots(header) : luks2Slots(header);
}

/**
 * Returns the volume key of the data for a passphrase: keyslots of high priority are tried first, those of priority 0 only when asked
 * for, those whose key encrypts no data never.
 *
 * @param disk where the header is
 * @param only number of the one keyslot to try
 * @throws `key` when no keyslot opens, `format` when the only ones left are broken or too costly, `usage` for an `only` that is
 * not in use or holds the key of no data
 */
export async function unlock(
  header: LuksHeader,
  disk: Disk,
  passphrase: Uint8Array,
  crypto: LuksCrypto,
  only?: number,
): Promise<Unlocked> {
  const slots = slotsToTry(header, only);
  let refused: BootsealError | undefined;
  let spent = 0;
  for (const slot of slots) {
    try {
      spent += shareOf(slot, crypto.limits);
      if (spent > MAX_SHARES) throw tooManyKeyslots(slot);
      const volumeKey = await trySlot(slot, disk, passphrase, crypto);
      if (volumeKey !== undefined) return { keyslot: slot.id, volumeKey };
    } catch (error) {
      if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
      refused ??= error;
    }
  }
  if (refused !== undefined) throw refused;
  throw new BootsealError('key', `the key opens no keyslot (tried: ${numbersOf(slots)})`, {
    hint:
      passphrase.at(-1) === 0x0a
        ? 'the key ends in a newline, which counts: if it was typed, take the newline out of the file'
        : 'every byte of the key counts, a newline at its end too',
  });
}

/**
 * Returns every keyslot that a passphrase opens, those of priority 0 and those of no data too, with the volume key of each, which are
 * the caller's to wipe. Keyslots that are broken or too costly are passed by.
 *
 * @throws `format` when all keyslots together are too costly; `io`
 */
export async function unlockAll(
  header: LuksHeader,
  disk: Disk,
  passphrase: Uint8Array,
  crypto: LuksCrypto,
): Promise<readonly OpenedKeyslot[]> {
  const slots = passphraseSlots(header);
  let spent = 0;
  const opened: OpenedKeyslot[] = [];
  for (const slot of slots) {
    spent += shareOf(slot, crypto.limits);
    if (spent > MAX_SHARES) throw tooManyKeyslots(slot);
    try {
      const volumeKey = await trySlot(slot, disk, passphrase, crypto);
      if (volumeKey !== undefined) opened.push({ keyslot: slot.id, volumeKey, bound: slot.bound });
    } catch (error) {
      if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
    }
  }
  return opened;
}

/** What a keyslot asks for, of what one may; a keyslot above its own limit costs nothing, since it is refused before. */
function shareOf({ kdf, digest }: PassphraseSlot, limits: KdfLimits): number {
  const parts = [kdf, { type: 'pbkdf2', ...digest } as const];
  return parts.map((part) => kdfShare(part, limits)).reduce((sum, share) => (share > 1 ? sum : sum + share), 0);
}

function tooManyKeyslots({ where }: PassphraseSlot): BootsealError {
  return new BootsealError(
    'format',
    `${where}: with those before it asks for more work than ${MAX_SHARES} keyslots may`,
    {
      hint: 'a hostile header can ask for any cost; where the key is known to open this keyslot, ask for it by its number',
    },
  );
}

/** Returns the volume key, or undefined when the passphrase is not the slot's. */
async function trySlot(
  slot: PassphraseSlot,
  disk: Disk,
  passphrase: Uint8Array,
  crypto: LuksCrypto,
): Promise<Uint8Array | undefined> {
  const area = await readExactly(disk, slot.offset, stripesSize(slot.keySize), slot.where);
  const key = await openKeyslot(slot, area, passphrase, crypto);
  if (await isKeyOf(slot.digest, key, `${slot.where}: digest`, crypto)) return key;
  wipe(key);
  return undefined;
}

function slotsToTry(header: LuksHeader, only: number | undefined): readonly PassphraseSlot[] {
  const slots = passphraseSlots(header);
  if (only === undefined) {
    return slots.filter(({ priority, bound }) => priority > 0 && bound).sort((a, b) => b.priority - a.priority);
  }
  const wanted = slots.find(({ id }) => id === only);
  if (wanted?.bound === true) return [wanted];
  if (wanted !== undefined) {
    throw new BootsealError('usage', `keyslot ${only} holds the key of no data`, {
      hint: `for the data are: ${numbersOf(slots.filter(({ bound }) => bound))}`,
    });
  }
  throw new BootsealError('usage', `keyslot ${only} is not in use`, {
    hint: `in use are: ${numbersOf(slots)}`,
  });
}

const numbersOf = (slots: readonly PassphraseSlot[]): string => slots.map(({ id }) => id).join(', ') || 'none';

function luks1Slots(header: Luks1Header): readonly PassphraseSlot[] {
  const { hash, encryption, keySize } = header;
  const digest = {
    hash,
    iterations: header.digestIterations,
    salt: header.digestSalt,
    digest: header.digest,
  };
  return header.keyslots
    .filter(({ active }) => active)
    .map(({ id, iterations, salt, offset }) => ({
      id,
      where: `keyslot ${id}`,
      offset,
      priority: 1,
      kdf: { type: 'pbkdf2', hash, iterations, salt },
      afHash: hash,
      encryption,
      encryptionKeySize: keySize,
      keySize,
      digest,
      bound: true,
    }));
}

function luks2Slots({ current }: Luks2Header): readonly PassphraseSlot[] {
  const { keyslots, digests } = current.metadata;
  return keyslots.flatMap((slot) => {
    const found = digests.find((candidate) => candidate.keyslots.includes(slot.id));
    if (slot.kind === 'foreign' || found?.pbkdf2 === undefined) return [];
    const place = { where: `keyslot ${slot.id}`, offset: slot.area.offset };
    return [{ ...slot, ...place, digest: found.pbkdf2, bound: found.segments.length > 0 }];
  });
}
