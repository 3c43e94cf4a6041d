import * as zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { type Compression, compressionOf, PASS, type PassSegment } from '../../../src/core/archive/compression.ts';
import { readCpio } from '../../../src/core/archive/read-cpio.ts';
import { findSegments, type Segment, zerosBeforeNext } from '../../../src/core/archive/segments.ts';
import { diskSource } from '../../../src/core/archive/source.ts';
import { concat } from '../../../src/core/bytes.ts';
import { BootsealError } from '../../../src/core/errors.ts';
import { hexToBytes } from '../../../src/core/hex.ts';
import { vectors } from '../../fixtures.ts';
import { memoryDisk } from '../../luks-image.ts';

const samples = vectors<{ cpio: string; compressed: { id: string; compression: Compression; hex: string }[] }>(
  'initrd-segments.json',
);
const cpio = hexToBytes(samples.cpio);
const sample = (id: string) => hexToBytes(samples.compressed.find((one) => one.id === id)?.hex ?? '');
const zeros = (size: number) => new Uint8Array(size);

/** What the host's does, with all of the data at hand. */
const passGzip: PassSegment = async (source) => {
  const all = await source.peek(1 << 20);
  for (let size = 1; size <= all.length; size++) {
    try {
      zlib.gunzipSync(all.subarray(0, size));
      await source.skip(size);
      return;
    } catch {}
  }
  throw new BootsealError('format', 'gzip', { hint: 'another one' });
};

const find = (...parts: Uint8Array[]) => findSegments(memoryDisk(concat(...parts)), passGzip);

/** Passes a segment with `after` behind it; returns the bytes that it took. */
async function passed(compression: Compression, bytes: Uint8Array, after = zeros(100)): Promise<number> {
  const source = diskSource(memoryDisk(concat(bytes, after)), 0);
  await PASS[compression]?.(source);
  return source.position;
}

describe('compressionOf', () => {
  it.each(samples.compressed)('knows $id', ({ compression, hex }) => {
    expect(compressionOf(hexToBytes(hex))).toBe(compression);
  });
  it.each<[string, string | undefined]>([
    ['1f9e', 'gzip'],
    ['1f8c', undefined],
    ['208b', undefined],
    ['1f', undefined],
    ['3037', undefined],
  ])('of %s is %s', (hex, compression) => {
    expect(compressionOf(hexToBytes(hex))).toBe(compression);
  });
});

describe('the end of a segment', () => {
  const known = samples.compressed.filter(({ compression }) => PASS[compression] !== undefined);
  it('is found for seven of the samples', () => {
    expect(known.map(({ id }) => id)).toEqual([
      'xz-crc32',
      'xz-x86-sha256',
      'xz-none',
      'zstd',
      'zstd-no-check',
      'lz4',
      'lzop',
    ]);
  });
  it.each(known)('of $id', async ({ compression, hex }) => {
    const bytes = hexToBytes(hex);
    expect(await passed(compression, bytes)).toBe(bytes.length);
    expect(await passed(compression, bytes, zeros(0))).toBe(bytes.length);
    // Behind what ends itself anything may follow.
    if (compression !== 'lz4') {
      expect(await passed(compression, bytes, Uint8Array.of(0x30, 0x37, 0x30))).toBe(bytes.length);
    }
  });
  it.each(known.filter(({ compression }) => compression !== 'lz4'))(
    'of $id is missed when it is cut off',
    async (one) => {
      const bytes = hexToBytes(one.hex);
      for (let size = 1; size < bytes.length; size++) {
        await expect(passed(one.compression, bytes.subarray(0, size), zeros(0))).rejects.toMatchObject({
          kind: 'format',
        });
      }
    },
  );
  it.each(known)('of $id needs its whole magic number', async ({ compression, hex }) => {
    const bytes = hexToBytes(hex);
    for (let i = 0; i < 4; i++) {
      const other = new Uint8Array(bytes);
      other[i] = (other[i] ?? 0) ^ 1;
      await expect(passed(compression, other)).rejects.toMatchObject({
        message: expect.stringMatching(/: wrong magic number$/),
      });
    }
  });

  describe('of zstd', () => {
    const frame = (rest: number[]) => Uint8Array.from([0x28, 0xb5, 0x2f, 0xfd, ...rest]);
    const last = [0x01, 0x00, 0x00];
    it.each<[string, number[]]>([
      ['a window', [0x00, 0x58, ...last]],
      ['one segment with a size of a byte', [0x20, 0x00, ...last]],
      ['a size of two bytes and a window', [0x40, 0x58, 0, 0, ...last]],
      ['a size of four bytes', [0xa0, 0, 0, 0, 0, ...last]],
      ['a size of eight bytes', [0xe0, 0, 0, 0, 0, 0, 0, 0, 0, ...last]],
      ['a dictionary of a byte', [0x21, 1, 0, ...last]],
      ['a dictionary of two bytes', [0x22, 1, 0, 0, ...last]],
      ['a dictionary of four bytes', [0x23, 1, 0, 0, 0, 0, ...last]],
      ['a checksum', [0x24, 0, ...last, 1, 2, 3, 4]],
      ['a raw block of 9 bytes and one that repeats', [0x20, 0, 0x48, 0, 0, ...last, 2, 3, 4, 5, 6, 7, 0x4b, 0, 0, 7]],
      ['a block of 0x010102 bytes', [0x20, 0, 0x11, 0x08, 0x08, ...Array<number>(0x10102).fill(9)]],
    ])('with %s', async (_, rest) => {
      expect(await passed('zstd', frame(rest))).toBe(4 + rest.length);
    });
    it('refuses the reserved type of block', async () => {
      await expect(passed('zstd', frame([0x20, 0, 0x07, 0, 0]))).rejects.toThrow('zstd: a block of the reserved type');
    });
  });

  describe('of lz4', () => {
    const magic = [0x02, 0x21, 0x4c, 0x18];
    it('lies behind the last block, before a size of zero', async () => {
      const blocks = Uint8Array.of(...magic, 2, 0, 0, 0, 9, 9, ...magic, 1, 0, 0, 0, 9);
      expect(await passed('lz4', blocks)).toBe(blocks.length);
      expect(await passed('lz4', blocks, Uint8Array.of(0, 0, 0))).toBe(blocks.length);
    });
    it('is missed when a block is cut off', async () => {
      await expect(passed('lz4', Uint8Array.of(...magic, 2, 0, 0, 0, 9), zeros(0))).rejects.toThrow(
        'lz4 block: the data end at byte 9, inside it',
      );
    });
  });

  describe('of lzop', () => {
    const magic = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];
    const block = [0, 0, 1, 0, 0, 0, 0, 3, 1, 1, 1, 1, 9, 9, 9];
    const end = [0, 0, 0, 0];
    const many = (count: number) => Array<number>(count).fill(7);
    it.each<[string, number[]]>([
      ['a recent writer', [0x09, 0x40, ...many(4), 1, 5, 0, 0, 0, 1, ...many(12), 2, 65, 66, ...many(4)]],
      ['an old writer', [0x09, 0x3f, ...many(4), 1, 0, 0, 0, 1, ...many(8), 0, ...many(4)]],
      ['a filter', [0x10, 0x30, ...many(4), 1, 5, 0, 0, 8, 0, ...many(4), ...many(12), 0, ...many(4)]],
    ])('with %s', async (_, header) => {
      const bytes = Uint8Array.of(...magic, ...header, ...block, ...block, ...end);
      expect(await passed('lzo', bytes)).toBe(bytes.length);
    });
  });

  describe('of xz', () => {
    const start = (check: number) => [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0, check, 1, 2, 3, 4];
    const block = [0x01, ...Array<number>(7).fill(5)];
    const indexOf = (...records: number[]) => [0, ...records];
    const footer = Array<number>(4 + 12).fill(6);
    const aligned = (bytes: number[]) => [...bytes, ...Array<number>((4 - (bytes.length % 4)) % 4).fill(0)];
    it.each([
      [0, 0],
      [1, 4],
      [3, 4],
      [4, 8],
      [7, 16],
      [10, 32],
      [15, 64],
    ])('with check %i of %i bytes', async (check, size) => {
      const chunks = aligned([0x01, 0, 1, 9, 9, 0x02, 0, 0, 9, 0x80, 0, 0, 0, 2, 9, 9, 9, 0xc0, 0, 0, 0, 0, 5, 9, 0]);
      const record = aligned(indexOf(1, 0x81, 0x01, 5));
      const bytes = [...start(check), ...block, ...chunks, ...Array<number>(size).fill(8), ...record, ...footer];
      expect(await passed('xz', Uint8Array.from(bytes))).toBe(bytes.length);
    });
    it('refuses a control byte that LZMA2 does not have', async () => {
      await expect(passed('xz', Uint8Array.of(...start(1), ...block, 3))).rejects.toThrow('xz chunk: control byte 3');
    });
    it('refuses a number of ten bytes', async () => {
      const nine = [...start(0), 0, 1, ...Array<number>(8).fill(0x80), 0, 0];
      const bytes = Uint8Array.from([...aligned(nine), ...footer]);
      expect(await passed('xz', bytes)).toBe(bytes.length);
      const ten = Uint8Array.of(...start(0), 0, 1, ...Array<number>(9).fill(0x80), 0);
      await expect(passed('xz', ten)).rejects.toThrow('xz index: a number of more than nine bytes');
    });
  });
});

describe('findSegments', () => {
  it('finds plain archives and zeros between them', async () => {
    expect(await find(zeros(4), cpio, zeros(8), cpio, zeros(1))).toEqual([
      { offset: 4, size: await cpioSize(), compression: 'none', endKnown: true },
      { offset: 4 + cpio.length + 8, size: await cpioSize(), compression: 'none', endKnown: true },
    ]);
  });
  it('finds a compressed one behind the microcode, and one more behind that', async () => {
    const gzip = sample('gzip');
    const pad = zeros((4 - (gzip.length % 4)) % 4);
    const segments = await find(cpio, gzip, pad, cpio);
    expect(segments.map(({ offset, compression }) => [offset, compression])).toEqual([
      [0, 'none'],
      [cpio.length, 'gzip'],
      [cpio.length + gzip.length + pad.length, 'none'],
    ]);
    expect(segments[1]).toMatchObject({ size: gzip.length, endKnown: true });
  });
  it.each(['bzip2', 'lzma'])('takes %s to reach to the end', async (id) => {
    const bytes = sample(id);
    expect(await find(bytes, zeros(8))).toEqual([
      { offset: 0, size: bytes.length + 8, compression: id, endKnown: false },
    ]);
  });
  it('does not need a multiple of 4 for a compressed one', async () => {
    expect((await find(zeros(3), sample('xz-crc32'))).length).toBe(1);
  });
  it.each<[string, Uint8Array[], string]>([
    ['nothing', [], 'initrd: there is no archive in it'],
    ['zeros', [zeros(100)], 'initrd: there is no archive in it'],
    ['text', [Buffer.from('hello')], 'initrd: at byte 0 is neither an archive nor a compression that Linux knows'],
    [
      'text behind an archive',
      [cpio, Buffer.from('!')],
      `initrd: at byte ${cpio.length} is neither an archive nor a compression that Linux knows`,
    ],
    ['an archive at an odd place', [zeros(2), cpio], 'initrd: the archive at byte 2 does not begin at a multiple of 4'],
  ])('refuses %s', async (_, parts, message) => {
    await expect(find(...parts)).rejects.toMatchObject({ kind: 'format', message });
  });
  it('ends after as many segments as no initrd has', async () => {
    const lz4 = Uint8Array.of(0x02, 0x21, 0x4c, 0x18, 0, 0, 0, 0);
    const many = (count: number) => find(...Array.from({ length: count }, () => lz4));
    expect((await many(4096)).length).toBe(4096);
    await expect(many(4097)).rejects.toThrow('initrd: more than 4096 segments');
  });
});

/** GNU cpio fills up to blocks of 512 bytes with zeros, which belong to no segment. */
async function cpioSize(): Promise<number> {
  const source = diskSource(memoryDisk(cpio), 0);
  for await (const _ of readCpio(source));
  return source.position;
}

describe('zerosBeforeNext', () => {
  const segment = (compression: Segment['compression'], size: number): Segment => ({
    offset: 0,
    size,
    compression,
    endKnown: true,
  });
  it.each<[Segment['compression'], number, number, number]>([
    ['none', 512, 512, 0],
    ['gzip', 509, 509, 3],
    ['xz', 508, 511, 1],
    ['lz4', 512, 512, 4],
    ['lz4', 509, 509, 7],
    ['lz4', 509, 512, 4],
    ['lz4', 508, 512, 0],
    ['lz4', 500, 513, 3],
  ])('%s of %i bytes in %i: %i', (compression, size, total, zerosNeeded) => {
    expect(zerosBeforeNext(total, segment(compression, size))).toBe(zerosNeeded);
  });
});
