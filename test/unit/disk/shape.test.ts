import { describe, expect, it } from 'vitest';
import { findLuks } from '../../../src/core/disk/luks-partition.ts';
import { readGpt } from '../../../src/core/disk/read-gpt.ts';
import { bareDisk, gptDisk, sparseDisk } from '../../../src/core/disk/shape.ts';
import { noUnits } from '../../../src/core/disk/units.ts';
import { type PlanOptions, plan } from '../../../src/core/luks/plan.ts';
import { nodeLuksCrypto } from '../../../src/host/node-luks.ts';
import { imageOf } from '../../disk-bytes.ts';
import { memoryDisk, seededRandom } from '../../luks-image.ts';

const MIB = 1 << 20;
const options = (over: Partial<PlanOptions> = {}): PlanOptions => ({
  version: 2,
  dataSize: 8192,
  keySize: 64,
  sectorSize: 4096,
  detached: false,
  headerSize: MIB,
  keys: [{ passphrase: Uint8Array.of(1, 2, 3), kdf: { type: 'pbkdf2', iterations: 1000 } }],
  ...over,
});
const ESP = { files: [{ kind: 'file', name: 'BOOT.EFI', size: 5, source: 'EFI' }], size: 34 * MIB } as const;

async function shaped(over: Partial<PlanOptions> = {}, esp: Parameters<typeof gptDisk>[1]['esp'] = undefined) {
  const random = seededRandom(7);
  const planned = await plan(options(over), random, nodeLuksCrypto);
  return { planned, disk: gptDisk(planned, { architecture: 'x86-64', esp }, random) };
}

describe('gptDisk', () => {
  it('moves the LUKS image into the root partition', async () => {
    const { planned, disk } = await shaped();
    const image = imageOf(disk.imageSize, disk.extents);
    const gpt = await readGpt(memoryDisk(image));
    expect(gpt?.partitions).toHaveLength(1);
    expect(gpt?.partitions[0]).toMatchObject({
      name: 'root-x86-64',
      type: '4f68bce3-e8cd-4db1-96e7-fbcaf984b709',
      at: MIB,
      size: planned.imageSize,
      attributes: 0n,
    });
    const inside = image.subarray(MIB, MIB + planned.imageSize);
    expect(Buffer.compare(inside, imageOf(planned.imageSize, planned.extents))).toBe(0);
    expect(disk.sectors).toBe(planned.sectors);
    expect(disk.partitionTable).toEqual({
      type: 'gpt',
      guid: gpt?.guid,
      partitions: gpt?.partitions.map(({ number, name, type, guid, at, size }) => {
        return { number, name, type, guid, offset: at, bytes: size, attributes: '0x0' };
      }),
    });
  });

  it('puts the EFI system partition before it and the tables last', async () => {
    const { disk } = await shaped({}, ESP);
    const [esp, root] = disk.partitionTable?.partitions ?? [];
    expect([esp?.name, esp?.type, esp?.offset, esp?.bytes]).toEqual([
      'esp',
      'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
      MIB,
      34 * MIB,
    ]);
    expect(root?.offset).toBe(35 * MIB);
    expect(new Set([esp?.guid, root?.guid, disk.partitionTable?.guid]).size).toBe(3);
    expect(disk.extents.slice(-2).map(({ at }) => at)).toEqual([disk.imageSize - 33 * 512, 0]);
    const file = disk.extents.find(({ kind }) => kind === 'file');
    expect(file).toMatchObject({ file: 'image', size: 5, source: 'EFI' });
    expect(file?.at).toBe(MIB + (32 + 2 * 536 + 1) * 512);
    const image = imageOf(disk.imageSize, disk.extents);
    expect(new DataView(image.buffer).getUint32(MIB + 67, true)).not.toBe(0);
  });

  it('is the same for the same randomness', async () => {
    const [first, second] = [await shaped({}, ESP), await shaped({}, ESP)];
    const [a, b] = [first, second].map(({ disk }) => imageOf(disk.imageSize, disk.extents));
    expect(Buffer.compare(a as Uint8Array, b as Uint8Array)).toBe(0);
    expect(first.disk.partitionTable).toEqual(second.disk.partitionTable);
  });

  it('leaves a detached header where it is', async () => {
    const { planned, disk } = await shaped({ detached: true });
    const header = ({ extents }: { extents: readonly { file: string; at: number }[] }) =>
      extents.filter(({ file }) => file === 'header').map(({ at }) => at);
    expect(header(disk)).toEqual(header(planned));
    expect(disk.partitionTable?.partitions[0]?.bytes).toBe(8192);
  });

  it.each([
    [[], 64],
    [[{ kind: 'file', name: 'X', size: 40 * MIB, source: 'X' }], 82],
    [[{ kind: 'folder', name: 'F', entries: [{ kind: 'file', name: 'X', size: 40 * MIB - 32768, source: 'X' }] }], 82],
  ] as const)('makes room for other files: %o', async (files, expected) => {
    const { disk } = await shaped({}, { files, size: undefined });
    expect(disk.partitionTable?.partitions[0]?.bytes).toBe(expected * MIB);
  });

  it('refuses an EFI system partition of half a MiB', async () => {
    await expect(shaped({}, { files: [], size: 64.5 * MIB })).rejects.toMatchObject({
      kind: 'usage',
      message: 'an EFI system partition of 67633152 bytes is not whole MiB',
    });
  });

  it('knows arm64', async () => {
    const planned = await plan(options(), seededRandom(7), nodeLuksCrypto);
    const disk = gptDisk(planned, { architecture: 'arm64', esp: undefined }, seededRandom(8));
    expect(disk.partitionTable?.partitions[0]).toMatchObject({
      name: 'root-arm64',
      type: 'b921b045-1df0-41c3-af44-4c6f280d3fae',
    });
  });

  it('leaves out no sector of data that have integrity tags', async () => {
    const planned = await plan(options({ integrity: 'hmac' }), seededRandom(7), nodeLuksCrypto);
    expect(() => sparseDisk(bareDisk(planned), noUnits(8192))).toThrow('with --integrity no sector can be left out');
  });

  it('says which units of the data are used', async () => {
    const planned = await plan(options(), seededRandom(7), nodeLuksCrypto);
    const used = noUnits(8192);
    const kinds = sparseDisk(bareDisk(planned), used).extents.map((extent) => [extent.kind, 'used' in extent]);
    expect(kinds).toEqual([['data', true], ...Array(3).fill(['bytes', false])]);
  });

  it('leaves a bare disk as it is', async () => {
    const planned = await plan(options(), seededRandom(7), nodeLuksCrypto);
    expect(bareDisk(planned)).toEqual({
      ...planned,
      ...{ partitionTable: undefined, format: 'raw', diskSize: planned.imageSize },
    });
  });
});

describe('findLuks', () => {
  const find = (image: Uint8Array, partition?: number, detached = false) =>
    findLuks(memoryDisk(image), { partition, detached });

  it('finds the partition with the header', async () => {
    const { planned, disk } = await shaped({}, ESP);
    const found = await find(imageOf(disk.imageSize, disk.extents));
    expect(found.partition?.number).toBe(2);
    expect(found.disk.size).toBe(planned.imageSize);
    expect([...(await found.disk.read(0, 4))]).toEqual([0x4c, 0x55, 0x4b, 0x53]);
    // The partition is all that can be seen.
    expect(await found.disk.read(planned.imageSize - 1, 10)).toHaveLength(1);
    expect(await found.disk.read(planned.imageSize + 1, 10)).toHaveLength(0);
  });

  it('takes a whole disk for what it is', async () => {
    const { planned } = await shaped();
    const image = imageOf(planned.imageSize, planned.extents);
    expect(await find(image)).toMatchObject({ disk: { size: image.length }, partition: undefined });
    expect((await find(new Uint8Array(5))).partition).toBeUndefined();
    await expect(find(image, 1)).rejects.toMatchObject({
      kind: 'usage',
      message: expect.stringMatching(/no partition table/),
    });
  });

  it('takes the root for a detached header', async () => {
    const { disk } = await shaped({ detached: true }, ESP);
    const image = imageOf(disk.imageSize, disk.extents);
    expect((await find(image, undefined, true)).partition?.number).toBe(2);
    await expect(find(image)).rejects.toMatchObject({
      kind: 'format',
      message: 'no partition of the disk has a LUKS header',
    });
    expect((await find(image, 1)).partition?.name).toBe('esp');
  });

  it('does not choose between several, and names them', async () => {
    const { disk } = await shaped({}, ESP);
    const image = imageOf(disk.imageSize, disk.extents);
    image.set([0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe], MIB);
    await expect(find(image)).rejects.toMatchObject({
      kind: 'usage',
      message: 'it may be each of the partitions 1 ("esp"), 2 ("root-x86-64")',
    });
    expect((await find(image, 2)).partition?.number).toBe(2);
    await expect(find(image, 3)).rejects.toMatchObject({
      kind: 'usage',
      message: 'the disk has no partition 3',
      hint: 'there are: 1 ("esp"), 2 ("root-x86-64")',
    });
  });
});
