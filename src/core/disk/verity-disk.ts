/**
 * @module A read-only disk that dm-verity checks: data, and behind them the hash tree. Only the root hash has to be known to trust
 * it, and it is known only when everything has been read, so that what depends on it is planned last.
 */
import type { Guid } from '../guid.ts';
import { randomGuid } from '../guid.ts';
import type { Random } from '../luks/plan.ts';
import { encodeGpt, type NewPartition, placePartitions } from './gpt.ts';
import { READ_ONLY, ROOT_TYPES } from './partition-types.ts';
import {
  type DiskExtent,
  describeTable,
  espExtents,
  espPartition,
  type GptOptions,
  type PartitionTable,
} from './shape.ts';
import {
  VERITY_BLOCK,
  VERITY_SALT_SIZE,
  type VerityTree,
  verityGuids,
  veritySuperblock,
  verityTree,
} from './verity.ts';

/** What goes where. */
export interface VerityPlan {
  readonly tree: VerityTree;
  readonly uuid: Guid;
  readonly salt: Uint8Array;
  /** Bytes from the start of the disk. */
  readonly dataAt: number;
  readonly hashAt: number;
  readonly diskSize: number;
  /** What does not depend on the data. */
  readonly extents: readonly DiskExtent[];
  /** Returns the rest, and what it says. */
  finish(rootHash: Uint8Array): {
    readonly extents: readonly DiskExtent[];
    readonly partitionTable: PartitionTable | undefined;
  };
}

/**
 * Plans a disk for so many bytes of data, in a GPT where that is wanted.
 *
 * @throws `usage` for no data, and when the files of the EFI system partition do not fit or cannot be held
 */
export function planVerity(dataSize: number, gpt: GptOptions | undefined, random: Random): VerityPlan {
  const tree = verityTree(dataSize);
  const dataBytes = tree.dataBlocks * VERITY_BLOCK;
  const uuid = randomGuid(random);
  const salt = random(VERITY_SALT_SIZE);
  const superblock = (at: number): DiskExtent => {
    return { kind: 'bytes', file: 'image', at, bytes: veritySuperblock(tree, uuid, salt) };
  };
  if (gpt === undefined) {
    return {
      ...{ tree, uuid, salt, dataAt: 0, hashAt: dataBytes, diskSize: dataBytes + tree.size },
      extents: [superblock(dataBytes)],
      finish: () => ({ extents: [], partitionTable: undefined }),
    };
  }
  const { architecture, esp } = gpt;
  const guid = randomGuid(random);
  const first = esp === undefined ? [] : [espPartition(esp, random)];
  const types = ROOT_TYPES[architecture];
  const wanted = (guids: { readonly root: Guid; readonly verity: Guid }): NewPartition[] => [
    ...first,
    { type: types.root, guid: guids.root, name: `root-${architecture}`, size: dataBytes, attributes: READ_ONLY },
    {
      type: types.verity,
      guid: guids.verity,
      name: `root-${architecture}-verity`,
      size: tree.size,
      attributes: READ_ONLY,
    },
  ];
  // Places depend on sizes only.
  const { partitions, diskSize } = placePartitions(wanted({ root: guid, verity: guid }));
  const [data, hash] = partitions.slice(-2).map(({ at }) => at);
  const [dataAt = 0, hashAt = 0] = [data, hash];
  return {
    ...{ tree, uuid, salt, dataAt, hashAt, diskSize },
    extents: [...(esp === undefined ? [] : espExtents(esp, partitions[0]?.at ?? 0, random)), superblock(hashAt)],
    finish(rootHash) {
      const places = placePartitions(wanted(verityGuids(rootHash)));
      return {
        extents: encodeGpt(places, guid).map((part): DiskExtent => ({ kind: 'bytes', file: 'image', ...part })),
        partitionTable: describeTable(places, guid),
      };
    },
  };
}
