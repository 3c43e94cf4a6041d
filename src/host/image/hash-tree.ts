/** @module Data copied to a disk with their hash tree: several threads do the data, this one the levels above. */
import * as fs from 'node:fs';
import { availableParallelism } from 'node:os';
import { VERITY_BLOCK } from '../../core/disk/verity.ts';
import type { VerityPlan } from '../../core/disk/verity-disk.ts';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';
import type { PartFile } from '../part-file.ts';
import type { RawSource } from './source.ts';
import { runThread, shareWork } from './threads.ts';
import { blockHasher, DIGEST_SIZE } from './verity-hash.ts';
import { PIECE, type VerityWorkerData } from './verity-worker-data.ts';
import { write } from './write-image.ts';

/** Two keep a disk busy. */
const THREADS = Math.min(2, availableParallelism());

const THREAD = { file: 'verity-worker.cjs', does: 'hashes' };

/**
 * Copies the data, writes the tree and returns the root hash.
 *
 * @throws `io` when a file cannot be read or written; what `stop` was aborted with
 */
export async function writeHashTree(
  { tree, salt, dataAt, hashAt }: VerityPlan,
  { file, handle, size }: RawSource,
  target: PartFile,
  { onProgress, stop }: { readonly onProgress?: (done: number) => void; readonly stop?: AbortSignal },
): Promise<Uint8Array> {
  const dataSize = tree.dataBlocks * VERITY_BLOCK;
  // A single block has no level above it: its digest is written where the superblock comes later.
  const digestsAt = hashAt + (tree.levels[0]?.at ?? 0);
  const workerData: Omit<VerityWorkerData, 'shared'> = {
    salt,
    source: { file, fd: handle.fd, size },
    target: { file: target.file, fd: target.handle.fd, dataAt, dataSize, digestsAt },
  };
  await shareWork({ size: dataSize, piece: PIECE, threads: THREADS, onProgress, stop }, (count, shared) =>
    Array.from({ length: count }, () => runThread(THREAD, shared, { workerData: { ...workerData, shared } })),
  );
  return writeLevels({ tree, salt, dataAt, hashAt }, target, stop);
}

/** Hashes each level into the one above it, and the topmost block to the root hash. */
async function writeLevels(
  { tree: { levels }, salt, dataAt, hashAt }: Pick<VerityPlan, 'tree' | 'salt' | 'dataAt' | 'hashAt'>,
  target: PartFile,
  stop: AbortSignal | undefined,
): Promise<Uint8Array> {
  const hash = blockHasher(salt, PIECE / VERITY_BLOCK);
  const { file, beside } = target;
  // The file that is being written is open for writing only.
  const reading = await fs.promises
    .open(beside, 'r')
    .catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
  try {
    const memory = Buffer.allocUnsafeSlow(PIECE);
    for (const [i, { at, blocks }] of levels.entries()) {
      const above = levels[i + 1];
      if (above === undefined) break;
      for (let done = 0; done < blocks * VERITY_BLOCK; done += PIECE) {
        stop?.throwIfAborted();
        const piece = memory.subarray(0, Math.min(PIECE, blocks * VERITY_BLOCK - done));
        await readAll(reading, file, piece, hashAt + at + done);
        await write(target, hash(piece), hashAt + above.at + (done / VERITY_BLOCK) * DIGEST_SIZE);
      }
    }
    const top = levels.at(-1);
    const block = memory.subarray(0, VERITY_BLOCK);
    await readAll(reading, file, block, top === undefined ? dataAt : hashAt + top.at);
    return hash(block).slice();
  } finally {
    await reading.close();
  }
}

async function readAll(handle: fs.promises.FileHandle, file: string, into: Uint8Array, at: number): Promise<void> {
  try {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await handle.read(into, done, into.length - done, at + done);
      if (bytesRead === 0) {
        throw new BootsealError('io', `cannot read ${file}: it became shorter while it was written`, {
          hint: 'let nothing else write to the disk, and make it again',
        });
      }
      done += bytesRead;
    }
  } catch (cause) {
    throw ioError(cause, file, 'read');
  }
}
