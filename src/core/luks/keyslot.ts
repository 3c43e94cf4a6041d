/**
 * @module Keyslots: a passphrase gives a key (KDF), the key decrypts the area, the area's stripes merge into the volume key; and
 * the same way back. LUKS1 and LUKS2 differ only in where they write the parameters down.
 */
import { wipe } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type AesModes, nobleAes } from './aes.ts';
import { mergeKey, splitKey } from './antiforensic.ts';
import { findCipher } from './cipher.ts';
import { luksHash } from './hashes.ts';
import { deriveKey, KDF_LIMITS, type KdfLimits, type Kdfs, nobleKdfs } from './kdf.ts';
import { type Kdf, STRIPES, stripesSize } from './metadata/keyslots.ts';
import { cryptSectors, type SectorFormat } from './sectors.ts';

/** The crypto that keyslots need, and what a header may ask of it. */
export interface LuksCrypto {
  readonly aes: AesModes;
  readonly kdfs: Kdfs;
  readonly limits: KdfLimits;
}

/** Everything without a platform. */
export const nobleLuksCrypto: LuksCrypto = { aes: nobleAes, kdfs: nobleKdfs, limits: KDF_LIMITS };

/** How one keyslot holds a volume key. */
export interface KeyslotFormat {
  /** Names it in errors: `keyslot 0`. */
  readonly where: string;
  readonly kdf: Kdf;
  readonly afHash: string;
  readonly encryption: string;
  /** Bytes of the area's key and of the volume key. */
  readonly encryptionKeySize: number;
  readonly keySize: number;
}

/** Keyslot areas are encrypted in sectors of this size whatever the data have; bytes. */
const AREA_SECTOR = 512;

/**
 * Returns what the passphrase makes of a keyslot: the volume key if it is the right one, other bytes if not (see digest.ts).
 *
 * @param area the first stripesSize(keySize) bytes of the keyslot's area
 * @throws `format` for a cipher, hash or key derivation that is not known or too costly
 */
export async function openKeyslot(
  format: KeyslotFormat,
  area: Uint8Array,
  passphrase: Uint8Array,
  crypto: LuksCrypto,
): Promise<Uint8Array> {
  const { keySize, where } = format;
  if (area.length !== stripesSize(keySize)) {
    throw new BootsealError('format', `${where}: an area of another size is needed`, {
      hint: 'give as many bytes of the area as stripesSize says',
    });
  }
  const hash = luksHash(format.afHash, `${where}: splitter`);
  const sectors = await areaFormat(format, passphrase, crypto);
  const stripes = cryptSectors('decrypt', sectors, area, 0, crypto.aes);
  const key = mergeKey(stripes, keySize, STRIPES, hash);
  wipe(sectors.key, stripes);
  return key;
}

/**
 * Returns the bytes of a keyslot's area that gives `volumeKey` to whoever has the passphrase.
 *
 * @param filler random, 3999 × the volume key's length
 * @throws `usage` and `format` as {@link openKeyslot}
 */
export async function sealKeyslot(
  format: KeyslotFormat,
  volumeKey: Uint8Array,
  passphrase: Uint8Array,
  filler: Uint8Array,
  crypto: LuksCrypto,
): Promise<Uint8Array> {
  const hash = luksHash(format.afHash, `${format.where}: splitter`);
  const sectors = await areaFormat(format, passphrase, crypto);
  const stripes = new Uint8Array(stripesSize(volumeKey.length));
  const split = splitKey(volumeKey, STRIPES, hash, filler);
  stripes.set(split);
  const area = cryptSectors('encrypt', sectors, stripes, 0, crypto.aes);
  wipe(sectors.key, stripes, split);
  return area;
}

async function areaFormat(format: KeyslotFormat, passphrase: Uint8Array, crypto: LuksCrypto): Promise<SectorFormat> {
  const { where, encryption, encryptionKeySize } = format;
  // Before the costly part, and so that a null cipher is refused whatever the passphrase (CVE-2025-59054).
  const cipher = findCipher(encryption, encryptionKeySize, `${where}: area`);
  const key = await deriveKey(
    format.kdf,
    passphrase,
    encryptionKeySize,
    `${where}: key derivation`,
    crypto.kdfs,
    crypto.limits,
  );
  return { cipher, key, sectorSize: AREA_SECTOR, ivTweak: 0n };
}
