import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openData, readPieces } from '../../src/core/luks/data.ts';
import { readSuperblock } from '../../src/core/luks/integrity/superblock.ts';
import { nobleSectorCrypto, openSector, sealSector } from '../../src/core/luks/integrity/tags.ts';
import { nodeSectorCrypto } from '../../src/host/node-luks.ts';
import { hinted, typedOrValue } from '../failure.ts';
import { KERNEL_DATA, type KernelData } from '../integrity-image.ts';
import { blocks, memoryDisk } from '../luks-image.ts';

const PLAIN = blocks(0, 4096);

/** Milliseconds that no data of this size may take. */
const BOUND = 5000;

/** Reads data to their end; whatever is wrong with them, nothing comes out that was not written, and no other error. */
async function survives({ image, segment, key }: KernelData): Promise<void> {
  const began = performance.now();
  try {
    const disk = memoryDisk(image);
    const data = await openData(disk, segment);
    expect(data.size).toBeLessThanOrEqual(image.length);
    for await (const { at, plain, wrong } of readPieces(disk, data, key, nodeSectorCrypto)) {
      for (let place = 0; place < plain.length; place += segment.sectorSize) {
        const sector = plain.subarray(place, place + segment.sectorSize);
        if (wrong.includes(at + place)) expect(sector.every((byte) => byte === 0)).toBe(true);
        else expect(Buffer.compare(sector, PLAIN.subarray(at + place, at + place + segment.sectorSize))).toBe(0);
      }
    }
  } catch (error) {
    const { kind, message } = hinted(error);
    expect(kind).toBe('format');
    expect(message).toMatch(/^[ -~]+$/);
  }
  expect(performance.now() - began).toBeLessThan(BOUND);
}

const data = fc.constantFrom(...KERNEL_DATA);
const edits = (end: number) => fc.array(fc.tuple(fc.nat(end), fc.nat(255)), { minLength: 1, maxLength: 6 });

function edited(
  { image, ...rest }: KernelData,
  changes: readonly (readonly [number, number])[],
  size = image.length,
): KernelData {
  const copy = image.slice(0, size);
  for (const [at, value] of changes) copy[at % copy.length] = value;
  return { ...rest, segment: { ...rest.segment, size: copy.length }, image: copy };
}

describe('data with tags', () => {
  it('of a changed superblock are refused, or no other data', async () => {
    await fc.assert(
      fc.asyncProperty(data, edits(63), (kernel, changes) => survives(edited(kernel, changes))),
      { numRuns: 150 },
    );
  });

  it('that were changed anywhere, or cut off, are refused, or no other data', async () => {
    await fc.assert(
      fc.asyncProperty(data, edits(0xffffff), fc.double({ min: 0, max: 1, noNaN: true }), (kernel, changes, part) => {
        const size = part < 0.3 ? Math.ceil(part * kernel.image.length) + 1 : kernel.image.length;
        return survives(edited(kernel, changes, size));
      }),
      { numRuns: 40 },
    );
  });

  it('of a changed journal are refused, or no other data', async () => {
    await fc.assert(
      fc.asyncProperty(data, fc.array(fc.tuple(fc.nat(40), fc.nat(7), fc.nat(255))), (kernel, places) =>
        // At the entries and around them, where most of the bytes mean something.
        survives(
          edited(
            kernel,
            places.map(([sector, at, value]) => [4096 + sector * 512 + at, value] as const),
          ),
        ),
      ),
      { numRuns: 40 },
    );
  });
});

describe('a superblock', () => {
  it('of random bytes is refused or understood', () => {
    const start = fc.uint8Array({ minLength: 64, maxLength: 64 });
    fc.assert(
      fc.property(start, fc.boolean(), fc.nat(2 ** 45), (bytes, likely, size) => {
        const block = new Uint8Array(4096);
        block.set(bytes);
        block.set(Buffer.from('integrt\0'));
        if (likely) block.set([4, 3 + ((bytes[9] ?? 0) % 29), 32, 0], 8);
        if (likely) block.set([8, 0, 0, 0, 3], 24);
        const layout = typedOrValue(() => readSuperblock(block, { sectorSize: 4096, tagSize: 32 }, size));
        if (layout !== undefined) expect(layout.size).toBeLessThanOrEqual(size);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('sectors', () => {
  const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });

  it('are opened as they were sealed, the same with and without node, and not with one bit changed', () => {
    const number = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(
      fc.property(
        data,
        bytes(512),
        bytes(96),
        bytes(16),
        number,
        number,
        fc.nat(),
        (kernel, plain, key, iv, n, tweak, bit) => {
          const { tags } = kernel.segment;
          const format = { tags, key: key.subarray(0, kernel.key.length), ivTweak: tweak };
          const random = iv.subarray(0, tags.ivSize);
          const sealed = typedOrValue(() => sealSector(format, n, plain, random, nodeSectorCrypto));
          if (sealed === undefined) return;
          expect(Buffer.compare(openSector(format, n, sealed, nobleSectorCrypto) ?? iv, plain)).toBe(0);
          const all = Buffer.concat([sealed.cipher, sealed.tag]);
          const at = bit % (all.length * 8);
          all[at >> 3] = (all[at >> 3] ?? 0) ^ (1 << (at % 8));
          const changed = { cipher: all.subarray(0, 512), tag: all.subarray(512) };
          expect(openSector(format, n, changed, nodeSectorCrypto)).toBeUndefined();
          expect(openSector(format, n, changed, nobleSectorCrypto)).toBeUndefined();
        },
      ),
      { numRuns: 60 },
    );
  });
});
