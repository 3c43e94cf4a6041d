/** @module The key derivation of SEV: NIST SP 800-108 in counter mode with HMAC-SHA256 (AMD SEV API 55766, section 2.2.1). */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { concat, u32le, wipe } from '../bytes.ts';

const BLOCK_SIZE = 32;

/**
 * Derives `size` bytes from `key` for the use that `label` names: the HMACs of counter (from 1) | label | 0 | context |
 * size in bits, numbers as 32-bit little-endian, one after another. The caller wipes the result.
 */
export function deriveKey(key: Uint8Array, label: string, context: Uint8Array, size: number): Uint8Array {
  const purpose = concat(ascii(label), Uint8Array.of(0), context, number(8 * size));
  const out = new Uint8Array(size);
  for (let at = 0; at < size; at += BLOCK_SIZE) {
    const block = hmac(sha256, key, concat(number(1 + at / BLOCK_SIZE), purpose));
    out.set(block.subarray(0, size - at), at);
    wipe(block);
  }
  return out;
}

function number(value: number): Uint8Array {
  const out = new Uint8Array(u32le.size);
  u32le.encode(value, out, 0, 'kdf');
  return out;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}
