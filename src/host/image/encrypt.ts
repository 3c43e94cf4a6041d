/** @module A run of plaintext from one file, encrypted into another by several threads. */
import { availableParallelism } from 'node:os';
import { wipe } from '../../core/bytes.ts';
import { BLOCK_SIZE } from '../xts/xts.ts';
import { type Feed, feedBlocks, newFeed } from './feed.ts';
import { runThread, shareWork } from './threads.ts';
import { SHARED, type WorkerData } from './worker-data.ts';

/** What is encrypted, and where it goes. */
export interface Encryption extends Omit<WorkerData, 'shared'> {
  /** The source, when it is a stream; then nothing is read from its file. */
  readonly stream?: AsyncIterable<Uint8Array> | undefined;
  /** Told now and then how many bytes are done. */
  readonly onProgress?: ((done: number) => void) | undefined;
  readonly stop?: AbortSignal | undefined;
}

/** Without room, each call of OpenSSL costs a collection of garbage, and with too much the garbage costs memory; MiB. */
const YOUNG_GENERATION = 32;

/** Two encrypt faster than a disk writes, and each takes 45 MiB. */
const THREADS = Math.min(2, availableParallelism());

const THREAD = { file: 'image-worker.cjs', does: 'encrypts' };

/**
 * Encrypts every sector; none is left out, also not when it is all zeros, but those in units that the target says are not used. Returns when all is written, or when nothing is being
 * written any more.
 *
 * @throws `io` when a file cannot be read or written, `tool` when this machine's encryption is wrong; what `stop` was aborted with
 */
export async function encrypt({ key, stream, onProgress, stop, ...rest }: Encryption): Promise<void> {
  const { size } = rest.target;
  await shareWork({ size, piece: BLOCK_SIZE, threads: THREADS, onProgress, stop }, (count, shared) => {
    const feed = stream === undefined ? undefined : newFeed();
    const source = { ...rest.source, feed };
    const works = Array.from({ length: count }, () => work({ ...rest, source, key, shared }));
    return stream === undefined || feed === undefined ? works : [...works, pour(feed, stream, rest.source, shared)];
  });
}

/** Hands a stream to the workers, which end when it fails. */
async function pour(
  feed: Feed,
  stream: AsyncIterable<Uint8Array>,
  source: Encryption['source'],
  shared: Int32Array,
): Promise<void> {
  try {
    await feedBlocks(feed, stream, source, () => Atomics.load(shared, SHARED.stop) !== 0);
  } catch (error) {
    Atomics.store(shared, SHARED.stop, 1);
    throw error;
  }
}

async function work(data: WorkerData): Promise<void> {
  // A copy whose memory moves into the worker, so that no other copy comes to be on the way.
  const key = new Uint8Array(data.key);
  try {
    await runThread(THREAD, data.shared, {
      workerData: { ...data, key },
      transferList: [key.buffer],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION },
    });
  } finally {
    // Memory that has moved has no length any more.
    if (key.length > 0) wipe(key);
  }
}
