/** @module Where on a disk the data and the hash tree of dm-verity are: one behind the other, or in two partitions. */
import { BootsealError } from '../errors.ts';
import { type Disk, slice } from '../luks/disk.ts';
import { ROOT_TYPES } from './partition-types.ts';
import { PAYLOAD_START } from './payload.ts';
import { payloadSize } from './payload-size.ts';
import { type Gpt, type Partition, readGpt } from './read-gpt.ts';
import { isVerity, type VerityDisks } from './read-verity.ts';
import { VERITY_BLOCK, verityGuids } from './verity.ts';

/** What is known from elsewhere. */
export interface WantedVerity {
  /** Bytes from the start of the disk to the superblock, where there are no partitions. */
  readonly hashOffset: number | undefined;
  readonly rootHash: Uint8Array | undefined;
}

/** Where they were found. */
export interface FoundVerity extends VerityDisks {
  /** Undefined where they are not in partitions. */
  readonly partitions: { readonly data: Partition; readonly tree: Partition } | undefined;
  /** Of the whole disk; undefined where it has none. */
  readonly table: Gpt | undefined;
}

/**
 * Finds data and tree: in the one pair of partitions of a root and its tree, or else at `hashOffset`, or behind a file system that says
 * how long it is. Among several pairs the root hash chooses, as systemd does.
 *
 * @returns undefined when the disk has no tree that could be found
 * @throws `format` for a broken partition table; `usage` when several pairs may be meant; `io`
 */
export async function findVerity(disk: Disk, { hashOffset, rootHash }: WantedVerity): Promise<FoundVerity | undefined> {
  if (hashOffset !== undefined) return bareVerity(disk, hashOffset);
  const gpt = await readGpt(disk);
  if (gpt !== undefined) return partitionedVerity(disk, gpt, rootHash);
  const size = payloadSize(await disk.read(0, PAYLOAD_START));
  return size === undefined ? undefined : bareVerity(disk, Math.ceil(size / VERITY_BLOCK) * VERITY_BLOCK);
}

async function bareVerity(disk: Disk, hashAt: number): Promise<FoundVerity | undefined> {
  if (!(await isVerity(disk, hashAt))) return undefined;
  return { data: slice(disk, 0, hashAt), hashes: disk, hashAt, partitions: undefined, table: undefined };
}

async function partitionedVerity(
  disk: Disk,
  table: Gpt,
  rootHash: Uint8Array | undefined,
): Promise<FoundVerity | undefined> {
  const { partitions } = table;
  const inside = ({ at, size }: Partition): Disk => slice(disk, at, size);
  const pairs: { readonly data: Partition; readonly tree: Partition }[] = [];
  for (const types of Object.values(ROOT_TYPES)) {
    for (const tree of partitions.filter(({ type }) => type === types.verity)) {
      if (!(await isVerity(inside(tree), 0))) continue;
      for (const data of partitions.filter(({ type }) => type === types.root)) pairs.push({ data, tree });
    }
  }
  const named = pairs.filter((pair) => rootHash !== undefined && spells(pair, rootHash));
  const [pair, another] = named.length > 0 ? named : pairs;
  if (another !== undefined) {
    throw new BootsealError('usage', `the disk has several roots with hash trees: ${pairs.map(shown).join(', ')}`, {
      hint: 'the root hash chooses the pair whose GUIDs are its halves: give another with --root-hash',
    });
  }
  if (pair === undefined) return undefined;
  return { data: inside(pair.data), hashes: inside(pair.tree), hashAt: 0, partitions: pair, table };
}

const shown = ({ data, tree }: { data: Partition; tree: Partition }): string => `${data.number} with ${tree.number}`;

/** Says whether the GUIDs of two partitions are those by which a guest finds them that knows this root hash. */
export function spells(
  { data, tree }: { readonly data: Pick<Partition, 'guid'>; readonly tree: Pick<Partition, 'guid'> },
  rootHash: Uint8Array,
): boolean {
  const { root, verity } = verityGuids(rootHash);
  return data.guid === root && tree.guid === verity;
}

/** Returns the root hash whose first and last 128 bits the GUIDs are, in hexadecimal; nobody has checked it. */
export function spelledRootHash({ data, tree }: { readonly data: Partition; readonly tree: Partition }): string {
  return `${data.guid}${tree.guid}`.replaceAll('-', '');
}
