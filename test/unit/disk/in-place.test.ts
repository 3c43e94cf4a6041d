import { describe, expect, it } from 'vitest';
import { findImage } from '../../../src/core/disk/find-image.ts';
import { filePlaces, type Place, placeStages, placesWithin } from '../../../src/core/disk/in-place.ts';
import { qcow2Image } from '../../../src/core/disk/qcow2.ts';
import { openQcow2 } from '../../../src/core/disk/read-qcow2.ts';
import { bareDisk, type DiskPlan, gptDisk } from '../../../src/core/disk/shape.ts';
import { UNIT } from '../../../src/core/disk/units.ts';
import { headerState, repairStages, withWrites } from '../../../src/core/luks/header-change.ts';
import { readHeader, unlock } from '../../../src/core/luks/image.ts';
import { changeKeyslots } from '../../../src/core/luks/keyslot-change.ts';
import { type PlanOptions, plan } from '../../../src/core/luks/plan.ts';
import { checkHeaderPolicy } from '../../../src/core/luks/policy.ts';
import { imageOf } from '../../disk-bytes.ts';
import { memoryDisk, nodeLuksCrypto, seededRandom } from '../../luks-image.ts';
import { oddImage } from '../../qcow2-image.ts';
import { cutDisks, keyslotsOf, luksIn } from '../../torn-writes.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const kdf = { type: 'pbkdf2', iterations: 1000 } as const;
const options: PlanOptions = {
  ...{ version: 2, dataSize: 4096, keySize: 32, sectorSize: 512, detached: false, headerSize: 0x8000 + 3 * 131072 },
  keys: ['one', 'two'].map((text) => ({ passphrase: bytes(text), kdf })),
};
const planned = await plan(options, seededRandom(3), nodeLuksCrypto);
const bare = bareDisk(planned);
const gpt = gptDisk(planned, { architecture: 'x86-64', esp: undefined }, seededRandom(4));
const fileOf = ({ imageSize, extents }: DiskPlan) => imageOf(imageSize, extents);

/** Places of the tables in the images that are made here, whose L2 table names cluster i of the disk at entry i. */
const [REFCOUNTS, L2, DATA] = [2 * UNIT, 4 * UNIT, 5 * UNIT];

/** An image whose clusters stand in the reverse order. */
function reversed(disk: DiskPlan): Uint8Array {
  const image = fileOf(qcow2Image(disk));
  const copy = image.slice();
  const [from, to] = [new DataView(image.buffer), new DataView(copy.buffer)];
  const count = image.length / UNIT - 5;
  for (let i = 0; i < count; i++) {
    const place = count - 1 - i;
    const flags = from.getBigUint64(L2 + 8 * i) & (1n << 63n);
    to.setBigUint64(L2 + 8 * i, flags === 0n ? 0n : flags | BigInt(DATA + place * UNIT));
    to.setUint16(REFCOUNTS + 2 * (5 + place), flags === 0n ? 0 : 1);
    copy.set(image.subarray(DATA + i * UNIT, DATA + (i + 1) * UNIT), DATA + place * UNIT);
  }
  return copy;
}

const SHAPES: readonly (readonly [string, Uint8Array])[] = [
  ['a GPT disk', fileOf(gpt)],
  ['a qcow2 image', fileOf(qcow2Image(bare))],
  ['a GPT disk in a qcow2 image in another order', reversed(gpt)],
];

describe.each(SHAPES)('keys that change in %s', (_name, file) => {
  const wanted = { partition: undefined, detached: false };

  it('cut off anywhere: the header is one of those announced and opens, and all else in the file is as it was', async () => {
    const { disk, places, partition } = await findImage(memoryDisk(file), wanted);
    const header = await readHeader(disk);
    const opened = await unlock(header, disk, bytes('one'), nodeLuksCrypto);
    const add = { key: { passphrase: bytes('new'), kdf }, opened, replaces: 0 };
    const inputs = { random: seededRandom(5), crypto: nodeLuksCrypto };
    const change = await changeKeyslots(header, { add, remove: [0] }, inputs);
    const stages = await placeStages(change.stages, places);
    expect(stages).toHaveLength(change.stages.length);
    // Some sectors of a header and of a keyslot: every one is cut off where no disk is around it (keyslot-change.test.ts).
    const every = (stage: (typeof stages)[number]) =>
      stage.reduce((size, write) => size + write.bytes.length, 0) === 0x4000 ? 5 : 97;
    let cuts = 0;
    for (const { at, bytes: torn } of cutDisks(file, stages, every)) {
      cuts++;
      const luks = await luksIn(torn);
      const found = await readHeader(memoryDisk(luks));
      expect(change.states, at).toContain(headerState(found));
      expect(await keyslotsOf(luks, 'two'), at).toHaveLength(1);
      expect((await keyslotsOf(luks, 'one')).length + (await keyslotsOf(luks, 'new')).length, at).toBeGreaterThan(0);
      const mends = found.version === 1 ? [] : repairStages(found, seededRandom(6));
      const mended = (await placeStages(mends, places)).reduce(withWrites, torn);
      expect(checkHeaderPolicy(await readHeader(memoryDisk(await luksIn(mended)))), at).toEqual([]);
    }
    expect(cuts).toBeGreaterThan(30);

    const after = stages.reduce(withWrites, file);
    const luks = await luksIn(after);
    expect([await keyslotsOf(luks, 'one'), await keyslotsOf(luks, 'new')]).toEqual([[], [0]]);
    expect(Buffer.compare(luks, change.stages.reduce(withWrites, await luksIn(file)))).toBe(0);
    const touched = await places(0, options.headerSize);
    const rest = (all: Uint8Array) => touched.reduce(blank, all.slice());
    expect(Buffer.compare(rest(after), rest(file))).toBe(0);
    expect(partition?.number).toBe(_name.includes('GPT') ? 1 : undefined);
  });
});

function blank(all: Uint8Array<ArrayBuffer>, { at, size }: Place): Uint8Array<ArrayBuffer> {
  return all.fill(0, at, at + size);
}

describe('placesWithin', () => {
  it('is not for bytes beyond the end of the partition, which a hostile header can ask for', async () => {
    const places = placesWithin(filePlaces, 1000, 512);
    expect(await places(0, 512)).toEqual([{ at: 1000, size: 512 }]);
    expect(await places(511, 1)).toEqual([{ at: 1511, size: 1 }]);
    await expect(places(511, 2)).rejects.toMatchObject({
      kind: 'format',
      message: 'the change would write 2 bytes at 511 of 512: beyond the end',
    });
    await expect(places(512, 1)).rejects.toMatchObject({ kind: 'format' });
  });

  it('is asked for each write of each stage before the first is written', async () => {
    const write = (at: number) => ({ at, bytes: Uint8Array.of(1, 2, 3) });
    const placed = await placeStages([[write(0), write(5)], [write(9)]], placesWithin(filePlaces, 100, 12));
    expect(placed).toEqual([[write(100), write(105)], [write(109)]]);
    await expect(placeStages([[write(0)], [write(10)]], placesWithin(filePlaces, 0, 12))).rejects.toMatchObject({
      kind: 'format',
    });
  });
});

describe('the places of a qcow2 image', () => {
  const image = fileOf(qcow2Image(bare));
  const size = bare.imageSize;
  const placesOf = async (file: Uint8Array, change: (view: DataView) => void = () => undefined) => {
    const copy = file.slice();
    change(new DataView(copy.buffer));
    const disk = await openQcow2(memoryDisk(copy));
    if (disk === undefined) throw new Error('no qcow2');
    return disk.places;
  };

  it('are those of its clusters, in one piece where they lie behind each other', async () => {
    const places = await placesOf(image);
    expect(await places(0, 1)).toEqual([{ at: DATA, size: 1 }]);
    expect(await places(UNIT - 1, UNIT + 2)).toEqual([{ at: DATA + UNIT - 1, size: UNIT + 2 }]);
    expect(await places(0, size)).toEqual([{ at: DATA, size }]);
    expect(await places(7, 0)).toEqual([]);
    const other = await placesOf(reversed(bare));
    const count = Math.ceil(size / UNIT);
    const end = DATA + (count - 1) * UNIT;
    expect(await other(UNIT - 1, UNIT + 2)).toEqual([
      { at: end + UNIT - 1, size: 1 },
      { at: end - UNIT, size: UNIT },
      { at: end - 2 * UNIT, size: 1 },
    ]);
  });

  it.each<[string, (view: DataView) => void, string]>([
    ['a cluster that is not allocated', (v) => v.setBigUint64(L2 + 8, 0n), 'cluster 1 of its disk is not allocated'],
    ['a cluster of zeros', (v) => v.setUint32(L2 + 12, v.getUint32(L2 + 12) | 1), 'cluster 1 of its disk is not alloc'],
    ['a compressed cluster', (v) => v.setUint32(L2 + 8, 0x40000000), 'it has compressed clusters'],
    ['two references', (v) => v.setUint16(REFCOUNTS + 12, 2), 'cluster 1 of its disk has 2 references'],
    ['no reference', (v) => v.setUint16(REFCOUNTS + 12, 0), 'cluster 1 of its disk has 0 references'],
    ['256 references', (v) => v.setUint16(REFCOUNTS + 12, 256), 'cluster 1 of its disk has 256 references'],
    ['a cluster to copy first', (v) => v.setUint32(L2 + 8, 0), 'cluster 1 of its disk has 1 references: a snapshot'],
    ['bitmaps', (v) => v.setBigUint64(88, 1n), 'it has features, such as bitmaps'],
    ['counts of 128 bits', (v) => v.setUint32(96, 7), 'its counts of references have 2^7 bits'],
    ['no counts', (v) => v.setUint32(56, 0), 'it counts no references'],
    ['no block of counts', (v) => v.setBigUint64(UNIT, 0n), 'its counts of references are not as they must be'],
    ['a block within a cluster', (v) => v.setBigUint64(UNIT, BigInt(REFCOUNTS + 512)), 'are not as they must be'],
    ['a block with reserved bits', (v) => v.setBigUint64(UNIT, BigInt(REFCOUNTS + 1)), 'are not as they must be'],
    ['a block beyond the end', (v) => v.setBigUint64(UNIT, 1n << 56n), 'are beyond the end of the file'],
    ['counts beyond the end', (v) => v.setBigUint64(48, 1n << 40n), 'are beyond the end of the file'],
    // The host wants the header written over a keyslot, or over what says where things are.
    ['one cluster twice', (v) => v.setBigUint64(L2 + 8, v.getBigUint64(L2)), 'cluster 1 of its disk is another one'],
    ...(
      [
        ['header', 0],
        ['table of blocks', 1],
        ['block of counts', 2],
        ['L1 table', 3],
        ['L2 table', 4],
      ] as const
    ).map(([name, cluster]): [string, (view: DataView) => void, string] => [
      `its ${name}`,
      (v) => v.setBigUint64(L2 + 8, (1n << 63n) | BigInt(cluster * UNIT)),
      // 0 is not allocated.
      cluster === 0 ? 'cluster 1 of its disk is not allocated' : 'cluster 1 of its disk is where its tables are',
    ]),
  ])('are not given for %s', async (_, change, message) => {
    const places = await placesOf(image, change);
    await expect(places(0, 2 * UNIT)).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
    });
  });

  it('are given for what is beside it', async () => {
    const places = await placesOf(image, (v) => v.setUint16(REFCOUNTS + 12, 2));
    expect(await places(0, UNIT)).toEqual([{ at: DATA, size: UNIT }]);
    await expect(places(0, UNIT + 1)).rejects.toMatchObject({ hint: expect.stringContaining('-S 0') });
    expect(await places(2 * UNIT, UNIT)).toEqual([{ at: DATA + 2 * UNIT, size: UNIT }]);
  });

  it('end where its disk ends', async () => {
    const places = await placesOf(image);
    expect(await places(size - 1, 1)).toHaveLength(1);
    await expect(places(size - 1, 2)).rejects.toMatchObject({
      message: expect.stringMatching(/are beyond the end of its disk/),
    });
  });

  it.each([0, 1, 2, 3, 4, 5, 6])('count references of 2^%d bits', async (order) => {
    const bits = 2 ** order;
    // Cluster 5 of the file is the first of the disk; the block of counts says one for it and nothing for its neighbours.
    const counts = (v: DataView, cluster: number, count: bigint) => {
      if (bits >= 8)
        for (let i = 0; i < bits / 8; i++) {
          v.setUint8(REFCOUNTS + (cluster * bits) / 8 + i, Number((count >> BigInt(bits - 8 - 8 * i)) & 0xffn));
        }
      else {
        const at = REFCOUNTS + Math.floor((cluster * bits) / 8);
        v.setUint8(at, v.getUint8(at) | (Number(count) << ((cluster * bits) % 8)));
      }
    };
    const change = (count: bigint, before: bigint) => (v: DataView) => {
      v.setUint32(96, order);
      for (let i = 0; i < UNIT; i++) v.setUint8(REFCOUNTS + i, 0);
      counts(v, 4, before);
      counts(v, 5, count);
    };
    expect(await (await placesOf(image, change(1n, 0n)))(0, 1)).toEqual([{ at: DATA, size: 1 }]);
    for (const wrong of [0n, ...(bits > 1 ? [(1n << BigInt(bits)) - 1n, 1n << BigInt(bits - 1)] : [])]) {
      const places = await placesOf(image, change(wrong, 1n));
      await expect(places(0, 1)).rejects.toMatchObject({ message: expect.stringContaining(`has ${wrong} references`) });
    }
  });

  it('of version 2 are counted with 16 bits, whatever stands where version 3 says so', async () => {
    const old = await placesOf(image, (v) => {
      v.setUint32(4, 2);
      v.setBigUint64(88, 1n);
      v.setUint32(96, 9);
    });
    expect(await old(0, 1)).toEqual([{ at: DATA, size: 1 }]);
  });
});

describe('the places of a qcow2 image with small clusters and its tables behind the data', () => {
  const COUNT = 4200;
  const placesOf = async (change: (image: ReturnType<typeof oddImage>) => void = () => undefined) => {
    const odd = oddImage(9, COUNT);
    change(odd);
    return (await openQcow2(memoryDisk(odd.bytes)))?.places ?? filePlaces;
  };

  it('are those of all clusters, also next to the tables', async () => {
    const { at } = oddImage(9, COUNT);
    const all = await (await placesOf())(0, COUNT * 512);
    expect(all).toEqual(Array.from({ length: COUNT }, (_, i) => ({ at: at(i), size: 512 })));
  });

  it('are counted in the block that has the cluster', async () => {
    const odd = oddImage(9, COUNT);
    for (const cluster of [0, 1000, COUNT - 1]) {
      const count = odd.tables.blocks + (2 * odd.at(cluster)) / 512;
      const places = await placesOf(({ view }) => view.setUint16(count, 2));
      await expect(places(cluster * 512, 1)).rejects.toThrow(`cluster ${cluster} of its disk has 2 references`);
      for (const other of [cluster - 1, cluster + 1].filter((i) => i >= 0 && i < COUNT)) {
        expect(await places(other * 512, 1)).toHaveLength(1);
      }
    }
    const short = await placesOf(({ view }) => view.setUint32(56, 0));
    await expect(short(0, 1)).rejects.toThrow('it counts no references');
    const moved = await placesOf(({ view, tables, bytes }) => {
      // A table that ends with the file, of which the entry that is wanted is not there.
      view.setBigUint64(48, BigInt(bytes.length - 8));
      view.setBigUint64(bytes.length - 8, BigInt(tables.blocks));
    });
    await expect(moved(0, 1)).rejects.toThrow('its counts of references are beyond the end of the file');
  });

  it.each<[string, (tables: ReturnType<typeof oddImage>['tables']) => number]>([
    ['the first of its table of blocks', ({ refcounts }) => refcounts],
    ['the last of its table of blocks', ({ refcounts }) => refcounts + 512],
    ['the first of its L1 table', ({ l1 }) => l1],
    ['the last of its L1 table', ({ l1 }) => l1 + 512],
    ['its L2 table', ({ l2 }) => l2],
  ])('are not %s', async (_, table) => {
    const places = await placesOf(({ view, tables }) =>
      view.setBigUint64(tables.l2, (1n << 63n) | BigInt(table(tables))),
    );
    await expect(places(0, 1)).rejects.toThrow('cluster 0 of its disk is where its tables are');
  });
});
