/**
 * @module LZMA as edk2 stores it (MdeModulePkg/Library/LzmaCustomDecompressLib): the 13-byte header of the `.lzma` file format
 * and one stream (Igor Pavlov, LZMA specification 2015-06-14). The output is the dictionary.
 */
import { layout, u8, u32le, u64le } from '../bytes.ts';
import type { Budget } from './budget.ts';
import { probabilities, RangeDecoder } from './range-decoder.ts';
import { firmwareRefusal } from './refusal.ts';

const Header = layout('lzma header', { properties: u8, dictionarySize: u32le, size: u64le });

/** xz has the same limit: more makes tables of megabytes, which a section of 52 bytes can ask for. */
const MAX_LITERAL_BITS = 4;
const MIN_DICTIONARY = 4096;
/** A match is at least this long. */
const MIN_MATCH = 2;

/** Returns how many bytes `decodeLzma` would give; throws `format` when the header is not whole or does not say. */
export function lzmaSize(input: Uint8Array): number {
  const { size } = Header.unpack(input);
  if (size >= 2n ** 53n) throw firmwareRefusal('lzma: the header does not say how large the content is');
  return Number(size);
}

/**
 * Decompresses; bytes after the stream are not looked at. Spends from `budget` a stream, the bytes of the content and of the
 * table of literals, and the bits decoded; throws `format` when that is not left, and for a damaged stream.
 */
export function decodeLzma(input: Uint8Array, budget: Budget): Uint8Array {
  budget.spend('streams', 1, 'lzma');
  const { properties, dictionarySize } = Header.unpack(input);
  const size = lzmaSize(input);
  const literals = literalCount(properties);
  budget.spend('bytes', size + literals * Uint16Array.BYTES_PER_ELEMENT, 'lzma');
  const out = new Uint8Array(size);
  if (size > 0) {
    const bits = new RangeDecoder(input.subarray(Header.size));
    new Decoder(bits, out, properties, dictionarySize).run(budget.left('bits'));
    budget.spend('bits', bits.taken, 'lzma');
  }
  return out;
}

function literalCount(properties: number): number {
  if (properties >= 9 * 5 * 5) throw firmwareRefusal(`lzma: impossible properties ${properties}`);
  const lc = properties % 9;
  const lp = Math.floor(properties / 9) % 5;
  if (lc + lp > MAX_LITERAL_BITS) {
    throw firmwareRefusal(`lzma: lc ${lc} and lp ${lp} are more than ${MAX_LITERAL_BITS} together`);
  }
  return 0x300 << (lc + lp);
}

/** Lengths: one tree of 8 for short ones and one for longer ones per position state, and a shared tree of 256. */
class LengthDecoder {
  readonly #choice = probabilities(2);
  readonly #low = probabilities(16 << 3);
  readonly #mid = probabilities(16 << 3);
  readonly #high = probabilities(256);

  read(bits: RangeDecoder, positionState: number): number {
    if (bits.bit(this.#choice, 0) === 0) return bits.tree(this.#low, positionState << 3, 3);
    if (bits.bit(this.#choice, 1) === 0) return 8 + bits.tree(this.#mid, positionState << 3, 3);
    return 16 + bits.tree(this.#high, 0, 8);
  }
}

/** One stream; the names of the fields are those of the specification. */
class Decoder {
  readonly #bits: RangeDecoder;
  readonly #out: Uint8Array;
  readonly #lc: number;
  readonly #literalMask: number;
  readonly #positionMask: number;
  readonly #dictionary: number;
  readonly #literal: Uint16Array;
  readonly #isMatch = probabilities(12 << 4);
  readonly #isRep = probabilities(12);
  readonly #isRepG0 = probabilities(12);
  readonly #isRepG1 = probabilities(12);
  readonly #isRepG2 = probabilities(12);
  readonly #isRep0Long = probabilities(12 << 4);
  readonly #slot = probabilities(4 << 6);
  readonly #special = probabilities(115);
  readonly #align = probabilities(16);
  readonly #length = new LengthDecoder();
  readonly #repLength = new LengthDecoder();
  #at = 0;
  #state = 0;
  #rep0 = 0;
  #rep1 = 0;
  #rep2 = 0;
  #rep3 = 0;

  constructor(bits: RangeDecoder, out: Uint8Array, properties: number, dictionarySize: number) {
    const lp = Math.floor(properties / 9) % 5;
    this.#bits = bits;
    this.#out = out;
    this.#lc = properties % 9;
    this.#literalMask = (1 << lp) - 1;
    this.#positionMask = (1 << Math.floor(properties / 45)) - 1;
    this.#dictionary = Math.max(dictionarySize, MIN_DICTIONARY);
    this.#literal = probabilities(literalCount(properties));
  }

  /** Fills the output, or stops early once more than `mostBits` bits were read. */
  run(mostBits: number): void {
    const end = this.#out.length;
    while (this.#at < end && this.#bits.taken <= mostBits) {
      const positionState = this.#at & this.#positionMask;
      if (this.#bits.bit(this.#isMatch, (this.#state << 4) + positionState) === 0) this.#readLiteral();
      else if (this.#bits.bit(this.#isRep, this.#state) === 0) this.#readMatch(positionState);
      else this.#readRep(positionState);
    }
  }

  #readLiteral(): void {
    const before = this.#at > 0 ? (this.#out[this.#at - 1] ?? 0) : 0;
    const base = 0x300 * (((this.#at & this.#literalMask) << this.#lc) + (before >>> (8 - this.#lc)));
    let symbol = 1;
    if (this.#state >= 7) {
      let expected = this.#out[this.#at - this.#rep0 - 1] ?? 0;
      while (symbol < 0x100) {
        const guess = (expected >>> 7) & 1;
        expected <<= 1;
        const bit = this.#bits.bit(this.#literal, base + ((1 + guess) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (guess !== bit) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | this.#bits.bit(this.#literal, base + symbol);
    this.#out[this.#at++] = symbol;
    this.#state = this.#state < 4 ? 0 : this.#state < 10 ? this.#state - 3 : this.#state - 6;
  }

  #readMatch(positionState: number): void {
    this.#rep3 = this.#rep2;
    this.#rep2 = this.#rep1;
    this.#rep1 = this.#rep0;
    const length = this.#length.read(this.#bits, positionState);
    this.#rep0 = this.#readDistance(length);
    this.#state = this.#state < 7 ? 7 : 10;
    this.#copy(length + MIN_MATCH);
  }

  #readDistance(length: number): number {
    const slot = this.#bits.tree(this.#slot, Math.min(length, 3) << 6, 6);
    if (slot < 4) return slot;
    const low = (slot >>> 1) - 1;
    const high = (2 | (slot & 1)) * 2 ** low;
    if (slot < 14) return high + this.#bits.reverseTree(this.#special, high - slot, low);
    return high + this.#bits.direct(low - 4) * 16 + this.#bits.reverseTree(this.#align, 0, 4);
  }

  #readRep(positionState: number): void {
    if (this.#bits.bit(this.#isRepG0, this.#state) === 0) {
      if (this.#bits.bit(this.#isRep0Long, (this.#state << 4) + positionState) === 0) {
        this.#state = this.#state < 7 ? 9 : 11;
        this.#copy(1);
        return;
      }
    } else this.#swapReps();
    const length = this.#repLength.read(this.#bits, positionState);
    this.#state = this.#state < 7 ? 8 : 11;
    this.#copy(length + MIN_MATCH);
  }

  #swapReps(): void {
    let distance = this.#rep1;
    if (this.#bits.bit(this.#isRepG1, this.#state) === 1) {
      distance = this.#rep2;
      if (this.#bits.bit(this.#isRepG2, this.#state) === 1) {
        distance = this.#rep3;
        this.#rep3 = this.#rep2;
      }
      this.#rep2 = this.#rep1;
    }
    this.#rep1 = this.#rep0;
    this.#rep0 = distance;
  }

  #copy(length: number): void {
    const out = this.#out;
    const to = this.#at;
    const from = to - this.#rep0 - 1;
    if (from < 0 || this.#rep0 >= this.#dictionary) {
      throw firmwareRefusal(`lzma: byte ${to} refers to one before the start`);
    }
    if (length > out.length - to) throw firmwareRefusal('lzma: more content than the header says');
    for (let i = 0; i < length; i++) out[to + i] = out[from + i] ?? 0;
    this.#at = to + length;
  }
}
