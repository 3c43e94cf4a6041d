/**
 * @module What cannot be ciphertext, told without the key: sectors of zeros, and sectors that repeat themselves, have far too few bytes
 * from 0x80 up, as text, or far too many zeros, as nine tenths of a program. What was compressed looks like ciphertext and is not found.
 */

/** Places of whole sectors in the bytes that were looked at. */
export interface Unencrypted {
  /** Sectors of zeros: never written, or discarded. */
  readonly zeros: readonly number[];
  /** Other sectors that cannot be ciphertext. */
  readonly plain: readonly number[];
}

/** Bytes that are judged together, the smallest sector; 32-bit words of a block of AES, and of such a unit. */
const UNIT = 512;
const BLOCK_WORDS = 4;
const UNIT_WORDS = UNIT / 4;

/**
 * Of 128 bytes, one word of every block, so many or fewer have their highest bit. Of random bytes that is so once in 3 × 10^17 units
 * (Chernoff's bound), of text always.
 */
const FEW = 16;
const HIGHEST_BITS = 0x01010101;

/** Of random bytes so many of a unit are zeros once in 10^17 units (the tail of a binomial distribution with a mean of 2). */
const MANY_ZEROS = 24;
const LOW_BITS = 0x7f7f7f7f;

const RANDOM = 0;
const ZEROS = 1;
const PLAIN = 2;

/** Finds the sectors that cannot be what AES made; `sectorSize` is a multiple of 512 bytes, and `bytes` are whole sectors. */
export function findUnencrypted(bytes: Uint8Array, sectorSize: number): Unencrypted {
  const words = wordsOf(bytes);
  const found = { zeros: [] as number[], plain: [] as number[] };
  for (let at = 0; at < bytes.length; at += sectorSize) {
    let [zeros, plain] = [true, false];
    for (let unit = at; unit < at + sectorSize; unit += UNIT) {
      const kind = kindOf(words, unit / 4);
      if (kind !== ZEROS) zeros = false;
      if (kind !== RANDOM) plain = true;
    }
    if (plain) (zeros ? found.zeros : found.plain).push(at);
  }
  return found;
}

function wordsOf(bytes: Uint8Array): Int32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
}

function kindOf(words: Int32Array, start: number): number {
  let highest = 0;
  let zeros = 0;
  let repeated = false;
  for (let at = start; at < start + UNIT_WORDS; at += BLOCK_WORDS) {
    // Four sums of 32 bits at most, side by side.
    highest += ((words[at] as number) >>> 7) & HIGHEST_BITS;
    for (let i = at; i < at + BLOCK_WORDS; i++) zeros += zeroBytes(words[i] as number);
    repeated ||= at > start && words[at] === words[at - BLOCK_WORDS] && isRepeated(words, at);
  }
  if (!repeated && sumOfBytes(highest) > FEW && sumOfBytes(zeros) < MANY_ZEROS) return RANDOM;
  return isZero(words, start) ? ZEROS : PLAIN;
}

/** One for each byte that is zero, side by side: of 128 words that is a sum of 128 at most. */
function zeroBytes(word: number): number {
  return (~(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS) >>> 7) & HIGHEST_BITS;
}

/** Whether a block of AES is the one before it: of random bytes once in 2^128. */
function isRepeated(words: Int32Array, at: number): boolean {
  for (let i = 1; i < BLOCK_WORDS; i++) if (words[at + i] !== words[at + i - BLOCK_WORDS]) return false;
  return true;
}

function isZero(words: Int32Array, start: number): boolean {
  for (let at = start; at < start + UNIT_WORDS; at++) if (words[at] !== 0) return false;
  return true;
}

function sumOfBytes(word: number): number {
  return (word & 0xff) + ((word >>> 8) & 0xff) + ((word >>> 16) & 0xff) + (word >>> 24);
}
