import { createCipheriv } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { opensslSectors } from '../../src/host/xts/check.ts';
import { openXts } from '../../src/host/xts/xts.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** Bytes that look random, without a choice for each of them. */
const spread = (seed: Uint8Array, size: number): Buffer =>
  createCipheriv('aes-256-ctr', seed, Buffer.alloc(16)).update(Buffer.alloc(size));

const run = fc.record({
  key: bytes(64),
  sectorSize: fc.constantFrom(512 as const, 4096 as const),
  sectors: fc.integer({ min: 1, max: 80 }),
  first: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  seed: bytes(32),
});

describe('AES-256-XTS of sectors', () => {
  it('gives what node:crypto gives sector by sector, and comes back', () => {
    fc.assert(
      fc.property(run, ({ key, sectorSize, sectors, first, seed }) => {
        fc.pre(Buffer.compare(key.subarray(0, 32), key.subarray(32)) !== 0);
        const size = sectors * sectorSize;
        const plain = spread(seed, size);
        const [encrypt, decrypt] = [openXts('encrypt', key, sectorSize), openXts('decrypt', key, sectorSize)];
        encrypt.block.set(plain);
        encrypt.run(first, size);
        const encrypted = encrypt.block.subarray(0, size);
        expect(Buffer.compare(encrypted, opensslSectors(key, plain, first, sectorSize))).toBe(0);
        decrypt.block.set(encrypted);
        decrypt.run(first, size);
        expect(Buffer.compare(decrypt.block.subarray(0, size), plain)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
