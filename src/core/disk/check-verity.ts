/**
 * @module Data held against a hash tree and its root hash, from the root down: a block is believed only when the digest above it was,
 * and what was believed is not read again.
 */
import { equalInConstantTime } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { readExactly } from '../luks/disk.ts';
import type { ReadVerity, VerityDisks } from './read-verity.ts';

/** Returns the digest of one block, salt first. */
export type BlockDigest = (block: Uint8Array) => Uint8Array;

/** Data that were read, whole blocks, and the numbers of those among them that do not match. */
export interface VerityData {
  readonly kind: 'data';
  /** Bytes from the start of the data. */
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly wrong: readonly number[];
}

/** A block of the tree that does not match, so that nothing is known of the data below it; they are not read. */
export interface WrongHashes {
  readonly kind: 'hashes';
  /** From 0, the lowest. */
  readonly level: number;
  /** In its level. */
  readonly block: number;
  readonly firstData: number;
  readonly dataBlocks: number;
}

/**
 * A block of the tree that matches, and has something behind the digests of the blocks that are said to be there: there were more of them
 * when it was made. A kernel does not look.
 */
export interface SpareHashes {
  readonly kind: 'spare';
  readonly level: number;
  readonly block: number;
}

/** Bytes of data in memory at a time, where blocks are not larger. */
const PIECE = 1 << 20;

/**
 * Yields all data in their order, and what is wrong with the tree above them.
 *
 * @throws `usage` for a root hash of another length than the tree's; `format` where a disk ends early, `io`
 */
export async function* checkVerity(
  { data, hashes }: Pick<VerityDisks, 'data' | 'hashes'>,
  verity: ReadVerity,
  rootHash: Uint8Array,
  digest: BlockDigest,
): AsyncGenerator<VerityData | WrongHashes | SpareHashes> {
  const { levels, dataBlocks, dataBlockSize, hashBlockSize, digestSize, digestsPerBlock } = verity;

  async function* checkData(first: number, digests: Uint8Array): AsyncGenerator<VerityData> {
    const count = digests.length / digestSize;
    const most = Math.max(1, PIECE / dataBlockSize);
    for (let done = 0; done < count; done += most) {
      const blocks = Math.min(most, count - done);
      const at = (first + done) * dataBlockSize;
      const bytes = await readExactly(data, at, blocks * dataBlockSize, 'the data');
      const wrong: number[] = [];
      for (let i = 0; i < blocks; i++) {
        const wanted = digests.subarray((done + i) * digestSize, (done + i + 1) * digestSize);
        const found = digest(bytes.subarray(i * dataBlockSize, (i + 1) * dataBlockSize));
        if (!equalInConstantTime(found, wanted)) wrong.push(first + done + i);
      }
      yield { kind: 'data', at, bytes, wrong };
    }
  }

  async function* descend(level: number, block: number, wanted: Uint8Array): ReturnType<typeof checkVerity> {
    const place = levels[level];
    if (place === undefined) {
      yield* checkData(0, wanted);
      return;
    }
    const hashBlock = await readExactly(hashes, place.at + block * hashBlockSize, hashBlockSize, 'the hash tree');
    if (!equalInConstantTime(digest(hashBlock), wanted)) {
      const each = digestsPerBlock ** (level + 1);
      const firstData = block * each;
      yield { kind: 'hashes', level, block, firstData, dataBlocks: Math.min(each, dataBlocks - firstData) };
      return;
    }
    const first = block * digestsPerBlock;
    const below = level === 0 ? dataBlocks : (levels[level - 1]?.blocks ?? 0);
    const count = Math.min(digestsPerBlock, below - first);
    const digests = hashBlock.subarray(0, count * digestSize);
    if (hashBlock.subarray(digests.length).some((byte) => byte !== 0)) yield { kind: 'spare', level, block };
    if (level === 0) {
      yield* checkData(first, digests);
      return;
    }
    for (let i = 0; i < count; i++) {
      yield* descend(level - 1, first + i, digests.subarray(i * digestSize, (i + 1) * digestSize));
    }
  }

  if (rootHash.length !== digestSize) {
    throw new BootsealError(
      'usage',
      `a root hash of ${verity.algorithm} has ${digestSize} bytes, not ${rootHash.length}`,
      { hint: 'give the root hash of this tree: its manifest and the measured command line have it' },
    );
  }
  yield* descend(levels.length - 1, 0, rootHash);
}
