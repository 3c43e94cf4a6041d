import { describe, expect, it } from 'vitest';
import { Qcow2Features, Qcow2Header, qcow2Image } from '../../../src/core/disk/qcow2.ts';
import { openQcow2 } from '../../../src/core/disk/read-qcow2.ts';
import type { DiskExtent, DiskPlan } from '../../../src/core/disk/shape.ts';
import { markUnits, noUnits, UNIT } from '../../../src/core/disk/units.ts';
import { findCipher } from '../../../src/core/luks/cipher.ts';
import { imageOf } from '../../disk-bytes.ts';
import { memoryDisk } from '../../luks-image.ts';
import { oddImage } from '../../qcow2-image.ts';

const used = noUnits(10 * UNIT);
markUnits(used, UNIT, 3 * UNIT);

/** Something at the start, data of which two units are used, a file at the end, and nothing between. */
const EXTENTS: readonly DiskExtent[] = [
  { kind: 'data', file: 'image', at: 2 * UNIT, size: 10 * UNIT, used },
  { kind: 'file', file: 'image', at: 20 * UNIT - 1, size: 2, source: 'F' },
  { kind: 'bytes', file: 'image', at: 512, bytes: Uint8Array.of(1, 2, 3) },
  { kind: 'bytes', file: 'header', at: 17 * UNIT, bytes: Uint8Array.of(9) },
];

function planOf(size: number, extents: readonly DiskExtent[]): DiskPlan {
  const sectors = {
    cipher: findCipher('aes-xts-plain64', 64, 'test'),
    key: new Uint8Array(64),
    sectorSize: 512,
    ivTweak: 0n,
  };
  return { extents, uuid: '', sectors, imageSize: size, diskSize: size, format: 'raw', partitionTable: undefined };
}

const SIZE = 20 * UNIT + 512;
const plan = qcow2Image(planOf(SIZE, EXTENTS));
const image = imageOf(plan.imageSize, plan.extents);
const view = new DataView(image.buffer);
const DATA_AT = 5 * UNIT;
/** Clusters of the guest that something is written to. */
const HELD = [0, 3, 4, 19, 20];

describe('qcow2Image', () => {
  it('has a header of version 3, and everything else behind it', () => {
    expect(Qcow2Header.unpack(image)).toEqual({
      version: 3,
      backingFileOffset: 0n,
      backingFileSize: 0,
      clusterBits: 16,
      size: BigInt(SIZE),
      cryptMethod: 0,
      l1Size: 1,
      l1TableOffset: BigInt(3 * UNIT),
      refcountTableOffset: BigInt(UNIT),
      refcountTableClusters: 1,
      snapshotCount: 0,
      snapshotsOffset: 0n,
    });
    expect(Qcow2Features.unpack(image, 72)).toEqual({
      incompatible: 0n,
      compatible: 0n,
      autoclear: 0n,
      refcountOrder: 4,
      headerLength: 104,
    });
    expect(plan).toMatchObject({ imageSize: DATA_AT + 21 * UNIT, diskSize: SIZE, format: 'qcow2' });
  });

  it('moves the disk behind its tables and writes the header last', () => {
    expect(plan.extents.map(({ kind, file, at }) => [kind, file, at / UNIT])).toEqual([
      ['data', 'image', 7],
      ['file', 'image', 25 - 1 / UNIT],
      ['bytes', 'image', 5 + 512 / UNIT],
      ['bytes', 'header', 17],
      ['bytes', 'image', 1],
      ['bytes', 'image', 2],
      ['bytes', 'image', 3],
      ['bytes', 'image', 4],
      ['bytes', 'image', 0],
    ]);
  });

  it('points to each cluster that is written, once, and to no other', () => {
    expect(view.getBigUint64(UNIT)).toBe(BigInt(2 * UNIT));
    expect(view.getBigUint64(UNIT + 8)).toBe(0n);
    expect(view.getBigUint64(3 * UNIT)).toBe((1n << 63n) | BigInt(4 * UNIT));
    const entries = Array.from({ length: 22 }, (_, i) => view.getBigUint64(4 * UNIT + 8 * i));
    const expected = entries.map((_, i) => (HELD.includes(i) ? (1n << 63n) | BigInt(DATA_AT + i * UNIT) : 0n));
    expect(entries).toEqual(expected);
    const counts = Array.from({ length: 27 }, (_, i) => view.getUint16(2 * UNIT + 2 * i));
    expect(counts).toEqual(counts.map((_, i) => (i < 5 || HELD.includes(i - 5) ? 1 : 0)));
  });

  it('has as many tables as a large disk needs', () => {
    const large = qcow2Image(planOf(2 ** 40, []));
    const header = large.extents.at(-1);
    if (header?.kind !== 'bytes') throw new Error('no header');
    const { l1Size, l1TableOffset, refcountTableClusters } = Qcow2Header.unpack(header.bytes);
    expect([l1Size, refcountTableClusters]).toEqual([2048, 1]);
    // 512 blocks for the disk itself, one more for the tables.
    expect(l1TableOffset).toBe(BigInt((1 + 1 + 513) * UNIT));
    expect(large.imageSize).toBe(2 ** 40 + (1 + 1 + 513 + 1 + 2048) * UNIT);
    const lengths = large.extents.map((extent) => (extent.kind === 'bytes' ? extent.bytes.length / UNIT : 0));
    expect(lengths).toEqual([1, 513, 1, 2048, 1]);
    expect(() => qcow2Image(planOf(2 ** 40 + 512, []))).toThrow('is too large for --format qcow2');
  });

  it('counts references of offsets beyond 4 GiB', () => {
    const large = qcow2Image(planOf(2 ** 33, [{ kind: 'data', file: 'image', at: 2 ** 33 - 512, size: 512 }]));
    const l2 = large.extents.at(-2);
    if (l2?.kind !== 'bytes') throw new Error('no table');
    const last = new DataView(l2.bytes.buffer).getBigUint64(l2.bytes.length - 8);
    expect(last).toBe((1n << 63n) | BigInt(large.imageSize - UNIT));
  });
});

describe('openQcow2', () => {
  it('gives back the disk', async () => {
    const disk = await openQcow2(memoryDisk(image));
    expect(disk?.size).toBe(SIZE);
    const expected = new Uint8Array(SIZE);
    expected.set([1, 2, 3], 512);
    expected.fill(0x44, 3 * UNIT, 5 * UNIT);
    expected.fill(0x46, 20 * UNIT - 1, 20 * UNIT + 1);
    const whole = await disk?.read(0, SIZE + 1000);
    expect(Buffer.compare(whole as Uint8Array, expected)).toBe(0);
    expect(await disk?.read(20 * UNIT - 2, 4)).toEqual(Uint8Array.of(0, 0x46, 0x46, 0));
    expect(await disk?.read(SIZE - 1, 4)).toEqual(Uint8Array.of(0));
    expect(await disk?.read(SIZE, 4)).toHaveLength(0);
    expect(await disk?.read(SIZE + 5, 4)).toHaveLength(0);
  });

  it('is not for what is no qcow2', async () => {
    expect(await openQcow2(memoryDisk(new Uint8Array(4096)))).toBeUndefined();
    expect(await openQcow2(memoryDisk(new Uint8Array()))).toBeUndefined();
  });

  it('takes what lies behind the end of the file as zeros, as QEMU does', async () => {
    const disk = await openQcow2(memoryDisk(image.slice(0, image.length - UNIT + 100)));
    expect(await disk?.read(20 * UNIT - 1, 300)).toEqual(
      Uint8Array.from({ length: 300 }, (_, i) => (i < 2 ? 0x46 : 0)),
    );
  });

  const changed = (change: (view: DataView) => void): Uint8Array => {
    const copy = image.slice();
    change(new DataView(copy.buffer));
    return copy;
  };
  const readAll = async (bytes: Uint8Array) => {
    const disk = await openQcow2(memoryDisk(bytes));
    return disk?.read(0, disk.size);
  };

  it.each<[string, (view: DataView) => void, string]>([
    ['another version', (v) => v.setUint32(4, 4), 'version 4 is not known'],
    ['version 1', (v) => v.setUint32(4, 1), 'version 1 is not known'],
    ['a backing file', (v) => v.setUint32(12, 512), 'no file that an image names is opened'],
    ['encryption', (v) => v.setUint32(32, 2), 'it has the encryption of qcow2 itself'],
    ['the feature 0', (v) => v.setUint32(76, 1), 'it has the feature "dirty"'],
    ['the feature 1', (v) => v.setUint32(76, 2), 'it has the feature "corrupt"'],
    ['the feature 2', (v) => v.setUint32(76, 4), 'it has the feature "external data file"'],
    ['the feature 3', (v) => v.setUint32(76, 8), 'it has the feature "compression type"'],
    ['the feature 4', (v) => v.setUint32(76, 16), 'it has the feature "extended L2 entries"'],
    ['the feature 63', (v) => v.setUint32(72, 0x80000000), 'it has the unknown feature 63'],
    ['clusters of 256 bytes', (v) => v.setUint32(20, 8), 'clusters of 2^8 bytes'],
    ['clusters of 4 MiB', (v) => v.setUint32(20, 22), 'clusters of 2^22 bytes'],
    ['clusters without end', (v) => v.setUint32(20, 0xffffffff), 'clusters of 2^4294967295 bytes'],
    ['a disk without end', (v) => v.setUint32(24, 0xffffffff), 'a disk of 18446744069415'],
    ['a disk larger than its table', (v) => v.setUint32(24, 1), 'its first table has 1 entries, and the disk needs 9'],
    ['no table', (v) => v.setUint32(36, 0), 'its first table has 0 entries'],
    ['a table beyond the end', (v) => v.setUint32(40, 1), 'its first table is not there'],
    ['an L1 entry within a cluster', (v) => v.setUint32(3 * UNIT + 4, 4 * UNIT + 512), 'entry 0 of a table (L1)'],
    ['an L1 entry with a reserved bit', (v) => v.setUint32(3 * UNIT, 0x81000000), 'entry 0 of a table (L1)'],
    ['an L1 entry beyond the end', (v) => v.setUint32(3 * UNIT, 1), 'beyond the end of the file'],
    ['an L2 entry beyond the end', (v) => v.setUint32(4 * UNIT + 28, 26 * UNIT), 'entry 3 of a table (L2) is beyond'],
    ['an L2 entry with a reserved bit', (v) => v.setUint32(4 * UNIT + 28, 8 * UNIT + 2), 'entry 3 of a table (L2)'],
    ['a compressed cluster', (v) => v.setUint32(4 * UNIT + 24, 0x40000000), 'it has compressed clusters'],
  ])('refuses %s', async (_, change, message) => {
    await expect(readAll(changed(change))).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
      hint: expect.stringContaining('qemu-img convert'),
    });
  });

  it('refuses a first table of more than 32 MiB', async () => {
    const huge = (entries: number) =>
      changed((v) => {
        v.setUint32(20, 9);
        v.setBigUint64(24, BigInt(entries) * 512n * 64n);
        v.setUint32(36, 0xffffffff);
      });
    await expect(readAll(huge(2 ** 22 + 1))).rejects.toMatchObject({
      message: expect.stringMatching(/would need 4194305 entries/),
    });
    await expect(readAll(huge(2 ** 22))).rejects.toMatchObject({
      message: expect.stringMatching(/ends after \d+ bytes, before the end of the first table/),
    });
  });

  it('refuses a second table that the file ends in', async () => {
    const cut = changed((v) => v.setUint32(3 * UNIT + 4, 25 * UNIT)).slice(0, 26 * UNIT - 1);
    await expect(readAll(cut)).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringMatching(/before the end of a second table/),
    });
    await expect(readAll(image.slice(0, 103))).rejects.toMatchObject({
      message: expect.stringMatching(/it ends within its header/),
    });
  });

  it('reads clusters that are said to be zeros as zeros, in version 3 only', async () => {
    const zeros = changed((v) => v.setUint32(4 * UNIT + 4, v.getUint32(4 * UNIT + 4) | 1));
    expect((await readAll(zeros))?.subarray(512, 515)).toEqual(new Uint8Array(3));
    new DataView(zeros.buffer).setUint32(4, 2);
    await expect(readAll(zeros)).rejects.toMatchObject({ message: expect.stringMatching(/entry 0 of a table .L2./) });
  });

  it('reads version 2, whatever stands where version 3 has its features', async () => {
    const old = changed((v) => {
      v.setUint32(4, 2);
      v.setUint32(76, 0xff);
    });
    expect((await readAll(old))?.subarray(512, 515)).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe('what is read of a qcow2 image', () => {
  /** An image that notes where it is read. */
  function watched(bytes: Uint8Array) {
    const reads: [number, number][] = [];
    const { size, read } = memoryDisk(bytes);
    const disk = {
      size,
      read: (at: number, length: number) => {
        reads.push([at, length]);
        return read(at, length);
      },
    };
    return { disk, taken: () => reads.splice(0) };
  }

  it('is each table once, clusters that lie behind each other at once, and nothing of those that are not there', async () => {
    const { disk, taken } = watched(image);
    const guest = await openQcow2(disk);
    expect(taken()).toEqual([
      [0, 104],
      [3 * UNIT, 8],
    ]);
    await guest?.read(3 * UNIT + 5, 2 * UNIT - 10);
    expect(taken()).toEqual([
      [4 * UNIT, UNIT],
      [DATA_AT + 3 * UNIT + 5, 2 * UNIT - 10],
    ]);
    await guest?.read(0, 3 * UNIT);
    expect(taken()).toEqual([[DATA_AT, UNIT]]);
    await guest?.read(UNIT, 2 * UNIT);
    expect(taken()).toEqual([]);
    await guest?.read(2 * UNIT + 7, 2 * UNIT);
    expect(taken()).toEqual([[DATA_AT + 3 * UNIT, UNIT + 7]]);
    await guest?.read(3 * UNIT, UNIT);
    expect(taken()).toEqual([[DATA_AT + 3 * UNIT, UNIT]]);
  });

  it.each([
    [9, 4200],
    [21, 2],
  ])('is the disk, with clusters of 2^%d bytes in reverse order', async (bits, count) => {
    const { bytes, disk: expected, clusterSize, tables, at } = oddImage(bits, count);
    const { disk, taken } = watched(bytes);
    const guest = await openQcow2(disk);
    expect(Buffer.compare((await guest?.read(0, expected.length)) ?? bytes, expected)).toBe(0);
    const ofTables = taken().filter(([place]) => place >= tables.l2);
    expect(ofTables).toHaveLength((bytes.length - tables.l2) / clusterSize);
    const [from, to] = [clusterSize - 3, clusterSize + 4];
    expect(await guest?.read(from, to - from)).toEqual(expected.slice(from, to));
    expect(taken()).toEqual([
      [at(0) + clusterSize - 3, 3],
      [at(1), 4],
    ]);
  });

  it('is no second table where the first names none', async () => {
    const { bytes, view, clusterSize, tables } = oddImage(9, 200);
    view.setBigUint64(tables.l1 + 8, 0n);
    const guest = await openQcow2(memoryDisk(bytes));
    expect(await guest?.read(64 * clusterSize - 1, 2)).toEqual(Uint8Array.of(64, 0));
    expect(await guest?.read(128 * clusterSize - 1, 2)).toEqual(Uint8Array.of(0, 129));
  });

  it('is nothing of what only begins like one', async () => {
    expect(await openQcow2(memoryDisk(Uint8Array.of(0x51, 0x46, 0x49, 0xfa, ...new Uint8Array(200))))).toBeUndefined();
    await expect(openQcow2(memoryDisk(image.slice(0, 103)))).rejects.toThrow('it ends within its header');
    const cut = image.slice(0, 3 * UNIT);
    await expect(openQcow2(memoryDisk(cut))).rejects.toThrow('its first table is not there');
  });
});
