/**
 * @module One sector that is encrypted and authenticated, as dm-crypt does it (Linux, drivers/md/dm-crypt.c,
 * crypt_convert_block_aead): the code covers the sector's number, its IV and its ciphertext.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, equalInConstantTime, u64le, wipe } from '../../bytes.ts';
import { type AesModes, nobleAes } from '../aes.ts';
import type { TagScheme } from './schemes.ts';

/** What sectors with and without tags need. */
export interface SectorCrypto extends AesModes {
  /** Of the parts, one after another. */
  hmacSha256(key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array;
  /** @param iv 12 bytes; @param aad what is authenticated as well. Returns ciphertext and code of 16 bytes, one after the other. */
  gcmSeal(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, plain: Uint8Array): Uint8Array;
  /** Takes what {@link gcmSeal} returns; undefined when the code is not right. */
  gcmOpen(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined;
}

/** Everything without a platform. */
export const nobleSectorCrypto: SectorCrypto = {
  ...nobleAes,
  hmacSha256: (key, parts) => hmac(sha256, key, concat(...parts)),
  gcmSeal: (key, iv, aad, plain) => gcm(key, iv, aad).encrypt(plain),
  gcmOpen(key, iv, aad, sealed) {
    try {
      return gcm(key, iv, aad).decrypt(sealed);
    } catch {
      return undefined;
    }
  },
};

/** How sectors are sealed. */
export interface SealedFormat {
  readonly tags: TagScheme;
  /** The whole volume key. */
  readonly key: Uint8Array;
  /** Added to the number of every sector for its IV, but not for its code. */
  readonly ivTweak: bigint;
}

/** A sector and what is kept for it: its code and, where it is random, its IV. */
export interface SealedSector {
  readonly cipher: Uint8Array;
  readonly tag: Uint8Array;
}

/**
 * Encrypts and authenticates one sector.
 *
 * @param number of the sector, in units of 512 bytes from the start of the data
 * @param random IV, used where the scheme has random ones: 12 bytes for GCM, 16 for XTS
 */
export function sealSector(
  format: SealedFormat,
  number: bigint,
  plain: Uint8Array,
  random: Uint8Array,
  crypto: SectorCrypto,
): SealedSector {
  const { tags, key } = format;
  const iv = tags.iv === 'random' ? random : plain64(number + format.ivTweak);
  const kept = tags.iv === 'random' ? iv : new Uint8Array(0);
  if (tags.mode === 'gcm') {
    const sealed = crypto.gcmSeal(key, iv, concat(littleEndian(number), iv), plain);
    return { cipher: sealed.subarray(0, plain.length), tag: concat(sealed.subarray(plain.length), kept) };
  }
  const [cipherKey, macKey] = splitKey(format);
  const cipher = crypto.xts('encrypt', cipherKey, iv, plain);
  return { cipher, tag: concat(crypto.hmacSha256(macKey, [littleEndian(number), iv, cipher]), kept) };
}

/** Returns the plaintext of one sector, or undefined when its tag does not match it. @param number as {@link sealSector}'s */
export function openSector(
  format: SealedFormat,
  number: bigint,
  { cipher, tag }: SealedSector,
  crypto: SectorCrypto,
): Uint8Array | undefined {
  const { tags, key } = format;
  const mac = tag.subarray(0, tags.macSize);
  const iv = tags.iv === 'random' ? tag.subarray(tags.macSize) : plain64(number + format.ivTweak);
  if (tags.mode === 'gcm') return crypto.gcmOpen(key, iv, concat(littleEndian(number), iv), concat(cipher, mac));
  const [cipherKey, macKey] = splitKey(format);
  const wanted = crypto.hmacSha256(macKey, [littleEndian(number), iv, cipher]);
  const matches = equalInConstantTime(wanted, mac);
  wipe(wanted);
  return matches ? crypto.xts('decrypt', cipherKey, iv, cipher) : undefined;
}

function splitKey({ key, tags }: SealedFormat): readonly [Uint8Array, Uint8Array] {
  const end = key.length - tags.macKeySize;
  return [key.subarray(0, end), key.subarray(end)];
}

function littleEndian(number: bigint): Uint8Array {
  const out = new Uint8Array(8);
  u64le.encode(BigInt.asUintN(64, number), out, 0, 'sector number');
  return out;
}

function plain64(number: bigint): Uint8Array {
  return concat(littleEndian(number), new Uint8Array(8));
}
