/** @module Two launches step by step: type, address, length and order, and where running digests part although those agree. */
import type { AccountStep, LaunchAccount } from './account.ts';
import { type Difference, hexNumber } from './difference.ts';
import { outOfOrder, pairSteps } from './pair-steps.ts';

/** Where two launches part. */
export interface FirstDivergence {
  /** Counts from 0. */
  readonly step: number;
  readonly expected: AccountStep | undefined;
  readonly found: AccountStep | undefined;
}

/** Returns what differs between the steps of memory, in the order of the expected launch. */
export function compareSteps(
  expected: readonly AccountStep[],
  found: readonly AccountStep[],
  cut: LaunchAccount['cut'],
): readonly Difference[] {
  // Steps without addresses are paired in turn, and nobody knows which the first of them is.
  if (lacksStart(cut) && found.some(({ gpa }) => gpa === undefined)) return [];
  const pairing = pairSteps(expected, found);
  const within = notCutOff(pairing.found, cut);
  const differences: Difference[] = [];
  for (const [i, step] of expected.entries()) {
    const index = pairing.found[i];
    const other = index === undefined ? undefined : found[index];
    if (other !== undefined) differences.push(...pairDifferences(step, other));
    else if (within(i)) differences.push(lone('step-missing', step));
  }
  const added = pairing.added.flatMap((i) => found[i] ?? []).map((step) => lone('step-added', step));
  return [...differences, ...added, ...orderDifferences(expected, pairing.found)];
}

const lacksStart = (cut: LaunchAccount['cut']) => cut === 'start' || cut === 'both';
const lacksEnd = (cut: LaunchAccount['cut']) => cut === 'end' || cut === 'both';

/** Whether a log that is cut would have the step: what comes before its first and after its last step is not known. */
function notCutOff(paired: readonly (number | undefined)[], cut: LaunchAccount['cut']): (step: number) => boolean {
  const first = paired.findIndex((index) => index !== undefined);
  const last = paired.findLastIndex((index) => index !== undefined);
  return (step) => {
    if (lacksStart(cut) && (step < first || first === -1)) return false;
    return !(lacksEnd(cut) && step > last);
  };
}

/** Returns what a step is called: by its own name, or where none is known by what the log shows. */
export function stepName({ name, type }: AccountStep): string {
  return name ?? (type === 'data' ? 'data' : `${type} pages`);
}

function lone(kind: 'step-missing' | 'step-added', step: AccountStep): Difference {
  const what = `${step.type}${step.length === undefined ? '' : `, ${hexNumber(step.length)} bytes`}`;
  const [expected, found] = kind === 'step-missing' ? [what, undefined] : [undefined, what];
  return { kind, name: stepName(step), gpa: step.gpa, expected, found };
}

function* pairDifferences(step: AccountStep, other: AccountStep): Generator<Difference> {
  const where = { name: stepName(step), gpa: step.gpa };
  if (step.type !== other.type) yield { kind: 'step-type', ...where, expected: step.type, found: other.type };
  if (step.length !== undefined && other.length !== undefined && step.length !== other.length) {
    const [expected, found] = [hexNumber(step.length), hexNumber(other.length)];
    yield { kind: 'step-length', ...where, expected, found };
  }
}

function orderDifferences(
  expected: readonly AccountStep[],
  paired: readonly (number | undefined)[],
): readonly Difference[] {
  const both = expected.flatMap((step, i) => (paired[i] === undefined ? [] : [{ step, index: paired[i] }]));
  const ranks = new Map([...both].sort((a, b) => a.index - b.index).map(({ index }, rank) => [index, rank]));
  return outOfOrder(both.map(({ index }) => index)).flatMap((position) => {
    const one = both[position];
    if (one === undefined) return [];
    const found = `place ${(ranks.get(one.index) ?? 0) + 1}`;
    return [
      {
        kind: 'step-order' as const,
        name: stepName(one.step),
        gpa: one.step.gpa,
        expected: `place ${position + 1}`,
        found,
      },
    ];
  });
}

/** Returns where the launches part; undefined when one goes on as the other as far as both are told. */
export function firstDivergence(
  expected: readonly AccountStep[],
  found: readonly AccountStep[],
  cut: LaunchAccount['cut'],
): FirstDivergence | undefined {
  // Without its start, a log begins in the middle.
  if (lacksStart(cut)) return undefined;
  const length = cut === 'end' ? found.length : Math.max(expected.length, found.length);
  for (let step = 0; step < length; step++) {
    const [one, other] = [expected[step], found[step]];
    if (one === undefined || other === undefined || !isSame(one, other)) return { step, expected: one, found: other };
  }
  return undefined;
}

/** Whether two steps are alike in everything that both tell. */
function isSame(one: AccountStep, other: AccountStep): boolean {
  const alike = <T>(a: T | undefined, b: T | undefined) => a === undefined || b === undefined || a === b;
  return isSamePlace(one, other) && alike(text(one.digest), text(other.digest));
}

function isSamePlace(one: AccountStep, other: AccountStep): boolean {
  const alike = <T>(a: T | undefined, b: T | undefined) => a === undefined || b === undefined || a === b;
  return one.type === other.type && alike(one.gpa, other.gpa) && alike(one.length, other.length);
}

const text = (digest: Uint8Array | undefined) => digest?.join();

/**
 * Returns the difference of contents that shows where launches part with steps that are alike: the digest after a step tells of the step
 * only as long as the digests before it are the same, so of later ones nothing is known.
 */
export function contentsDifference({ expected, found }: FirstDivergence): Difference | undefined {
  if (expected === undefined || found === undefined || !isSamePlace(expected, found)) return undefined;
  const { name, gpa } = { name: stepName(expected), gpa: expected.gpa };
  return { kind: 'step-contents', name, gpa, expected: undefined, found: undefined };
}
