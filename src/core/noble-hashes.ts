/** @module The pure implementation of the hash functions, from `@noble/hashes`. */
import { sha256, sha384 } from '@noble/hashes/sha2.js';
import type { Hashes, RunningHash } from './hash.ts';

type NobleHash = ReturnType<typeof sha256.create> | ReturnType<typeof sha384.create>;

function running(state: NobleHash): RunningHash {
  return {
    update: (bytes) => state.update(bytes),
    copy: () => running(state.clone()),
    digest: () => state.digest(),
  };
}

/** SHA-2 without any platform. */
export const nobleHashes: Hashes = {
  sha256,
  sha384,
  startSha256: () => running(sha256.create()),
  startSha384: () => running(sha384.create()),
};
