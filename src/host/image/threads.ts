/** @module Work on a disk that several threads share: they are started, told to stop, and asked how far they are. */
import { once } from 'node:events';
import * as fs from 'node:fs';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { BootsealError } from '../../core/errors.ts';
import { SHARED, type WorkerFailure } from './worker-data.ts';

const PROGRESS_EVERY_MS = 100;

/** What the threads do together. */
export interface SharedWork {
  /** Bytes. */
  readonly size: number;
  /** Bytes that one of them takes at a time. */
  readonly piece: number;
  /** The most threads that gain anything. */
  readonly threads: number;
  /** Told now and then how many bytes are done. */
  readonly onProgress?: ((done: number) => void) | undefined;
  readonly stop?: AbortSignal | undefined;
}

/**
 * Has `start` start so many threads with the numbers that they share, and waits for all that it returns: also when one fails, so that
 * nothing is written any more.
 *
 * @throws what the first of them failed with; what `stop` was aborted with
 */
export async function shareWork(
  { size, piece, threads, onProgress, stop }: SharedWork,
  start: (count: number, shared: Int32Array) => readonly Promise<void>[],
): Promise<void> {
  const shared = new Int32Array(new SharedArrayBuffer(4 * Object.keys(SHARED).length));
  const halt = () => Atomics.store(shared, SHARED.stop, 1);
  stop?.addEventListener('abort', halt);
  if (stop?.aborted === true) halt();
  const report = () => onProgress?.(Math.min(size, Atomics.load(shared, SHARED.done) * piece));
  const timer = setInterval(report, PROGRESS_EVERY_MS);
  try {
    const outcomes = await Promise.allSettled(start(Math.min(threads, Math.ceil(size / piece)), shared));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    stop?.throwIfAborted();
    report();
  } finally {
    clearInterval(timer);
    stop?.removeEventListener('abort', halt);
  }
}

/** A file in dist/ that is a thread's program, and what it does. */
export interface ThreadProgram {
  readonly file: string;
  readonly does: string;
}

/** Runs one thread to its end; when it fails, or cannot be started, the others end too. */
export async function runThread(
  { file, does }: ThreadProgram,
  shared: Int32Array,
  options: Pick<WorkerOptions, 'workerData' | 'transferList' | 'resourceLimits'>,
): Promise<void> {
  // From here it is at the same place in src/ and in dist/; bin/build.js says so to the bundle.
  const program = new URL(`../../../dist/${file}`, import.meta.url);
  try {
    if (!fs.existsSync(program)) {
      throw new BootsealError('tool', `the part of bootseal that ${does} is missing`, {
        hint: `dist/${file} belongs to the installed package: install it again`,
      });
    }
    // A thread needs nothing of the command's environment and options.
    // It prints nothing; its streams joined to the command's, as they are by default, make Node warn from the eleventh thread on.
    const worker = new Worker(program, { ...options, env: {}, execArgv: [], stdout: true, stderr: true });
    let failure: BootsealError | undefined;
    worker.on('message', ({ kind, message, hint }: WorkerFailure) => {
      failure = new BootsealError(kind, message, { hint });
    });
    await once(worker, 'exit');
    if (failure !== undefined) throw failure;
  } catch (error) {
    Atomics.store(shared, SHARED.stop, 1);
    throw error;
  }
}
