/**
 * @module The hash functions that core calculations take as a parameter: `@noble/hashes` (noble-hashes.ts) where bytes are
 * few, node:crypto where megabytes flow.
 */

/** A hash that is being fed. */
export interface RunningHash {
  update(bytes: Uint8Array): unknown;
  /** Returns an independent copy of the state. */
  copy(): RunningHash;
  /** Ends the hash and returns it. */
  digest(): Uint8Array;
}

/** SHA-2 (FIPS 180-4) as core uses it. */
export interface Hashes {
  /** Returns 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array;
  /** Returns 48 bytes. */
  sha384(bytes: Uint8Array): Uint8Array;
  startSha256(): RunningHash;
  startSha384(): RunningHash;
}
