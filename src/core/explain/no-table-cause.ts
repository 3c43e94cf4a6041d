/**
 * @module That a kernel was expected and none is measured, which decides who chooses what is booted: it is looked for before all else
 * that differs, and stands first.
 */
import { KERNEL_HASHES_OFF } from './boot-causes.ts';
import type { CauseRule } from './cause.ts';
import { type Comparison, HASH_STEPS } from './compare-launches.ts';
import type { Difference } from './difference.ts';
import { hostSteps } from './host-contents.ts';
import { hasTable, isTableStep } from './kernel-table.ts';
import { pairSteps } from './pair-steps.ts';
import { svsmOf } from './svsm-cause.ts';

/** Explains what differs in the table, where nothing of a whole launch can be it. Of an SVSM, `svsm` says the same. */
export const noTableCause: CauseRule = (left, comparison) => {
  const { expected, found } = comparison;
  if (found.steps === undefined || found.cut !== undefined || hasTable(expected) !== true) return [];
  const saysSvsm = isOnePlatform(comparison) && svsmOf(found, expected) !== undefined;
  if (saysSvsm || mayHaveTable(comparison)) return [];
  const explains = left.filter(isOfTable);
  return explains.length === 0 ? [] : [{ ...KERNEL_HASHES_OFF, explains }];
};

const isOnePlatform = ({ differences }: Comparison) => !differences.some(({ kind }) => kind === 'platform');

/** The place of its section among the others is the firmware's. */
const OF_TABLE: readonly string[] = ['step-missing', 'step-type', 'step-length'];
const isOfTable = ({ kind, name }: Difference) => HASH_STEPS.includes(name) && OF_TABLE.includes(kind);

/** Whether a step that nothing else accounts for is as large as the table, or the page is filled where it was expected. */
function mayHaveTable(comparison: Comparison): boolean {
  const { expected, found } = comparison;
  const [steps, others] = [expected.steps ?? [], found.steps ?? []];
  const { found: paired } = pairSteps(steps, others);
  const counterpartsOf = (is: (name: string) => boolean) =>
    paired.flatMap((index, i) => (index !== undefined && is(steps[i]?.name ?? '') ? (others[index] ?? []) : []));
  if (counterpartsOf((name) => HASH_STEPS.includes(name)).some(({ type }) => type === 'normal')) return true;
  const accounted = new Set([
    ...counterpartsOf((name) => name === 'firmware').filter(({ type }) => type === 'normal'),
    // Of two platforms no page is called the host's own.
    ...(isOnePlatform(comparison) ? hostSteps(comparison) : []),
  ]);
  const svsm = svsmOf(found, expected);
  return others.some(
    (step) => isTableStep(step) && !accounted.has(step) && (svsm === undefined || step.gpa !== svsm.gpa),
  );
}
