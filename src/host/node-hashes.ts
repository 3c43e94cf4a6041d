/** @module The same hash functions from node:crypto, for inputs of megabytes. */
import * as crypto from 'node:crypto';
import type { Hashes, RunningHash } from '../core/hash.ts';

/** Digests share blocks of memory, which is cheap in millions: those of Node itself have memory outside of the heap for each. */
class RunningSha256 implements RunningHash {
  readonly #hash: crypto.Hash;

  constructor(hash: crypto.Hash) {
    this.#hash = hash;
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  copy(): RunningSha256 {
    return new RunningSha256(this.#hash.copy());
  }

  digest(): Uint8Array {
    return Buffer.from(this.#hash.digest('binary'), 'latin1');
  }
}

/** SHA-2 at the speed of the machine. */
export const nodeHashes: Hashes = {
  sha256: (bytes) => crypto.hash('sha256', bytes, 'buffer'),
  sha384: (bytes) => crypto.hash('sha384', bytes, 'buffer'),
  startSha256: () => new RunningSha256(crypto.createHash('sha256')),
  startSha384: (): RunningHash => crypto.createHash('sha384'),
};
