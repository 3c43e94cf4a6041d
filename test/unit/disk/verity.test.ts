import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { readGpt } from '../../../src/core/disk/read-gpt.ts';
import { type VerityTree, verityGuids, veritySuperblock, verityTree } from '../../../src/core/disk/verity.ts';
import { planVerity } from '../../../src/core/disk/verity-disk.ts';
import { printVerityManifest, verityManifest } from '../../../src/core/disk/verity-manifest.ts';
import { bytesToHex, hexToBytes } from '../../../src/core/hex.ts';
import { imageOf } from '../../disk-bytes.ts';
import { failure } from '../../failure.ts';
import { vectors } from '../../fixtures.ts';
import { memoryDisk, seededRandom } from '../../luks-image.ts';
import { numberedBlocks, type VerityVectors } from '../../verity-data.ts';

const BLOCK = 4096;
const MIB = 1 << 20;
const { salt, uuid, cases } = vectors<VerityVectors>('verity.json');
const SALT = hexToBytes(salt);
const ROOT_HEX = '00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0';
const ROOT = hexToBytes(ROOT_HEX);

describe('verityTree', () => {
  it.each<[number, [at: number, blocks: number][], size: number]>([
    [1, [], 1],
    [2, [[1, 1]], 2],
    [127, [[1, 1]], 2],
    [128, [[1, 1]], 2],
    [129, [[2, 2], [1, 1]], 4], // biome-ignore format: one level a pair
    [16384, [[2, 128], [1, 1]], 130], // biome-ignore format: one level a pair
    [16385, [[4, 129], [2, 2], [1, 1]], 133], // biome-ignore format: one level a pair
    [2 ** 31, [[132106, 2 ** 24], [1034, 2 ** 17], [10, 1024], [2, 8], [1, 1]], 132106 + 2 ** 24], // biome-ignore format: one level a pair
  ])('has its levels where %i blocks want them', (dataBlocks, levels, size) => {
    const expected = {
      dataBlocks,
      levels: levels.map(([at, blocks]) => ({ at: at * BLOCK, blocks })),
      size: size * BLOCK,
    };
    expect(verityTree(dataBlocks * BLOCK)).toEqual(expected);
    expect(verityTree((dataBlocks - 1) * BLOCK + 1)).toEqual(expected);
  });

  it.each([0, -0, -1, -4096, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('takes no %d bytes', (size) => {
    expect(failure(() => verityTree(size))).toMatchObject({
      kind: 'usage',
      message: expect.stringContaining('needs data'),
    });
  });
});

/** The whole hash area, in memory and one digest after the other. */
function hashArea(data: Uint8Array, tree: VerityTree): { readonly root: Uint8Array; readonly area: Uint8Array } {
  const digest = (block: Uint8Array) => createHash('sha256').update(SALT).update(block).digest();
  const area = new Uint8Array(tree.size);
  area.set(veritySuperblock(tree, uuid, SALT));
  let below = data;
  for (const { at, blocks } of tree.levels) {
    for (let i = 0; i < below.length / BLOCK; i++) {
      area.set(digest(below.subarray(i * BLOCK, (i + 1) * BLOCK)), at + i * 32);
    }
    below = area.subarray(at, at + blocks * BLOCK);
  }
  return { root: digest(below), area };
}

describe('tree and superblock', () => {
  it.each(cases)('are those of veritysetup for $blocks blocks', ({ blocks, rootHash, treeBytes, treeSha256 }) => {
    const data = numberedBlocks(blocks);
    const { root, area } = hashArea(data, verityTree(data.length));
    expect(bytesToHex(root)).toBe(rootHash);
    expect(area).toHaveLength(treeBytes);
    expect(createHash('sha256').update(area).digest('hex')).toBe(treeSha256);
  });

  it('have the fields of veritysetup', () => {
    const known = cases.find(({ superblock }) => superblock !== undefined);
    const block = veritySuperblock(verityTree(129 * BLOCK), uuid, SALT);
    expect(bytesToHex(block.subarray(0, 512))).toBe(known?.superblock);
    expect(block).toHaveLength(BLOCK);
    expect(block.subarray(512).every((byte) => byte === 0)).toBe(true);
  });
});

describe('verityGuids', () => {
  it('are the first and the last half of the root hash, as text', () => {
    expect(verityGuids(ROOT)).toEqual({
      root: '00112233-4455-6677-8899-aabbccddeeff',
      verity: '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0',
    });
  });
});

const ESP = { files: [{ kind: 'file', name: 'BOOT.EFI', size: 5, source: 'EFI' }], size: 34 * MIB } as const;

describe('planVerity', () => {
  it('puts the tree behind the data', () => {
    const plan = planVerity(129 * BLOCK - 1, undefined, seededRandom(7));
    expect(plan).toMatchObject({ dataAt: 0, hashAt: 129 * BLOCK, diskSize: 133 * BLOCK, tree: { dataBlocks: 129 } });
    expect(plan.extents).toEqual([
      { kind: 'bytes', file: 'image', at: 129 * BLOCK, bytes: veritySuperblock(plan.tree, plan.uuid, plan.salt) },
    ]);
    expect(plan.finish(ROOT)).toEqual({ extents: [], partitionTable: undefined });
    expect(plan.salt).toHaveLength(32);
  });

  it('shares no salt and no UUID with other disks', () => {
    const random = seededRandom(7);
    const [first, second] = [planVerity(1, undefined, random), planVerity(1, undefined, random)];
    expect(first.uuid).not.toBe(second.uuid);
    expect(first.salt).not.toEqual(second.salt);
    expect(planVerity(1, undefined, seededRandom(7))).toMatchObject({ uuid: first.uuid, salt: first.salt });
  });

  it.each([
    ['x86-64', '4f68bce3-e8cd-4db1-96e7-fbcaf984b709', '2c7357ed-ebd2-46d9-aec1-23d437ec2bf5'],
    ['arm64', 'b921b045-1df0-41c3-af44-4c6f280d3fae', 'df3300ce-d69f-4c92-978c-9bfb0f38d820'],
  ] as const)('gives partitions of %s the GUIDs of the root hash', async (architecture, root, verity) => {
    const plan = planVerity(300 * BLOCK, { architecture, esp: undefined }, seededRandom(7));
    expect(plan).toMatchObject({ dataAt: MIB, hashAt: 3 * MIB, diskSize: 4 * MIB });
    const { extents, partitionTable } = plan.finish(ROOT);
    const gpt = await readGpt(memoryDisk(imageOf(plan.diskSize, [...plan.extents, ...extents])));
    const { root: dataGuid, verity: hashGuid } = verityGuids(ROOT);
    expect(gpt?.partitions).toMatchObject([
      { name: `root-${architecture}`, type: root, guid: dataGuid, at: MIB, size: 300 * BLOCK, attributes: 1n << 60n },
      {
        ...{ name: `root-${architecture}-verity`, type: verity, guid: hashGuid, at: 3 * MIB, size: plan.tree.size },
        attributes: 1n << 60n,
      },
    ]);
    expect(partitionTable?.guid).toBe(gpt?.guid);
    expect(partitionTable?.partitions.map(({ guid, offset }) => [guid, offset])).toEqual([
      [dataGuid, MIB],
      [hashGuid, 3 * MIB],
    ]);
    expect([dataGuid, hashGuid, plan.uuid]).not.toContain(gpt?.guid);
  });

  it('puts the EFI system partition before both', async () => {
    const plan = planVerity(BLOCK, { architecture: 'x86-64', esp: ESP }, seededRandom(7));
    const { extents, partitionTable } = plan.finish(ROOT);
    expect(partitionTable?.partitions.map(({ number, name, offset }) => [number, name, offset])).toEqual([
      [1, 'esp', MIB],
      [2, 'root-x86-64', 35 * MIB],
      [3, 'root-x86-64-verity', 36 * MIB],
    ]);
    expect(plan).toMatchObject({ dataAt: 35 * MIB, hashAt: 36 * MIB });
    const image = imageOf(plan.diskSize, [...plan.extents, ...extents]);
    expect((await readGpt(memoryDisk(image)))?.partitions).toHaveLength(3);
    expect(plan.extents.find(({ kind }) => kind === 'file')).toMatchObject({ size: 5, source: 'EFI' });
    expect(bytesToHex(image.subarray(36 * MIB, 36 * MIB + 8))).toBe('7665726974790000');
    // A boot sector of FAT: the partition is where the table says.
    expect(bytesToHex(image.subarray(MIB + 510, MIB + 512))).toBe('55aa');
  });

  it('takes no partition of broken MiB', () => {
    const gpt = { architecture: 'x86-64', esp: { ...ESP, size: 34 * MIB + 512 } } as const;
    expect(failure(() => planVerity(1, gpt, seededRandom(7))).message).toContain('not whole MiB');
  });
});

describe('verityManifest', () => {
  const said = { testOnly: false, image: 'disk.img', partitionTable: null, payload: { bytes: 5000, what: null } };

  it('says what the command line must say', () => {
    const plan = planVerity(5000, undefined, seededRandom(7));
    expect(verityManifest(plan, ROOT, said)).toEqual({
      ...{ format: 'bootseal-verity-1', ...said, imageBytes: 4 * BLOCK },
      verity: {
        ...{ rootHash: ROOT_HEX, algorithm: 'sha256', salt: bytesToHex(plan.salt), uuid: plan.uuid },
        ...{ blockBytes: 4096, dataBlocks: 2, dataOffset: 0, hashOffset: 8192 },
      },
      cmdline: `roothash=${ROOT_HEX} systemd.verity_root_options=hash-offset=8192`,
    });
  });

  it('needs no places where there are partitions', () => {
    const plan = planVerity(5000, { architecture: 'x86-64', esp: undefined }, seededRandom(7));
    const { partitionTable = null } = plan.finish(ROOT);
    const manifest = verityManifest(plan, ROOT, { ...said, partitionTable });
    expect(manifest.cmdline).toBe(`roothash=${ROOT_HEX}`);
    expect(manifest.verity).toMatchObject({ dataOffset: MIB, hashOffset: 2 * MIB });
    expect(JSON.parse(printVerityManifest(manifest))).toEqual(manifest);
    expect(printVerityManifest(manifest)).toMatch(/^\{\n {2}"format".*\n\}\n$/s);
  });
});
