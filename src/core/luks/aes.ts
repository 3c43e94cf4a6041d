/**
 * @module AES in the modes of disk encryption. The block modes are parameters, since a pure implementation is slow;
 * `nobleAes` is one, with XTS (IEEE 1619-2018) on top of its ECB.
 */
import { cbc, ecb } from '@noble/ciphers/aes.js';
import { wipe } from '../bytes.ts';
import { BootsealError } from '../errors.ts';

export type Direction = 'encrypt' | 'decrypt';

/** AES without padding over whole blocks of 16 bytes; each call returns a new array of the length of `data`. */
export interface AesModes {
  /** @param iv the tweak, 16 bytes; @param key two keys one after the other, 32 or 64 bytes. Throws `format` when both are the same. */
  xts(direction: Direction, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** @param iv 16 bytes; @param key 16, 24 or 32 bytes */
  cbc(direction: Direction, key: Uint8Array, iv: Uint8Array, data: Uint8Array): Uint8Array;
  /** @param key 16, 24 or 32 bytes */
  ecb(direction: Direction, key: Uint8Array, data: Uint8Array): Uint8Array;
}

const BLOCK = 16;
const NO_PADDING = { disablePadding: true };

/** AES without any platform. */
export const nobleAes: AesModes = {
  ecb: (direction, key, data) => ecb(key, NO_PADDING)[direction](data),
  cbc: (direction, key, iv, data) => cbc(key, iv, NO_PADDING)[direction](data),
  xts(direction, key, iv, data) {
    const half = key.length / 2;
    const [dataKey, tweakKey] = [key.subarray(0, half), key.subarray(half)];
    checkXtsKey(key);
    const tweaks = xtsTweaks(nobleAes.ecb('encrypt', tweakKey, iv), data.length / BLOCK);
    const masked = xor(data, tweaks);
    const out = xor(nobleAes.ecb(direction, dataKey, masked), tweaks);
    wipe(tweaks, masked);
    return out;
  },
};

/** Refuses an XTS key whose halves are the same, under which the tweaks tell too much (FIPS 140, IG C.I). Throws `format`. */
export function checkXtsKey(key: Uint8Array): void {
  const half = key.length / 2;
  if (key.subarray(0, half).every((byte, i) => byte === key[half + i])) {
    throw new BootsealError('format', 'an XTS key is two times the same key', {
      hint: 'no random generator makes such a key: do not use the image, build another one',
    });
  }
}

/** Returns a tweak for each block: the first, then each multiplied by x in GF(2^128). */
function xtsTweaks(first: Uint8Array, blocks: number): Uint8Array {
  const tweaks = new Uint8Array(blocks * BLOCK);
  const tweak = first.slice();
  for (let block = 0; block < blocks; block++) {
    tweaks.set(tweak, block * BLOCK);
    let carry = 0;
    for (let i = 0; i < BLOCK; i++) {
      const byte = tweak[i] ?? 0;
      tweak[i] = (byte << 1) | carry;
      carry = byte >> 7;
    }
    // x^128 = x^7 + x^2 + x + 1.
    tweak[0] = (tweak[0] ?? 0) ^ (carry * 0x87);
  }
  return tweaks;
}

function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, i) => byte ^ (b[i] ?? 0));
}
