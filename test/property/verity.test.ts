import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkVerity } from '../../src/core/disk/check-verity.ts';
import { readVerity, type VerityDisks } from '../../src/core/disk/read-verity.ts';
import { parseVerityManifest } from '../../src/core/disk/verity-manifest.ts';
import { findVerity } from '../../src/core/disk/verity-partition.ts';
import type { Disk } from '../../src/core/luks/disk.ts';
import { blockDigest } from '../../src/host/image/verity-hash.ts';
import { hinted, typedOrValue } from '../failure.ts';
import { memoryDisk } from '../luks-image.ts';
import { numberedBlocks, sampleTree } from '../verity-data.ts';

/** A disk that says how much was asked of it at a time. */
function watched(bytes: Uint8Array): { readonly disk: Disk; readonly largest: () => number } {
  const { size, read } = memoryDisk(bytes);
  let largest = 0;
  return {
    disk: {
      size,
      read: (at, length) => {
        expect(Number.isSafeInteger(at) && at >= 0 && Number.isSafeInteger(length)).toBe(true);
        largest = Math.max(largest, length);
        return read(at, length);
      },
    },
    largest: () => largest,
  };
}

/** Returns the data when everything matches; undefined for any finding or typed error. */
async function readAll(disks: VerityDisks, rootHash: Uint8Array): Promise<Uint8Array | undefined> {
  try {
    const verity = await readVerity(disks);
    const pieces: Uint8Array[] = [];
    for await (const piece of checkVerity(disks, verity, rootHash, blockDigest(verity))) {
      if (piece.kind !== 'data' || piece.wrong.length > 0) return undefined;
      pieces.push(piece.bytes);
    }
    return Buffer.concat(pieces);
  } catch (error) {
    const { kind, message } = hinted(error);
    expect(['format', 'usage']).toContain(kind);
    expect(message).toMatch(/^[ -~]+$/);
    return undefined;
  }
}

const blockSize = fc.constantFrom(512, 1024, 4096, 8192);
const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 });

const sample = fc.record({
  blocks: fc.integer({ min: 1, max: 40 }).map((count) => 2 * count),
  algorithm: fc.constantFrom('sha256' as const, 'sha512' as const),
  salt: fc.uint8Array({ maxLength: 256 }),
  dataBlock: blockSize,
  hashBlock: blockSize,
  hashAt: fc.integer({ min: 0, max: 20 }).map((sectors) => sectors * 512),
});

describe('a disk with a hash tree', () => {
  it('is read as it was made, whatever blocks, salt and digest are', async () => {
    await fc.assert(
      fc.asyncProperty(sample, async ({ blocks, ...options }) => {
        const data = numberedBlocks(blocks);
        const { hashes, rootHash } = sampleTree(data, options);
        const disks = { data: memoryDisk(data), hashes: memoryDisk(hashes), hashAt: options.hashAt };
        expect(Buffer.compare((await readAll(disks, rootHash)) ?? Buffer.of(), data)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('gives other data under its root hash for no change of superblock or tree, and stays small', async () => {
    await fc.assert(
      fc.asyncProperty(sample, edits, fc.boolean(), async ({ blocks, ...options }, changes, inSuperblock) => {
        const data = numberedBlocks(blocks);
        const { hashes, rootHash } = sampleTree(data, options);
        const changed = hashes.slice();
        for (const [place, value] of changes) {
          const at = inSuperblock ? options.hashAt + (place % 512) : place % changed.length;
          changed[at] = value;
        }
        const [dataDisk, hashDisk] = [watched(data), watched(changed)];
        const found = await readAll({ data: dataDisk.disk, hashes: hashDisk.disk, hashAt: options.hashAt }, rootHash);
        // What lies beside salt and name is not looked at, and does not change anything.
        if (found !== undefined) expect(Buffer.compare(found, data)).toBe(0);
        expect(dataDisk.largest()).toBeLessThanOrEqual(1 << 20);
        expect(hashDisk.largest()).toBeLessThanOrEqual(65536);
      }),
      { numRuns: 400 },
    );
  });

  it('finds every change of a byte of the data', async () => {
    await fc.assert(
      fc.asyncProperty(
        sample,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async ({ blocks, ...options }, place, by) => {
          const data = numberedBlocks(blocks);
          const { hashes, rootHash } = sampleTree(data, options);
          const at = place % data.length;
          data[at] = (data[at] ?? 0) ^ by;
          const disks = { data: memoryDisk(data), hashes: memoryDisk(hashes), hashAt: options.hashAt };
          expect(await readAll(disks, rootHash)).toBeUndefined();
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is looked for in any bytes without harm', async () => {
    const wanted = { hashOffset: fc.option(fc.integer({ min: -5000, max: 20000 }), { nil: undefined }) };
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 9000 }), fc.record(wanted), async (bytes, { hashOffset }) => {
        const found = await findVerity(memoryDisk(bytes), { hashOffset, rootHash: undefined }).catch((error) => {
          hinted(error);
        });
        if (found !== undefined) await readAll(found, new Uint8Array(32));
      }),
    );
  });
});

describe('parseVerityManifest', () => {
  it('returns or refuses whatever it is given', () => {
    fc.assert(fc.property(fc.string(), (text) => void typedOrValue(() => parseVerityManifest(text, 'm'))));
    const values = fc.record({ format: fc.constant('bootseal-verity-1'), verity: fc.anything() }).map((value) => {
      return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? 1 : inner)) ?? '';
    });
    fc.assert(fc.property(values, (text) => void typedOrValue(() => parseVerityManifest(text, 'm'))));
  });
});
