/** @module The range decoder of LZMA (Igor Pavlov, LZMA specification 2015-06-14, "Range Decoder"): bits out of adaptive probabilities. */
import { firmwareRefusal } from './refusal.ts';

const PROBABILITY_BITS = 11;
/** Certainty, as a probability. */
const ONE = 2 ** PROBABILITY_BITS;
const ADAPT_SHIFT = 5;
const TOP = 2 ** 24;

/** Returns `count` probabilities of one half each. */
export function probabilities(count: number): Uint16Array {
  return new Uint16Array(count).fill(ONE / 2);
}

/** Reads one compressed stream from its first byte to wherever the caller stops. Every method throws `format` at the end of the input. */
export class RangeDecoder {
  readonly #input: Uint8Array;
  #at = 5;
  #taken = 0;
  // Both are unsigned; they are kept as signed 32-bit numbers, which the engine does not box.
  #range = -1;
  #code = 0;

  constructor(input: Uint8Array) {
    if (input.length < 5 || input[0] !== 0) throw firmwareRefusal('lzma: the stream does not start as one');
    this.#input = input;
    for (let i = 1; i < 5; i++) this.#code = (this.#code << 8) | (input[i] ?? 0);
  }

  /** How many bits were read so far. */
  get taken(): number {
    return this.#taken;
  }

  /** Returns the next bit and adapts the probability at `index`, which must be inside `probability`. */
  bit(probability: Uint16Array, index: number): number {
    this.#taken++;
    const p = probability[index] ?? 0;
    const bound = Math.imul(this.#range >>> PROBABILITY_BITS, p);
    if (this.#code >>> 0 < bound >>> 0) {
      probability[index] = p + ((ONE - p) >>> ADAPT_SHIFT);
      this.#range = bound;
      if (bound >>> 0 < TOP) this.#normalize();
      return 0;
    }
    probability[index] = p - (p >>> ADAPT_SHIFT);
    this.#range = (this.#range - bound) | 0;
    this.#code = (this.#code - bound) | 0;
    if (this.#range >>> 0 < TOP) this.#normalize();
    return 1;
  }

  /** Returns `count` bits of fixed probability, the first as the highest. */
  direct(count: number): number {
    this.#taken += count;
    let value = 0;
    for (let i = 0; i < count; i++) {
      this.#range >>>= 1;
      const bit = this.#code >>> 0 >= this.#range ? 1 : 0;
      if (bit === 1) this.#code = (this.#code - this.#range) | 0;
      if (this.#range < TOP) this.#normalize();
      value = value * 2 + bit;
    }
    return value;
  }

  /** Returns `bits` bits, the first as the highest, from the tree of probabilities at `base` (2^bits of them). */
  tree(probability: Uint16Array, base: number, bits: number): number {
    let node = 1;
    for (let i = 0; i < bits; i++) node = (node << 1) | this.bit(probability, base + node);
    return node - (1 << bits);
  }

  /** As `tree`, with the first bit as the lowest. */
  reverseTree(probability: Uint16Array, base: number, bits: number): number {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(probability, base + node);
      node = (node << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  #normalize(): void {
    const next = this.#input[this.#at];
    if (next === undefined) throw firmwareRefusal('lzma: the stream ends too early');
    this.#at++;
    this.#range <<= 8;
    this.#code = (this.#code << 8) | next;
  }
}
