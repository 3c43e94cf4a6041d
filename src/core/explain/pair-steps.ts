/** @module Which step of one launch is which of another: by address, since no page is added twice; in turn where none is known. */
import type { AccountStep } from './account.ts';

/** For each expected step the index of its counterpart among those found. */
export interface Pairing {
  readonly found: readonly (number | undefined)[];
  /** Indices of steps that no expected one stands for. */
  readonly added: readonly number[];
}

const FOUR_GIB = 2n ** 32n;

/** Pairs the steps of two launches. */
export function pairSteps(expected: readonly AccountStep[], found: readonly AccountStep[]): Pairing {
  const free = new Set(found.keys());
  const byAddress = new Map<bigint, number[]>();
  for (const [i, { gpa }] of found.entries()) {
    if (gpa !== undefined) byAddress.set(gpa, [...(byAddress.get(gpa) ?? []).slice(0, 7), i]);
  }
  const take = (index: number | undefined) => {
    if (index === undefined || !free.delete(index)) return undefined;
    return index;
  };
  const paired = expected.map((step, i) => {
    const inTurn = found[i];
    if (inTurn !== undefined && (step.gpa === undefined || inTurn.gpa === undefined)) return take(i);
    if (step.gpa === undefined) return undefined;
    return take(byAddress.get(step.gpa)?.find((index) => free.has(index)));
  });
  // A firmware of another size starts elsewhere, and ends where every firmware does.
  const [firmware, start] = [expected[0], found[0]];
  if (paired[0] === undefined && firmware !== undefined && start !== undefined && endsBelow4Gib(firmware, start)) {
    paired[0] = take(0);
  }
  return { found: paired, added: [...free] };
}

function endsBelow4Gib(...steps: readonly AccountStep[]): boolean {
  return steps.every(
    ({ gpa, length }) => gpa !== undefined && length !== undefined && gpa + BigInt(length) === FOUR_GIB,
  );
}

/** Returns the positions of those that stand out of order: all but a longest row that goes up. */
export function outOfOrder(indices: readonly number[]): readonly number[] {
  // The end of the lowest row of each length so far, and before each position the one that goes before it in its row.
  const ends: number[] = [];
  const before: (number | undefined)[] = [];
  for (const [position, index] of indices.entries()) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((indices[ends[middle] ?? 0] ?? 0) < index) low = middle + 1;
      else high = middle;
    }
    before[position] = low === 0 ? undefined : ends[low - 1];
    ends[low] = position;
  }
  const row = new Set<number>();
  for (let at = ends.at(-1); at !== undefined; at = before[at]) row.add(at);
  return [...indices.keys()].filter((position) => !row.has(position));
}
