/**
 * @module Randomness that is none, for tests: the same seed and content give the same disk. HKDF-SHA256 (RFC 5869) makes a key of the
 * seed and of what is encrypted, and AES-256-CTR as many bytes as are wanted.
 */
import { ctr } from '@noble/ciphers/aes.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { u64be } from '../bytes.ts';
import { encodeUtf8 } from '../utf8.ts';
import type { Random } from './plan.ts';

/** What the bytes depend on besides the seed: no two contents, and no two ways to encrypt one, may share a volume key. */
export interface SeedContext {
  /** What the bytes are for, such as `image` or `filesystem`. */
  readonly purpose: string;
  /** Digest of all that is encrypted. */
  readonly content: Uint8Array;
  /** Everything else that decides what is encrypted how, as text. */
  readonly options: string;
}

const KEY_SIZE = 32;
const COUNTER_SIZE = 16;

/** The first bytes of AES-256 in counter mode, from a counter of 16 bytes on. */
export type CounterStream = (key: Uint8Array, counter: Uint8Array, size: number) => Uint8Array;

const nobleStream: CounterStream = (key, counter, size) => ctr(key, counter).encrypt(new Uint8Array(size));

/** Returns bytes that follow from the seed and the context, for calls in the same order of the same sizes. */
export function randomFromSeed(
  seed: Uint8Array,
  { purpose, content, options }: SeedContext,
  stream: CounterStream = nobleStream,
): Random {
  const key = hkdf(sha256, seed, content, encodeUtf8(['bootseal seed 1', purpose, options].join('\0')), KEY_SIZE);
  let calls = 0n;
  return (size) => {
    // Each call counts blocks in a range of its own.
    const counter = new Uint8Array(COUNTER_SIZE);
    u64be.encode(calls++, counter, 0, 'seed');
    return stream(key, counter, size);
  };
}
