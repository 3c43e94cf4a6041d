import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32 } from '../../src/core/disk/crc32.ts';
import { fatNames } from '../../src/core/disk/fat-names.ts';
import { encodeGpt, GptHeader, placePartitions } from '../../src/core/disk/gpt.ts';
import { findLuks } from '../../src/core/disk/luks-partition.ts';
import { qcow2Image } from '../../src/core/disk/qcow2.ts';
import { readGpt } from '../../src/core/disk/read-gpt.ts';
import { openQcow2 } from '../../src/core/disk/read-qcow2.ts';
import { randomGuid } from '../../src/core/guid.ts';
import { findCipher } from '../../src/core/luks/cipher.ts';
import { imageOf } from '../disk-bytes.ts';
import { hinted, typedOrValue } from '../failure.ts';
import { memoryDisk, seededRandom } from '../luks-image.ts';

const MIB = 1 << 20;
const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 });

const partition = fc.record({
  size: fc.integer({ min: 1, max: 3000 }).map((sectors) => sectors * 512),
  name: fc.string({ maxLength: 36 }).filter((name) => !name.includes('\0')),
  attributes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  seed: fc.integer({ min: 1 }),
});

function gptOf(wanted: readonly (typeof partition extends fc.Arbitrary<infer T> ? T : never)[]) {
  const places = placePartitions(
    wanted.map(({ seed, ...rest }) => {
      const random = seededRandom(seed);
      return { ...rest, type: randomGuid(random), guid: randomGuid(random) };
    }),
  );
  const guid = randomGuid(seededRandom(3));
  const image = new Uint8Array(places.diskSize);
  for (const { at, bytes } of encodeGpt(places, guid)) image.set(bytes, at);
  return { places, guid, image };
}

async function survives(image: Uint8Array, detached: boolean): Promise<void> {
  try {
    const { disk } = await findLuks(memoryDisk(image), { partition: undefined, detached });
    expect(disk.size).toBeLessThanOrEqual(image.length);
  } catch (error) {
    const { kind, message } = hinted(error);
    expect(['format', 'usage']).toContain(kind);
    expect(message).toMatch(/^[ -~]+$/);
  }
}

describe('a partition table', () => {
  it('gives back what went in', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(partition, { maxLength: 5 }), async (wanted) => {
        const { places, guid, image } = gptOf(wanted);
        expect(await readGpt(memoryDisk(image))).toEqual({ guid, sectorSize: 512, partitions: places.partitions });
      }),
    );
  });

  it('of the host, changed anywhere, gives a value or a typed error', async () => {
    const { image } = gptOf([{ size: MIB, name: 'esp', attributes: 0n, seed: 1 }]);
    await fc.assert(
      fc.asyncProperty(edits, fc.boolean(), fc.boolean(), async (changes, detached, repair) => {
        const copy = image.slice();
        // The tables themselves, at both ends.
        for (const [at, byte] of changes) copy[at % 2 ? at % 2048 : copy.length - 1 - (at % 1024)] = byte;
        if (repair) {
          for (const at of [512, copy.length - 512]) {
            const header = copy.subarray(at, at + 92);
            header.fill(0, GptHeader.offset.headerCrc, GptHeader.offset.headerCrc + 4);
            new DataView(copy.buffer).setUint32(at + GptHeader.offset.headerCrc, crc32(header), true);
          }
        }
        await survives(copy, detached);
      }),
      { numRuns: 300 },
    );
  });

  it('cut short gives a value or a typed error', async () => {
    const { image } = gptOf([{ size: MIB, name: 'esp', attributes: 0n, seed: 1 }]);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: image.length }), (end) => survives(image.slice(0, end), false)),
      { numRuns: 50 },
    );
  });
});

describe('a qcow2 image', () => {
  const small = 64 << 10;
  const tables = qcow2Image({
    ...{ extents: [{ kind: 'bytes', file: 'image', at: 0, bytes: new Uint8Array(3 * small).fill(5) }], uuid: '' },
    ...{ imageSize: 4 * small, diskSize: 4 * small, format: 'raw', partitionTable: undefined },
    sectors: {
      cipher: findCipher('aes-xts-plain64', 64, 'test'),
      key: new Uint8Array(64),
      sectorSize: 512,
      ivTweak: 0n,
    },
  });
  const image = imageOf(tables.imageSize, tables.extents);

  it('of the host, changed anywhere, gives a disk or a typed error', async () => {
    await fc.assert(
      fc.asyncProperty(edits, fc.nat(), async (changes, from) => {
        const copy = image.slice();
        // The header, and the first entries of all tables.
        const places = [
          ...Array(104).keys(),
          ...[1, 2, 3, 4].flatMap((table) => [...Array(32).keys()].map((i) => table * small + i)),
        ];
        for (const [at, byte] of changes) copy[places[at % places.length] ?? 0] = byte;
        try {
          const disk = await openQcow2(memoryDisk(copy));
          expect((await disk?.read(from % (4 * small), small))?.length ?? 0).toBeLessThanOrEqual(small);
          const places = (await disk?.places(from % (4 * small), 1000)) ?? [];
          for (const { at } of places) expect(at).toBeGreaterThanOrEqual(512);
          if (disk !== undefined) expect(places.reduce((sum, { size }) => sum + size, 0)).toBe(1000);
        } catch (error) {
          expect(hinted(error).kind).toBe('format');
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('names of FAT', () => {
  it('are refused, or short ones that are all different', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1, maxLength: 20 }), { maxLength: 20 }), (names) => {
        const found = typedOrValue(() => fatNames(names)) ?? [];
        const shorts = found.map(({ short }) => Buffer.from(short).toString('latin1'));
        expect(new Set(shorts).size).toBe(shorts.length);
        for (const short of shorts) expect(short).toMatch(/^[!#-)0-9@A-Z^-`{}~_ -]{11}$/);
      }),
      { numRuns: 500 },
    );
  });

  it('are different also where many look alike', () => {
    const alike = fc.stringMatching(/^[ab~1. ]{1,14}$/);
    fc.assert(
      fc.property(fc.array(alike, { maxLength: 30 }), (names) => {
        const found = typedOrValue(() => fatNames([...new Set(names)].filter((name) => !/[. ]$/.test(name)))) ?? [];
        const shorts = found.map(({ short }) => Buffer.from(short).toString('latin1'));
        expect(new Set(shorts).size).toBe(shorts.length);
      }),
      { numRuns: 500 },
    );
  });
});
