/** @module The same hash functions from node:crypto, for inputs of megabytes. */
import * as crypto from 'node:crypto';
import type { Hashes, RunningHash } from '../core/hash.ts';

/** SHA-2 at the speed of the machine. */
export const nodeHashes: Hashes = {
  sha256: (bytes) => crypto.hash('sha256', bytes, 'buffer'),
  sha384: (bytes) => crypto.hash('sha384', bytes, 'buffer'),
  startSha256: (): RunningHash => crypto.createHash('sha256'),
  startSha384: (): RunningHash => crypto.createHash('sha384'),
};
