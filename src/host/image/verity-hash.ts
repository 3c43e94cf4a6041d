/** @module The digests of dm-verity's blocks, salt first. */
import * as crypto from 'node:crypto';
import type { BlockDigest } from '../../core/disk/check-verity.ts';
import type { ReadVerity } from '../../core/disk/read-verity.ts';
import { VERITY_BLOCK } from '../../core/disk/verity.ts';

export const DIGEST_SIZE = 32;

/** Returns a function that gives the digests of whole blocks, one after the other, in memory that the next call uses again. */
export function blockHasher(salt: Uint8Array, mostBlocks: number): (blocks: Uint8Array) => Uint8Array {
  const salted = new Uint8Array(salt.length + VERITY_BLOCK);
  salted.set(salt);
  const digests = new Uint8Array(mostBlocks * DIGEST_SIZE);
  return (blocks) => {
    const count = blocks.length / VERITY_BLOCK;
    for (let i = 0; i < count; i++) {
      salted.set(blocks.subarray(i * VERITY_BLOCK, (i + 1) * VERITY_BLOCK), salt.length);
      digests.set(crypto.createHash('sha256').update(salted).digest(), i * DIGEST_SIZE);
    }
    return digests.subarray(0, count * DIGEST_SIZE);
  };
}

/** Returns what gives the digest of one block. */
export function blockDigest({ algorithm, salt }: Pick<ReadVerity, 'algorithm' | 'salt'>): BlockDigest {
  return (block) => crypto.createHash(algorithm).update(salt).update(block).digest();
}
