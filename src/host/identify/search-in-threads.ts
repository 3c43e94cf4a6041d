/** @module A search on all processors: this thread works too, alone while the search is short. The answer does not depend on how many do. */
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import type { Coverage } from '../../core/identify/coverage.ts';
import type { SearchOutcome } from '../../core/identify/identify.ts';
import { Search } from '../../core/identify/search.ts';
import { runThread } from '../image/threads.ts';
import { nodeHashes } from '../node-hashes.ts';
import { firstMatch, halt, newSharedSearch, stateOf, takenCount, triedUpTo, tryUnits } from './shared-search.ts';
import { type PlainQuestion, questionOf, workerData } from './worker-data.ts';

/** The most threads that a search takes: each has memory of its own. */
export const MOST_THREADS = 64;

/** How long this thread works before signals and the terminal get a turn, and before it has others help; milliseconds. */
const TURN = 50;

const THREAD = { file: 'identify-worker.cjs', does: 'searches' };

/** How a search is done. */
export interface SearchOptions {
  /** Default: one for each processor. */
  readonly threads?: number | undefined;
  /** Told before the first launch how many there are at most. */
  readonly onStart?: ((most: number) => void) | undefined;
  /** Told now and then how many launches were tried, of how many at most. */
  readonly onProgress?: ((tried: number, most: number) => void) | undefined;
  /** Ends the search early, without an error. */
  readonly stop?: AbortSignal | undefined;
}

/** The answer of `identify`, and whether the search was ended early. */
export interface ThreadedOutcome {
  readonly answer: SearchOutcome;
  /** What was tried on each platform; undefined when a launch was found. */
  readonly coverage: readonly Coverage[] | undefined;
  readonly stopped: boolean;
}

/** Does what `identify` does. Throws what it throws, and `tool` when a thread cannot be started. */
export async function searchInThreads(question: PlainQuestion, options: SearchOptions = {}): Promise<ThreadedOutcome> {
  const search = new Search(questionOf(question), nodeHashes);
  const shared = newSharedSearch(search.units);
  const most = search.launches();
  options.onStart?.(most);
  const end = () => halt(shared);
  options.stop?.addEventListener('abort', end);
  if (options.stop?.aborted === true) end();
  let others: Promise<readonly PromiseSettledResult<void>[]> | undefined;
  let turn = performance.now();
  try {
    for (const unit of tryUnits(search, shared)) {
      if (performance.now() - turn < TURN) continue;
      others ??= Promise.allSettled(startThreads(question, shared, helpers(options, search.units - unit)));
      options.onProgress?.(triedUpTo(shared), most);
      await setImmediate();
      turn = performance.now();
    }
    for (const outcome of (await others) ?? []) if (outcome.status === 'rejected') throw outcome.reason;
  } finally {
    end();
    options.stop?.removeEventListener('abort', end);
  }
  const answer = answerOf(search, shared);
  const coverage = answer.finding === undefined ? search.coverage((unit) => stateOf(shared, unit)) : undefined;
  const complete = coverage?.every((one) => one.complete) === true;
  return { answer, coverage, stopped: options.stop?.aborted === true && !complete };
}

/** A thread more than there are units left would have nothing to do. */
function helpers({ threads = Math.min(availableParallelism(), MOST_THREADS) }: SearchOptions, left: number): number {
  return Math.max(0, Math.min(threads - 1, left));
}

function startThreads(question: PlainQuestion, shared: Int32Array, count: number): readonly Promise<void>[] {
  return Array.from({ length: count }, () => runThread(THREAD, shared, { workerData: workerData(question, shared) }));
}

/** The threads tell numbers only: what was found, and why something could not be tried, is worked out here once more. */
function answerOf(search: Search, shared: Int32Array): SearchOutcome {
  const last = firstMatch(shared);
  search.explain(Math.min(last, takenCount(shared)) - 1, (unit) => stateOf(shared, unit));
  const { finding } = search.tryUnit(last, last < search.units ? stateOf(shared, last).tried : 0);
  return { finding, tried: triedUpTo(shared, last), ruledOut: search.ruledOutUpTo(last) };
}
