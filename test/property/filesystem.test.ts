import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../src/core/disk/crc32.ts';
import { ext4Units } from '../../src/core/disk/ext4-blocks.ts';
import { chooseSectorSize, identifyPayload, PAYLOAD_START } from '../../src/core/disk/payload.ts';
import { payloadSize } from '../../src/core/disk/payload-size.ts';
import { holds, markUnits, noUnits, runsOf, UNIT, unusedBytes } from '../../src/core/disk/units.ts';
import { detectFilesystem } from '../../src/core/filesystem.ts';
import type { Disk } from '../../src/core/luks/disk.ts';
import { hinted } from '../failure.ts';
import { fixture } from '../fixtures.ts';

const edit = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));

/** First bytes of the file systems that are told apart, with a magic number where each has its own. */
const MAGICS: readonly (readonly [number, string | readonly number[]])[] = [
  ...([
    [1024, [0xe2, 0xe1, 0xf5, 0xe0]],
    [1024 + 56, [0x53, 0xef]],
    [0x10040, '_BHRfS_M'],
  ] as const),
  ...([
    [512, 'EFI PART'],
    [4096, 'EFI PART'],
    [0, 'LUKS\xba\xbe'],
    [0, 'XFSB'],
    [510, [0x55, 0xaa]],
  ] as const),
];

const start = fc
  .record({
    size: fc.oneof(fc.nat({ max: 2 * PAYLOAD_START }), fc.integer({ min: 1000, max: 1400 })),
    fill: fc.integer({ min: 0, max: 255 }),
    magics: fc.array(fc.constantFrom(...MAGICS), { maxLength: 3 }),
    // Most of it near the superblocks of EROFS and ext4.
    edits: fc.array(fc.tuple(fc.oneof(fc.integer({ min: 1024, max: 1500 }), fc.nat()), fc.nat({ max: 255 })), {
      maxLength: 24,
    }),
  })
  .map(({ size, fill, magics, edits }) => {
    const bytes = new Uint8Array(size).fill(fill);
    for (const [at, magic] of magics) {
      const value = typeof magic === 'string' ? Buffer.from(magic, 'latin1') : magic;
      if (at + value.length <= size) bytes.set(value, at);
    }
    for (const [at, byte] of edits) if (size > 0) bytes[at % size] = byte;
    return bytes;
  });

describe('the first bytes of a file system', () => {
  it('of EROFS, ext4 or anything else, whatever they are and wherever they end, say something possible or nothing', () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(start, fc.constantFrom(512, 4096, undefined), (bytes, asked) => {
        const payload = identifyPayload(bytes);
        if (payload !== undefined) {
          seen.add(payload.what.replace(/ with.*/, ''));
          expect(payload.what).toMatch(/^[ -~]+$/);
          expect(payload.largestSector).toBeGreaterThanOrEqual(0);
        }
        const { size, changed } = chooseSectorSize(payload, asked);
        if (payload !== undefined && size === 4096) expect(payload.largestSector).toBeGreaterThanOrEqual(4096);
        expect(changed).toBe(asked === 4096 && size === 512);
        const bytesSaid = payloadSize(bytes);
        if (bytesSaid !== undefined) {
          expect(Number.isSafeInteger(bytesSaid)).toBe(true);
          expect(bytesSaid).toBeGreaterThan(0);
          expect(bytes.length).toBeGreaterThan(1024);
        }
        const found = detectFilesystem(bytes);
        if (payload?.what.startsWith('EROFS') === true) expect(found).toBeDefined();
      }),
      { numRuns: 3000 },
    );
    expect([...seen]).toEqual(expect.arrayContaining(['EROFS', 'ext4', 'Btrfs', 'a GPT for sectors of 512 bytes']));
  });
});

/** A disk with bytes changed here and there, and cut or made longer. */
function changedDisk(whole: Uint8Array, edits: ReadonlyMap<number, number>, size: number): Disk {
  return {
    size,
    read: async (at, wanted) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(wanted, size - at)));
      bytes.set(whole.subarray(at, at + bytes.length));
      for (const [place, byte] of edits) if (place >= at && place < at + bytes.length) bytes[place - at] = byte;
      return bytes;
    },
  };
}

const SUPERBLOCK = 1024;

describe('an ext4 file system that --sparse reads', () => {
  const images = ['blocks-1024-ext2', 'blocks-1024-flex', 'blocks-2048-noflex', 'blocks-4096-uninit'].map((name) =>
    fixture(`ext4/${name}.img`),
  );

  it.each(images.map((image, i) => [i, image] as const))(
    'changed anywhere, also with right checksums, and cut, gives units or a typed error (%d)',
    async (_, image) => {
      const blockSize = 1024 << (image[SUPERBLOCK + 24] ?? 0);
      // The superblock, the group descriptors, and the first bitmaps.
      const places = [...Array(1024).keys()].map((i) => SUPERBLOCK + i);
      const tables = [...Array(blockSize).keys()].map((i) => Math.max(2048, blockSize) + i);
      let [read, refused] = [0, 0];
      await fc.assert(
        fc.asyncProperty(
          fc.array(edit, { maxLength: 6 }),
          fc.constantFrom(places, [...places.slice(0, 0x80), ...places.slice(0xf0, 0x130)], tables),
          fc.boolean(),
          fc.option(fc.nat({ max: image.length + 3 * UNIT }), { freq: 4 }),
          async (changes, where, repaired, size) => {
            const edits = new Map(changes.map(([at, byte]) => [where[at % where.length] ?? 0, byte]));
            if (repaired) for (const [at, byte] of checksum(image, edits)) edits.set(at, byte);
            const disk = changedDisk(image, edits, size ?? image.length);
            try {
              const units = await ext4Units(disk);
              read++;
              expect(units).toHaveLength(noUnits(disk.size).length);
              // The superblock itself, and what lies behind the file system, is never left out.
              expect(holds(units, 0)).toBe(true);
              if (disk.size > image.length) expect(holds(units, Math.floor((disk.size - 1) / UNIT))).toBe(true);
            } catch (error) {
              refused++;
              expect(hinted(error).kind).toBe('format');
            }
          },
        ),
        { numRuns: 400 },
      );
      expect(Math.min(read, refused)).toBeGreaterThan(10);
    },
  );
});

/** Returns the bytes of the right checksum of a changed superblock. */
function checksum(image: Uint8Array, edits: ReadonlyMap<number, number>): readonly (readonly [number, number])[] {
  const copy = image.slice(SUPERBLOCK, SUPERBLOCK + 1020);
  for (const [at, byte] of edits) if (at >= SUPERBLOCK && at < SUPERBLOCK + 1020) copy[at - SUPERBLOCK] = byte;
  const sum = crc32c(0xffffffff, copy);
  return [0, 1, 2, 3].map((i) => [SUPERBLOCK + 1020 + i, (sum >>> (8 * i)) & 0xff] as const);
}

describe('units of a disk', () => {
  const SIZE = 40 * UNIT + 100;
  const place = fc.integer({ min: 0, max: SIZE });
  const ranges = fc.array(
    fc.tuple(place, place).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
    { maxLength: 6 },
  );

  it('hold each byte that is marked, in runs that are whole, in order and apart', () => {
    fc.assert(
      fc.property(ranges, place, (marked, size) => {
        const units = noUnits(SIZE);
        for (const [from, to] of marked) markUnits(units, from, to);
        const held = (unit: number) =>
          marked.some(([from, to]) => from < to && from < (unit + 1) * UNIT && to > unit * UNIT);
        for (let unit = 0; unit <= 40; unit++) {
          // An empty range marks at most the unit that it is in.
          if (held(unit)) expect(holds(units, unit)).toBe(true);
          else if (!marked.some(([from, to]) => from === to && Math.floor(from / UNIT) === unit)) {
            expect(holds(units, unit)).toBe(false);
          }
        }
        let last = -1;
        let used = 0;
        for (const [from, to] of runsOf(units, 0, size)) {
          expect(from % UNIT).toBe(0);
          expect(to % UNIT === 0 || to === size).toBe(true);
          expect(from).toBeGreaterThan(last);
          for (let at = from; at < to; at += UNIT) expect(holds(units, at / UNIT)).toBe(true);
          last = to;
          used += to - from;
        }
        expect(unusedBytes(units, size)).toBe(size - used);
      }),
    );
  });
});
