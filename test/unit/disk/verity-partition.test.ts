import { describe, expect, it } from 'vitest';
import { encodeGpt, placePartitions } from '../../../src/core/disk/gpt.ts';
import { ROOT_TYPES } from '../../../src/core/disk/partition-types.ts';
import { parseVerityManifest } from '../../../src/core/disk/verity-manifest.ts';
import { findVerity, spelledRootHash, spells } from '../../../src/core/disk/verity-partition.ts';
import { bytesToHex, hexToBytes } from '../../../src/core/hex.ts';
import { failure } from '../../failure.ts';
import { memoryDisk, seededRandom } from '../../luks-image.ts';
import { numberedBlocks, sampleTree } from '../../verity-data.ts';

const BLOCK = 4096;
const NOTHING = { hashOffset: undefined, rootHash: undefined };
const { root, verity } = ROOT_TYPES['x86-64'];
const arm = ROOT_TYPES.arm64;
const random = seededRandom(5);
const anyGuid = () => {
  const hex = bytesToHex(random(16));
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
};

/** A data partition and its tree, with the GUIDs that belong to its root hash. */
function pair(blocks: number, types = { root, verity }) {
  const data = numberedBlocks(blocks);
  const { hashes, rootHash } = sampleTree(data);
  const hex = bytesToHex(rootHash);
  const guid = (text: string) =>
    [text.slice(0, 8), text.slice(8, 12), text.slice(12, 16), text.slice(16, 20), text.slice(20)].join('-');
  return {
    rootHash,
    data: { type: types.root, guid: guid(hex.slice(0, 32)), bytes: data },
    tree: { type: types.verity, guid: guid(hex.slice(32)), bytes: hashes },
  };
}

function gptDisk(parts: readonly { type: string; guid: string; bytes: Uint8Array }[]) {
  const wanted = parts.map(({ type, guid, bytes }) => ({ type, guid, name: 'x', size: bytes.length, attributes: 0n }));
  const places = placePartitions(wanted);
  const image = new Uint8Array(places.diskSize);
  for (const [i, { at }] of places.partitions.entries()) image.set(parts[i]?.bytes ?? [], at);
  for (const { at, bytes } of encodeGpt(places, anyGuid())) image.set(bytes, at);
  return memoryDisk(image);
}

describe('findVerity on a disk without partitions', () => {
  const data = numberedBlocks(3);
  const { hashes } = sampleTree(data, { hashAt: data.length });
  const image = hashes.slice();
  image.set(data);

  it('takes the place that is given', async () => {
    const found = await findVerity(memoryDisk(image), { ...NOTHING, hashOffset: 3 * BLOCK });
    expect(found).toMatchObject({ hashAt: 3 * BLOCK, partitions: undefined });
    expect([found?.data.size, found?.hashes.size]).toEqual([3 * BLOCK, image.length]);
    expect(await findVerity(memoryDisk(image), { ...NOTHING, hashOffset: 2 * BLOCK })).toBeUndefined();
    expect(await findVerity(memoryDisk(image), NOTHING)).toBeUndefined();
  });

  it.each([
    [12, 3 * BLOCK],
    [9, 3 * BLOCK],
    [8, undefined],
    [13, undefined],
  ])('looks behind a file system of %i KiB', async (kibibytes, expected) => {
    const disk = image.slice();
    const view = new DataView(disk.buffer);
    view.setUint16(1024 + 56, 0xef53, true);
    view.setUint32(1024 + 4, kibibytes, true);
    view.setUint32(1024 + 24, 0, true);
    view.setUint32(1024 + 96, 0, true);
    expect((await findVerity(memoryDisk(disk), NOTHING))?.hashAt).toBe(expected);
  });
});

describe('findVerity in a GPT', () => {
  it('takes the root and its tree', async () => {
    const { data, tree } = pair(2);
    const esp = { type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b', guid: anyGuid(), bytes: new Uint8Array(512) };
    const found = await findVerity(gptDisk([esp, data, tree]), NOTHING);
    expect(found?.partitions).toMatchObject({ data: { number: 2 }, tree: { number: 3 } });
    expect([found?.data.size, found?.hashes.size, found?.hashAt]).toEqual([2 * BLOCK, 2 * BLOCK, 0]);
    expect(Buffer.compare((await (found?.data.read(0, 2 * BLOCK) ?? [])) as Uint8Array, data.bytes)).toBe(0);
  });

  it('finds neither where one is missing, of another machine, or no tree', async () => {
    const { data, tree } = pair(2);
    const other = pair(2, arm);
    expect(await findVerity(gptDisk([data]), NOTHING)).toBeUndefined();
    expect(await findVerity(gptDisk([tree]), NOTHING)).toBeUndefined();
    expect(await findVerity(gptDisk([data, other.tree]), NOTHING)).toBeUndefined();
    expect(await findVerity(gptDisk([data, { ...tree, bytes: new Uint8Array(BLOCK) }]), NOTHING)).toBeUndefined();
    expect(await findVerity(gptDisk([other.data, other.tree]), NOTHING)).toBeDefined();
  });

  it('lets the root hash choose among several', async () => {
    const [one, two] = [pair(2), pair(3)];
    const disk = gptDisk([one.data, one.tree, two.data, two.tree]);
    for (const [rootHash, number] of [
      [one.rootHash, 1],
      [two.rootHash, 3],
    ] as const) {
      const found = await findVerity(disk, { ...NOTHING, rootHash });
      expect(found?.partitions).toMatchObject({ data: { number }, tree: { number: number + 1 } });
    }
    for (const rootHash of [undefined, new Uint8Array(32)]) {
      await expect(findVerity(disk, { ...NOTHING, rootHash })).rejects.toMatchObject({
        kind: 'usage',
        message: 'the disk has several roots with hash trees: 1 with 2, 3 with 2, 1 with 4, 3 with 4',
        hint: expect.stringContaining('--root-hash'),
      });
    }
  });

  it('takes the only pair under any GUID', async () => {
    const { data, tree, rootHash } = pair(2);
    const disk = gptDisk([{ ...data, guid: anyGuid() }, tree]);
    const found = await findVerity(disk, { ...NOTHING, rootHash });
    expect(found?.partitions?.data.number).toBe(1);
    expect(found?.partitions !== undefined && spells(found.partitions, rootHash)).toBe(false);
  });
});

describe('spells', () => {
  it('holds when both GUIDs are the halves', async () => {
    const { data, tree, rootHash } = pair(2);
    expect(spells({ data, tree }, rootHash)).toBe(true);
    expect(spells({ data: { guid: anyGuid() }, tree }, rootHash)).toBe(false);
    expect(spells({ data, tree: { guid: anyGuid() } }, rootHash)).toBe(false);
    const partitions = (await findVerity(gptDisk([data, tree]), NOTHING))?.partitions;
    expect(partitions === undefined ? '' : spelledRootHash(partitions)).toBe(bytesToHex(rootHash));
  });

  it('goes by the first and the last 128 bits of a longer one', () => {
    const long = hexToBytes(`${'11'.repeat(16)}${'22'.repeat(32)}${'33'.repeat(16)}`);
    const guid = (digit: string) =>
      `${digit.repeat(8)}-${digit.repeat(4)}-${digit.repeat(4)}-${digit.repeat(4)}-${digit.repeat(12)}`;
    expect(spells({ data: { guid: guid('1') }, tree: { guid: guid('3') } }, long)).toBe(true);
  });
});

describe('parseVerityManifest', () => {
  const verity = {
    ...{ rootHash: '0123456789abcdef'.repeat(4), salt: 'aa', uuid: '01234567-89ab-cdef-0011-223344556677' },
    ...{ dataBlocks: 3, dataOffset: 0, hashOffset: 12288 },
  };
  const manifest = { format: 'bootseal-verity-1', partitionTable: null, verity };
  const parse = (value: unknown) => parseVerityManifest(JSON.stringify(value), 'm');

  it('returns what a disk is held against', () => {
    expect(parse({ ...manifest, verity: { ...verity, more: 1 } })).toEqual({
      ...verity,
      partitioned: false,
      partitionTable: null,
    });
    expect(parse({ ...manifest, partitionTable: { type: 'gpt' } })).toEqual({
      ...{ ...verity, partitioned: true },
      partitionTable: { type: 'gpt' },
    });
    expect(parse({ ...manifest, verity: { ...verity, salt: '' } })?.salt).toBe('');
    expect(parse({ ...manifest, verity: { ...verity, salt: '0f'.repeat(256) } })?.salt).toHaveLength(512);
  });

  it('passes that of another disk by', () => {
    expect(parse({ format: 'bootseal-image-1', header: {} })).toBeUndefined();
    expect(parse({})).toBeUndefined();
  });

  it.each<[unknown, string]>([
    [null, 'is no JSON object'],
    [7, 'is no JSON object'],
    ['bootseal-verity-1', 'is no JSON object'],
    [{ format: 'bootseal-verity-1' }, 'verity.rootHash is no root hash'],
    [{ ...manifest, verity: null }, 'verity.rootHash is no root hash'],
    [{ ...manifest, verity: 'x' }, 'verity.rootHash is no root hash'],
    [{ ...manifest, verity: { ...verity, rootHash: verity.rootHash.slice(1) } }, 'verity.rootHash is no root hash'],
    [{ ...manifest, verity: { ...verity, rootHash: `${verity.rootHash}0` } }, 'verity.rootHash is no root hash'],
    [
      { ...manifest, verity: { ...verity, rootHash: `${verity.rootHash.slice(1)}G` } },
      'verity.rootHash is no root hash',
    ],
    [{ ...manifest, verity: { ...verity, rootHash: [verity.rootHash] } }, 'verity.rootHash is no root hash'],
    [{ ...manifest, verity: { ...verity, salt: 'a' } }, 'verity.salt is no salt'],
    [{ ...manifest, verity: { ...verity, salt: 'aa'.repeat(257) } }, 'verity.salt is no salt'],
    [{ ...manifest, verity: { ...verity, salt: 7 } }, 'verity.salt is no salt'],
    [{ ...manifest, verity: { ...verity, uuid: 'x' } }, 'verity.uuid is no UUID'],
    [{ ...manifest, verity: { ...verity, uuid: `${verity.uuid}0` } }, 'verity.uuid is no UUID'],
    [{ ...manifest, verity: { ...verity, dataBlocks: -1 } }, 'verity has no sizes'],
    [{ ...manifest, verity: { ...verity, dataOffset: '0' } }, 'verity has no sizes'],
    [{ ...manifest, verity: { ...verity, hashOffset: 1.5 } }, 'verity has no sizes'],
    [{ ...manifest, verity: { ...verity, hashOffset: 2 ** 53 } }, 'verity has no sizes'],
  ])('refuses %j', (value, message) => {
    expect(failure(() => parse(value))).toMatchObject({ kind: 'format', message: `m: ${message}` });
  });

  it('refuses what is no JSON', () => {
    expect(failure(() => parseVerityManifest('{', 'm'))).toMatchObject({
      kind: 'format',
      message: 'm: is no JSON object',
    });
  });
});
