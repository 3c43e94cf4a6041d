/** @module What the threads of one search share: the next unit, the first that matched, and how many launches were tried in each. */
import type { UnitState } from '../../core/identify/coverage.ts';
import type { Search, UnitOutcome } from '../../core/identify/search.ts';
import { SHARED } from '../image/worker-data.ts';

/** The first unit that has matched; behind it, one number for each unit. */
const FIRST_MATCH = 3;
const COUNTS = 4;

/** Set in a unit's number when it is done; the rest of it counts launches. */
const DONE = 1 << 30;

/** Returns the numbers for a search of so many units. */
export function newSharedSearch(units: number): Int32Array {
  const shared = new Int32Array(new SharedArrayBuffer(4 * (COUNTS + units)));
  shared[FIRST_MATCH] = units;
  return shared;
}

/** Returns how many units were taken, at most: behind them nothing was done. */
export const takenCount = (shared: Int32Array): number =>
  Math.min(shared.length - COUNTS, Atomics.load(shared, SHARED.next));

/** Tells all threads to end, within a few milliseconds. */
export function halt(shared: Int32Array): void {
  Atomics.store(shared, SHARED.stop, 1);
}

/** Returns a unit that nobody has taken; none when all are, when one before them matched, or when the threads are to end. */
function takeUnit(shared: Int32Array): number | undefined {
  if (Atomics.load(shared, SHARED.stop) !== 0) return undefined;
  const unit = Atomics.add(shared, SHARED.next, 1);
  return unit < firstMatch(shared) ? unit : undefined;
}

/**
 * Tries units that nobody has taken, and tells the others, until nothing is left to do. Yields the unit at hand every few milliseconds;
 * a unit is left where it is when one before it matched, or when the threads are to end.
 */
export function* tryUnits(search: Search, shared: Int32Array): Generator<number, void> {
  for (let unit = takeUnit(shared); unit !== undefined; unit = takeUnit(shared)) {
    for (const outcome of search.steps(unit)) {
      tell(shared, unit, outcome);
      yield unit;
      if (Atomics.load(shared, SHARED.stop) !== 0 || firstMatch(shared) < unit) break;
    }
  }
}

function tell(shared: Int32Array, unit: number, { finding, tried, done }: UnitOutcome): void {
  Atomics.store(shared, COUNTS + unit, tried | (done ? DONE : 0));
  if (finding === undefined) return;
  for (let first = firstMatch(shared); unit < first; first = firstMatch(shared)) {
    Atomics.compareExchange(shared, FIRST_MATCH, first, unit);
  }
}

/** Returns the first unit that has matched; the number of units when none has. */
export function firstMatch(shared: Int32Array): number {
  return Atomics.load(shared, FIRST_MATCH);
}

/** Returns how many launches were tried in the units up to `last`. */
export function triedUpTo(shared: Int32Array, last = takenCount(shared) - 1): number {
  const end = Math.min(shared.length, COUNTS + last + 1);
  let sum = 0;
  for (let at = COUNTS; at < end; at++) sum += (shared[at] ?? 0) & ~DONE;
  return sum;
}

/** Returns how far a unit is. */
export function stateOf(shared: Int32Array, unit: number): UnitState {
  const count = Atomics.load(shared, COUNTS + unit);
  return { done: (count & DONE) !== 0, tried: count & ~DONE };
}
