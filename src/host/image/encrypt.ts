/** @module A run of plaintext from one file, encrypted into another by several threads. */
import { once } from 'node:events';
import * as fs from 'node:fs';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { BootsealError } from '../../core/errors.ts';
import { BLOCK_SIZE } from '../xts/xts.ts';
import { type Feed, feedBlocks, newFeed } from './feed.ts';
import { SHARED, type WorkerData, type WorkerFailure } from './worker-data.ts';

/** What is encrypted, and where it goes. */
export interface Encryption extends Omit<WorkerData, 'shared'> {
  /** The source, when it is a stream; then nothing is read from its file. */
  readonly stream?: AsyncIterable<Uint8Array> | undefined;
  /** Told now and then how many bytes are done. */
  readonly onProgress?: ((done: number) => void) | undefined;
  readonly stop?: AbortSignal | undefined;
}

/** More gain nothing: two keep a disk busy. */
const MAX_WORKERS = 2;

const PROGRESS_EVERY_MS = 100;

/** Without room, each call of OpenSSL costs a collection of garbage, and with too much the garbage costs memory; MiB. */
const YOUNG_GENERATION = 32;

/** From here it is at the same place in src/ and in dist/; bin/build.js says so to the bundle. */
const WORKER = new URL('../../../dist/image-worker.cjs', import.meta.url);

/**
 * Encrypts every sector; none is left out, also not when it is all zeros, but those in units that the target says are not used. Returns when all is written, or when nothing is being
 * written any more.
 *
 * @throws `io` when a file cannot be read or written, `tool` when this machine's encryption is wrong; what `stop` was aborted with
 */
export async function encrypt({ key, stream, onProgress, stop, ...rest }: Encryption): Promise<void> {
  const shared = new Int32Array(new SharedArrayBuffer(4 * Object.keys(SHARED).length));
  const size = rest.target.size;
  const halt = () => Atomics.store(shared, SHARED.stop, 1);
  stop?.addEventListener('abort', halt);
  if (stop?.aborted === true) halt();
  const report = () => onProgress?.(Math.min(size, Atomics.load(shared, SHARED.done) * BLOCK_SIZE));
  const timer = setInterval(report, PROGRESS_EVERY_MS);
  const count = Math.min(MAX_WORKERS, availableParallelism(), Math.ceil(size / BLOCK_SIZE));
  try {
    const feed = stream === undefined ? undefined : newFeed();
    const source = { ...rest.source, feed };
    const works = Array.from({ length: count }, () => work({ ...rest, source, key, shared }));
    const feeding = stream === undefined || feed === undefined ? [] : [pour(feed, stream, rest.source, shared)];
    const outcomes = await Promise.allSettled([...works, ...feeding]);
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    stop?.throwIfAborted();
    report();
  } finally {
    clearInterval(timer);
    stop?.removeEventListener('abort', halt);
  }
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

/** Runs one worker to its end; when it fails, or cannot be started, the others and the stream end too. */
async function work(data: WorkerData): Promise<void> {
  try {
    await runWorker(data);
  } catch (error) {
    Atomics.store(data.shared, SHARED.stop, 1);
    throw error;
  }
}

async function runWorker(data: WorkerData): Promise<void> {
  if (!fs.existsSync(WORKER)) throw new BootsealError('tool', 'the part of bootseal that encrypts is missing', HINT);
  // A copy whose memory moves into the worker, so that no other copy comes to be on the way.
  const key = new Uint8Array(data.key);
  const worker = new Worker(WORKER, {
    workerData: { ...data, key },
    transferList: [key.buffer],
    // A worker needs nothing of the command's environment and options.
    env: {},
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION },
  });
  let failure: BootsealError | undefined;
  worker.on('message', ({ kind, message, hint }: WorkerFailure) => {
    failure = new BootsealError(kind, message, hint === undefined ? {} : { hint });
  });
  await once(worker, 'exit');
  if (failure !== undefined) throw failure;
}

const HINT = { hint: 'dist/image-worker.cjs belongs to the installed package: install it again' };
