/**
 * @module The plan of a new image: what bytes go where. Nothing is written here, and randomness comes from a parameter, so that
 * one seed gives one image.
 */
import { wipe } from '../bytes.ts';
import type { Units } from '../disk/units.ts';
import { BootsealError } from '../errors.ts';
import { parseGuid, randomGuid } from '../guid.ts';
import type { IntegrityLayout } from './integrity/layout.ts';
import type { LuksCrypto } from './keyslot.ts';
import type { HeaderParts } from './plan-header.ts';
import { planLuks1Header } from './plan-luks1.ts';
import { planLuks2Header } from './plan-luks2.ts';
import { type IntegrityChoice, type PlainSectors, planSectors, type TaggedSectors } from './plan-sectors.ts';
import type { TokenMeaning } from './token.ts';

/** Returns so many random bytes; called in the same order for the same plan. */
export type Random = (size: number) => Uint8Array;

/** What a key derivation may cost; memory in KiB. */
export type KdfChoice =
  | { readonly type: 'pbkdf2'; readonly iterations: number }
  | { readonly type: 'argon2id'; readonly time: number; readonly memory: number; readonly cpus: number };

/** A passphrase that shall open the image; its place in the list is the number of its keyslot. */
export interface NewKey {
  readonly passphrase: Uint8Array;
  readonly kdf: KdfChoice;
  /** LUKS2 only. 0: only when asked for by number, 1 (the default), 2: tried first. */
  readonly priority?: 0 | 1 | 2;
}

/** What is wanted. */
export interface PlanOptions {
  readonly version: 1 | 2;
  /** Bytes of the plaintext: a multiple of the sector size, with integrity also of 4096, more than none. */
  readonly dataSize: number;
  /** Bytes of a key of AES-XTS: 64 for AES-256; 32 for AES-128, with which there is no integrity. */
  readonly keySize: 64 | 32;
  /** LUKS2 only: a tag for every sector. */
  readonly integrity?: IntegrityChoice;
  /** Bytes; LUKS1 has only 512. */
  readonly sectorSize: 512 | 4096;
  /** Whether the header is a file of its own; the image then is ciphertext from its first byte. */
  readonly detached: boolean;
  /** Bytes of headers and keyslots, at the end of which the data start when not detached: a multiple of 4096. */
  readonly headerSize: number;
  readonly keys: readonly NewKey[];
  /** LUKS2 only. */
  readonly tokens?: readonly { readonly meaning: TokenMeaning; readonly keyslots: readonly number[] }[];
  readonly label?: string;
  readonly subsystem?: string;
  /** Random when left out. */
  readonly uuid?: string;
}

/** Bytes that go to a place in the image or in the file of a detached header. */
export interface BytesExtent {
  readonly kind: 'bytes';
  readonly file: 'image' | 'header';
  readonly at: number;
  readonly bytes: Uint8Array;
}

/**
 * Plaintext of `size` bytes that goes to a place in the image, encrypted: sector numbers count from its start. With tags `at` is where
 * superblock and journal stand, and data and tags have their places behind them.
 */
export interface DataExtent {
  readonly kind: 'data';
  readonly file: 'image';
  readonly at: number;
  readonly size: number;
  /** The units of it that are written, where not all are; counted from its start. */
  readonly used?: Units;
}

/** Superblock and journal of data with tags. */
export interface IntegrityExtent {
  readonly kind: 'integrity';
  readonly file: 'image';
  readonly at: number;
  readonly layout: IntegrityLayout;
}

export type Extent = BytesExtent | DataExtent | IntegrityExtent;

/** What goes where. */
export interface Plan {
  /** In the order in which they should be written: data first, the header that makes them an image last. */
  readonly extents: readonly Extent[];
  readonly uuid: string;
  /** How the data are encrypted; holds the volume key, which is the caller's to wipe. */
  readonly sectors: PlainSectors | TaggedSectors;
  /** Bytes of the image. On a larger device the kernel would add the rest to data with tags, and find no tags there. */
  readonly imageSize: number;
}

const ALIGNMENT = 4096;

/**
 * Plans an image.
 *
 * @param random used for volume key, salts, UUID, keyslots and what stands between them
 * @throws `usage` for options that do not go together, and for keys of LUKS1 that GRUB cannot take; `format` for the UUID
 */
export async function plan(options: PlanOptions, random: Random, crypto: LuksCrypto): Promise<Plan> {
  checkOptions(options);
  const uuid = options.uuid === undefined ? randomGuid(random) : parseGuid(options.uuid);
  const sectors = planSectors(options, random);
  const { key } = sectors;
  const given = { options, uuid, sectors, random, crypto };
  let parts: HeaderParts;
  try {
    parts = await (options.version === 1 ? planLuks1Header(given) : planLuks2Header(given));
  } catch (error) {
    wipe(key);
    throw error;
  }
  const { detached, headerSize, dataSize } = options;
  const at = detached ? 0 : headerSize;
  const data: DataExtent = { kind: 'data', file: 'image', at, size: dataSize };
  const header = parts.map((part): BytesExtent => ({ kind: 'bytes', file: detached ? 'header' : 'image', ...part }));
  if (sectors.tags === undefined) return { extents: [data, ...header], uuid, sectors, imageSize: at + dataSize };
  const { layout } = sectors;
  const start: IntegrityExtent = { kind: 'integrity', file: 'image', at, layout };
  return { extents: [data, start, ...header], uuid, sectors, imageSize: at + layout.size };
}

function checkOptions({ version, dataSize, sectorSize, headerSize, keys, tokens = [] }: PlanOptions): void {
  if (!Number.isSafeInteger(dataSize) || dataSize <= 0 || dataSize % sectorSize !== 0) {
    throw new BootsealError(
      'usage',
      `the data of ${dataSize} bytes are not a whole number of sectors of ${sectorSize}`,
      { hint: `fill the data up with zeros, for instance with truncate -s %${sectorSize}` },
    );
  }
  if (!Number.isSafeInteger(headerSize) || headerSize <= 0 || headerSize % ALIGNMENT !== 0) {
    throw new BootsealError('usage', `a header of ${headerSize} bytes is not a multiple of ${ALIGNMENT}`, {
      hint: `round it up to the next multiple of ${ALIGNMENT}`,
    });
  }
  if (keys.length === 0) {
    throw new BootsealError('usage', 'an image needs at least one key', {
      hint: 'give a key: without one nobody opens the image',
    });
  }
  for (const [id, { passphrase, kdf }] of keys.entries()) {
    if (passphrase.length === 0) {
      throw new BootsealError('usage', `key ${id} is empty`, {
        hint: 'a key has at least one byte; 32 random ones are a good key',
      });
    }
    checkKdfChoice(kdf, id);
  }
  for (const { keyslots } of tokens) {
    const missing = keyslots.find((id) => id >= keys.length);
    if (missing !== undefined) {
      throw new BootsealError('usage', `a token is for keyslot ${missing}, which has no key`, {
        hint: 'name only keyslots that get a key',
      });
    }
  }
  if (version === 1 && sectorSize !== 512) {
    throw new BootsealError('usage', 'LUKS1 has only sectors of 512 bytes', {
      hint: 'take sectors of 512 bytes, or make a LUKS2 header, without --luks1',
    });
  }
}

/** What cryptsetup accepts for new keyslots (lib/crypto_backend/pbkdf_check.c, crypt_pbkdf_get_limits). */
export function checkKdfChoice(kdf: KdfChoice, id: number): void {
  const rules: readonly (readonly [boolean, string])[] =
    kdf.type === 'pbkdf2'
      ? [[kdf.iterations >= 1000 && kdf.iterations <= 0xffffffff, 'at least 1000 iterations']]
      : [
          [kdf.time >= 4 && kdf.time <= 0xffffffff, 'at least 4 passes'],
          [kdf.memory >= 32 && kdf.memory <= 4 << 20, '32 KiB to 4 GiB of memory'],
          [kdf.cpus >= 1 && kdf.cpus <= 4, '1 to 4 lanes'],
        ];
  const broken = rules.find(([holds]) => !holds);
  if (broken !== undefined) {
    throw new BootsealError('usage', `key ${id}: ${kdf.type} takes ${broken[1]}`, {
      hint: 'give other costs, or none',
    });
  }
}
