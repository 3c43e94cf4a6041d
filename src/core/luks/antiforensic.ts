/**
 * @module The anti-forensic splitter: a key is spread over thousands of stripes of which every bit is needed, so that wiping any
 * of them destroys it (LUKS1 On-Disk Format Specification 1.2.3, section 2.4; cryptsetup, lib/luks1/af.c).
 */
import { wipe } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type LuksHash, type NobleHash, nobleHash } from './hashes.ts';

/** Bytes of the hunk number in front of each hunk. */
const NUMBER_SIZE = 4;

/**
 * Spreads a key.
 *
 * @param key of any length above zero
 * @param filler random, (`stripes` − 1) × the key's length; it becomes all stripes but the last
 * @returns `stripes` × the key's length
 * @throws `usage` for a filler of another length
 */
export function splitKey(key: Uint8Array, stripes: number, hash: LuksHash, filler: Uint8Array): Uint8Array {
  if (filler.length !== (stripes - 1) * key.length) {
    throw new BootsealError('usage', `anti-forensic split: needs ${(stripes - 1) * key.length} random bytes`, {
      hint: 'give as many from a random generator',
    });
  }
  const split = new Uint8Array(stripes * key.length);
  split.set(filler);
  const state = mix(filler, key.length, hash);
  for (let i = 0; i < key.length; i++) split[filler.length + i] = (state[i] ?? 0) ^ (key[i] ?? 0);
  wipe(state);
  return split;
}

/** Returns the key of `keySize` bytes that was spread; the stripes must all be there, or the key is another. */
export function mergeKey(split: Uint8Array, keySize: number, stripes: number, hash: LuksHash): Uint8Array {
  const last = (stripes - 1) * keySize;
  if (split.length < last + keySize) {
    throw new BootsealError(
      'format',
      `anti-forensic merge: ${split.length} bytes are not ${stripes} stripes of ${keySize}`,
      { hint: 'give all stripes of the keyslot' },
    );
  }
  const state = mix(split.subarray(0, last), keySize, hash);
  for (let i = 0; i < keySize; i++) state[i] = (state[i] ?? 0) ^ (split[last + i] ?? 0);
  return state;
}

/** Returns what all stripes but the last come to. */
function mix(stripes: Uint8Array, keySize: number, name: LuksHash): Uint8Array {
  const hash = nobleHash(name);
  const state = new Uint8Array(keySize);
  for (let at = 0; at < stripes.length; at += keySize) {
    for (let i = 0; i < keySize; i++) state[i] = (state[i] ?? 0) ^ (stripes[at + i] ?? 0);
    diffuse(state, hash);
  }
  return state;
}

/** Replaces each hunk of the hash's size by the hash of its number and itself; the last is cut to what is left. */
function diffuse(state: Uint8Array, hash: NobleHash): void {
  for (let number = 0, at = 0; at < state.length; number++, at += hash.outputLen) {
    const hunk = state.subarray(at, at + hash.outputLen);
    const input = new Uint8Array(NUMBER_SIZE + hunk.length);
    new DataView(input.buffer).setUint32(0, number);
    input.set(hunk, NUMBER_SIZE);
    const digest = hash(input);
    hunk.set(digest.subarray(0, hunk.length));
    wipe(input, digest);
  }
}
