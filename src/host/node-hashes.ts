/** @module The same hash functions from node:crypto, for inputs of megabytes. */
import * as crypto from 'node:crypto';
import type { Hashes, RunningHash } from '../core/hash.ts';

/** SHA-2 at the speed of the machine. */
export const nodeHashes: Hashes = {
  sha256: (bytes) => crypto.createHash('sha256').update(bytes).digest(),
  sha384: (bytes) => crypto.createHash('sha384').update(bytes).digest(),
  startSha256: (): RunningHash => crypto.createHash('sha256'),
};
