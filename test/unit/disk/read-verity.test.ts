import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { checkVerity } from '../../../src/core/disk/check-verity.ts';
import { isVerity, type ReadVerity, readVerity, type VerityDisks } from '../../../src/core/disk/read-verity.ts';
import { slice } from '../../../src/core/luks/disk.ts';
import { blockDigest } from '../../../src/host/image/verity-hash.ts';
import { memoryDisk } from '../../luks-image.ts';
import { numberedBlocks, type SampleOptions, sampleTree } from '../../verity-data.ts';

const BLOCK = 4096;

function sample(blocks: number, options: SampleOptions = {}, change = (_: Uint8Array) => {}) {
  const data = numberedBlocks(blocks);
  const { hashes, rootHash } = sampleTree(data, options);
  change(hashes);
  const disks = { data: memoryDisk(data), hashes: memoryDisk(hashes), hashAt: options.hashAt ?? 0 };
  return { data, hashes, rootHash, disks };
}

const word = (at: number, value: number) => (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, value, true);

const refused = async (disks: VerityDisks) => {
  const error = await readVerity(disks).then(
    () => undefined,
    (caught) => caught,
  );
  return `${error?.kind}: ${error?.message}`;
};

describe('isVerity', () => {
  it('finds a superblock that is all there', async () => {
    const { hashes } = sample(1, { hashAt: 512, hashBlock: 512 });
    expect(hashes).toHaveLength(1024);
    expect(await isVerity(memoryDisk(hashes), 512)).toBe(true);
    for (const at of [0, 511, 513, -512, 512.5, Number.NaN, 2 ** 53])
      expect(await isVerity(memoryDisk(hashes), at)).toBe(false);
    expect(await isVerity(memoryDisk(hashes.subarray(0, 1023)), 512)).toBe(false);
    for (let i = 0; i < 8; i++) {
      const other = hashes.slice();
      other[512 + i] = (other[512 + i] ?? 0) ^ 0x20;
      expect(await isVerity(memoryDisk(other), 512)).toBe(false);
    }
    // A disk that gives less than it has.
    expect(await isVerity({ size: 1024, read: async () => new Uint8Array(7) }, 512)).toBe(false);
  });
});

describe('readVerity', () => {
  it('says what the superblock says, and where the levels are', async () => {
    const salt = Uint8Array.of(1, 2, 3);
    const { disks } = sample(129, { salt });
    expect(await readVerity(disks)).toEqual({
      ...{ uuid: '01234567-89ab-cdef-0011-223344556677', algorithm: 'sha256', digestSize: 32, salt },
      ...{ dataBlockSize: BLOCK, hashBlockSize: BLOCK, dataBlocks: 129, digestsPerBlock: 128, end: 4 * BLOCK },
      levels: [
        { at: 2 * BLOCK, blocks: 2 },
        { at: BLOCK, blocks: 1 },
      ],
    });
  });

  it.each<[SampleOptions, Partial<ReadVerity>]>([
    [{ hashBlock: 512 }, { digestsPerBlock: 16, levels: [{ at: 512, blocks: 1 }], end: 1024 }],
    [
      { hashBlock: 1024, hashAt: 512 },
      { digestsPerBlock: 32, levels: [{ at: 1024, blocks: 1 }], end: 2048 },
    ],
    [
      { hashBlock: 1024, hashAt: 1024 },
      { levels: [{ at: 2048, blocks: 1 }], end: 3072 },
    ],
    [{ algorithm: 'sha512' }, { digestSize: 64, digestsPerBlock: 64, levels: [{ at: BLOCK, blocks: 1 }] }],
    [{ dataBlock: 512 }, { dataBlockSize: 512, dataBlocks: 16, levels: [{ at: BLOCK, blocks: 1 }] }],
    [{ dataBlock: 8192 }, { dataBlockSize: 8192, dataBlocks: 1, levels: [], end: BLOCK }],
    [{ hashBlock: 65536 }, { hashBlockSize: 65536, digestsPerBlock: 2048, end: 131072 }],
    [{ salt: new Uint8Array(256).fill(7) }, { salt: new Uint8Array(256).fill(7) }],
    [{}, { salt: new Uint8Array(0) }],
  ])('reads a tree with %j', async (options, expected) => {
    expect(await readVerity(sample(2, options).disks)).toMatchObject(expected);
  });

  it.each<[string, (bytes: Uint8Array) => void]>([
    ['none at byte 0', (bytes) => bytes.fill(0, 0, 8)],
    ['version 2 is unknown', word(8, 2)],
    ['version 0 is unknown', word(8, 0)],
    ['the tree has format 0, and only 1 is read', word(12, 0)],
    ['the digest is "sha1", and sha256 and sha512 are read', (bytes) => bytes.set(Buffer.from('sha1\0\0'), 32)],
    ['the digest is "", and sha256 and sha512 are read', (bytes) => bytes.fill(0, 32, 64)],
    ['the digest is "sha256x", and sha256 and sha512 are read', (bytes) => bytes.set(Buffer.from('x'), 38)],
    ['the digest is "toString", and sha256 and sha512 are read', (bytes) => bytes.set(Buffer.from('toString'), 32)],
    [`the digest is "${'?'.repeat(32)}", and sha256 and sha512 are read`, (bytes) => bytes.fill(0x1b, 32, 64)],
    ['blocks of data have 0 bytes', word(64, 0)],
    ['blocks of data have 256 bytes', word(64, 256)],
    ['blocks of data have 4095 bytes', word(64, 4095)],
    ['blocks of data have 131072 bytes', word(64, 131072)],
    ['blocks of data have 2147483648 bytes', word(64, 2 ** 31)],
    ['blocks of tree have 1 bytes', word(68, 1)],
    ['blocks of tree have 4294967295 bytes', word(68, 2 ** 32 - 1)],
    ['a salt of 257 bytes does not fit', (bytes) => bytes.set([1, 1], 80)],
    ['there are no data', word(72, 0)],
    ['3 blocks of data are said to be there, and there is room for 2', word(72, 3)],
    ['4294967298 blocks of data are said to be there, and there is room for 2', word(76, 1)],
    [
      '18446744073709551615 blocks of data are said to be there, and there is room for 2',
      (bytes) => bytes.fill(255, 72, 80),
    ],
    ['the tree ends at byte 131072, and there are 8192', word(68, 65536)],
  ])('refuses a superblock: %s', async (message, change) => {
    expect(await refused(sample(2, {}, change).disks)).toBe(`format: verity superblock: ${message}`);
  });

  it('refuses a tree that is not all there, and data that are not', async () => {
    const { disks, hashes } = sample(2);
    expect(await readVerity({ ...disks, hashes: memoryDisk(hashes.subarray(0, 8192)) })).toMatchObject({ end: 8192 });
    expect(await refused({ ...disks, hashes: memoryDisk(hashes.subarray(0, 8191)) })).toContain(
      'the tree ends at byte 8192',
    );
    expect(await refused({ ...disks, data: slice(disks.data, 0, 8191) })).toContain('there is room for 1');
  });
});

/** All that a check yields, without the bytes. */
async function check(disks: VerityDisks, rootHash: Uint8Array) {
  const verity = await readVerity(disks);
  const found: Record<string, unknown>[] = [];
  const read: Uint8Array[] = [];
  for await (const piece of checkVerity(disks, verity, rootHash, blockDigest(verity))) {
    if (piece.kind !== 'data') {
      found.push({ ...piece });
      continue;
    }
    read.push(piece.bytes);
    found.push({ kind: 'data', at: piece.at, size: piece.bytes.length, wrong: piece.wrong });
  }
  return {
    found,
    read: Buffer.concat(read),
    odd: found.filter(({ kind, wrong }) => kind !== 'data' || `${wrong}` !== ''),
  };
}

describe('checkVerity', () => {
  it.each<[number, SampleOptions]>([
    [1, {}],
    [2, { salt: Uint8Array.of(9) }],
    [128, {}],
    [129, {}],
    [300, { algorithm: 'sha512' }],
    [40, { hashBlock: 512, hashAt: 1024 }],
    [40, { dataBlock: 512, hashBlock: 1024 }],
    [64, { dataBlock: 65536 }],
  ])('yields all data of %i blocks with %j', async (blocks, options) => {
    const { disks, data, rootHash } = sample(blocks, options);
    const { read, odd } = await check(disks, rootHash);
    expect(odd).toEqual([]);
    expect(Buffer.compare(read, data)).toBe(0);
  });

  it('takes pieces of 1 MiB at most, in their order', async () => {
    const { disks, rootHash } = sample(600, { hashBlock: 65536 });
    const pieces = (await check(disks, rootHash)).found;
    expect(pieces.map(({ at, size }) => [at, size])).toEqual([
      [0, 1 << 20],
      [1 << 20, 1 << 20],
      [2 << 20, 88 * BLOCK],
    ]);
  });

  it('takes no empty piece, and names what is wrong in a later one', async () => {
    const { disks, data, rootHash } = sample(512, { hashBlock: 65536 });
    data[300 * BLOCK] = 99;
    expect((await check(disks, rootHash)).found).toEqual([
      { kind: 'data', at: 0, size: 1 << 20, wrong: [] },
      { kind: 'data', at: 1 << 20, size: 1 << 20, wrong: [300] },
    ]);
  });

  it.each([0, 127, 128, 299])('finds that block %i was changed', async (block) => {
    const { disks, data, rootHash } = sample(300);
    data[block * BLOCK + 4095] = 99;
    expect((await check(disks, rootHash)).odd).toMatchObject([{ kind: 'data', wrong: [block] }]);
  });

  it('finds every block that was changed', async () => {
    const { disks, data, rootHash } = sample(130);
    for (const block of [3, 4, 129]) data.fill(1, block * BLOCK, block * BLOCK + 1);
    const { odd } = await check(disks, rootHash);
    expect(odd.flatMap(({ wrong }) => wrong)).toEqual([3, 4, 129]);
  });

  it('finds that blocks were exchanged', async () => {
    const { disks, data, rootHash } = sample(3);
    data.copyWithin(0, BLOCK, 2 * BLOCK);
    expect((await check(disks, rootHash)).odd).toMatchObject([{ wrong: [0] }]);
  });

  it('believes nothing below a block of the tree that does not match, and goes on behind it', async () => {
    // At 1 the top, at 2 to 4 the lowest level.
    const { disks, hashes, rootHash } = sample(300);
    hashes[3 * BLOCK + 5] = (hashes[3 * BLOCK + 5] ?? 0) ^ 1;
    const { found, read } = await check(disks, rootHash);
    expect(found).toMatchObject([
      { kind: 'data', at: 0, size: 128 * BLOCK, wrong: [] },
      { kind: 'hashes', level: 0, block: 1, firstData: 128, dataBlocks: 128 },
      { kind: 'data', at: 256 * BLOCK, size: 44 * BLOCK, wrong: [] },
    ]);
    expect(read).toHaveLength(172 * BLOCK);
    hashes[4 * BLOCK] = (hashes[4 * BLOCK] ?? 0) ^ 1;
    expect((await check(disks, rootHash)).odd).toEqual([
      { kind: 'hashes', level: 0, block: 1, firstData: 128, dataBlocks: 128 },
      { kind: 'hashes', level: 0, block: 2, firstData: 256, dataBlocks: 44 },
    ]);
  });

  it('says of how many blocks nothing is known below a higher level', async () => {
    const options = { hashBlock: 512 };
    const { disks, hashes, rootHash } = sample(300, options);
    const { levels } = await readVerity(disks);
    expect(levels.map(({ blocks }) => blocks)).toEqual([19, 2, 1]);
    hashes[levels[1]?.at ?? 0] = 77;
    expect((await check(disks, rootHash)).odd).toEqual([
      { kind: 'hashes', level: 1, block: 0, firstData: 0, dataBlocks: 256 },
    ]);
  });

  it('reads no data under another root hash', async () => {
    const { disks, rootHash } = sample(300);
    const other = Uint8Array.from(rootHash, (byte, i) => (i === 31 ? byte ^ 1 : byte));
    const { found } = await check(disks, other);
    expect(found).toEqual([{ kind: 'hashes', level: 1, block: 0, firstData: 0, dataBlocks: 300 }]);
  });

  it('has no tree over a single block', async () => {
    const { disks, data, rootHash } = sample(1);
    expect(Buffer.compare(rootHash, createHash('sha256').update(data).digest())).toBe(0);
    data[0] = 1;
    expect((await check(disks, rootHash)).found).toEqual([{ kind: 'data', at: 0, size: BLOCK, wrong: [0] }]);
  });

  it('finds data that were cut off, which a kernel does not', async () => {
    // 299 blocks have as many blocks of digests as 300.
    const { disks, rootHash } = sample(300, {}, word(72, 299));
    expect((await check(disks, rootHash)).odd).toEqual([{ kind: 'spare', level: 0, block: 2 }]);
    // With a block of digests less, one of the top is left over, and the lowest level is believed to be elsewhere.
    const shorter = sample(300, {}, word(72, 256));
    expect((await check(shorter.disks, shorter.rootHash)).odd).toEqual([{ kind: 'spare', level: 1, block: 0 }]);
  });

  it.each([0, 31, 33, 64])('takes no root hash of %i bytes for sha256', async (size) => {
    for (const blocks of [1, 2]) {
      const { disks } = sample(blocks);
      await expect(check(disks, new Uint8Array(size))).rejects.toMatchObject({
        kind: 'usage',
        message: `a root hash of sha256 has 32 bytes, not ${size}`,
      });
    }
  });

  it('says so when a disk ends while it is read', async () => {
    const { disks, rootHash } = sample(300);
    const verity = await readVerity(disks);
    for (const [name, what] of [
      ['data', 'the data'],
      ['hashes', 'the hash tree'],
    ] as const) {
      const short = { ...disks, [name]: { size: disks[name].size, read: async () => new Uint8Array(5) } };
      const run = async () => {
        for await (const _ of checkVerity(short, verity, rootHash, blockDigest(verity)));
      };
      await expect(run()).rejects.toMatchObject({ kind: 'format', message: expect.stringContaining(what) });
    }
  });
});
