/**
 * @module Encryption of a run of disk sectors, as dm-crypt does it: every sector by itself, with an IV made of its number. The
 * number always counts units of 512 bytes, also where a sector has 4096 (LUKS2 never uses dm-crypt's `iv_large_sectors`).
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import type { AesModes, Direction } from './aes.ts';
import type { Cipher } from './cipher.ts';

/** How sectors are encrypted. */
export interface SectorFormat {
  readonly cipher: Cipher;
  readonly key: Uint8Array;
  /** Bytes: a multiple of 512. */
  readonly sectorSize: number;
  /** Added to the number of every sector. */
  readonly ivTweak: bigint;
}

const UNIT = 512;
const IV_SIZE = 16;

/**
 * Encrypts or decrypts sectors.
 *
 * @param data whole sectors
 * @param first position of `data` in the segment, in units of 512 bytes
 * @throws `format` when `data` is no whole number of sectors
 */
export function cryptSectors(
  direction: Direction,
  format: SectorFormat,
  data: Uint8Array,
  first: number,
  aes: AesModes,
): Uint8Array {
  const { cipher, key, sectorSize, ivTweak } = format;
  if (data.length % sectorSize !== 0) {
    throw new BootsealError('format', `${data.length} bytes are not a whole number of sectors of ${sectorSize}`, {
      hint: 'give bytes up to the end of a sector',
    });
  }
  const ivKey = cipher.iv === 'essiv:sha256' ? sha256(key) : undefined;
  const out = new Uint8Array(data.length);
  for (let at = 0; at < data.length; at += sectorSize) {
    const number = BigInt(first + at / UNIT) + ivTweak;
    const plainIv = sectorIv(cipher, number);
    const iv = ivKey === undefined ? plainIv : aes.ecb('encrypt', ivKey, plainIv);
    out.set(aes[cipher.mode](direction, key, iv, data.subarray(at, at + sectorSize)), at);
  }
  return out;
}

/** The number of a sector, little-endian: all 64 bits, or for `plain` the lower 32. */
function sectorIv({ iv }: Cipher, number: bigint): Uint8Array {
  const out = new Uint8Array(IV_SIZE);
  u64le.encode(BigInt.asUintN(iv === 'plain' ? 32 : 64, number), out, 0, 'iv');
  return out;
}
