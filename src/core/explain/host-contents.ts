/**
 * @module Pages with contents that nobody asked the host for: SEV metadata asks for zero, secrets and CPUID pages, and for one page
 * of kernel hashes (QEMU target/i386/sev.c, snp_populate_metadata_pages), so no other build of a firmware explains them.
 */
import { PAGE_SIZE } from '../measurement/snp.ts';
import type { AccountStep } from './account.ts';
import type { CauseRule } from './cause.ts';
import { type Comparison, HASH_STEPS } from './compare-launches.ts';
import { type Difference, hexNumber } from './difference.ts';
import { pairSteps } from './pair-steps.ts';
import { svsmOf } from './svsm-cause.ts';

const STRUCTURE: readonly string[] = ['step-added', 'step-type', 'step-length'];

/** Explains steps that the host fills itself. */
export const hostContents: CauseRule = (left, comparison) => {
  const own = hostSteps(comparison);
  const places = new Set(own.map(({ gpa }) => gpa));
  const isOwn = ({ kind, gpa }: Difference) => STRUCTURE.includes(kind) && places.has(gpa);
  const explains = left.filter(isOwn);
  const first = own.find(({ gpa }) => gpa === explains[0]?.gpa);
  if (explains.length === 0 || first === undefined) return [];
  const place = first.gpa === undefined ? '' : ` at ${hexNumber(first.gpa)}`;
  const where = `${hexNumber(first.length ?? 0)} bytes${place}${own.length > 1 ? ' and elsewhere' : ''}`;
  return [
    {
      name: 'host-contents',
      because: `the host puts contents of its own into the guest, ${where}, which no firmware’s metadata asks for`,
      attempt:
        'do not trust this guest before you know what that is; a host that starts an IGVM file does so too: bootseal measure igvm',
      explains,
    },
  ];
};

/** Returns the steps that the host fills itself; of logs and plans of one platform. */
export function hostSteps(comparison: Comparison): readonly AccountStep[] {
  const { expected, found } = comparison;
  const [steps, others] = [expected.steps ?? [], found.steps ?? []];
  const { found: paired } = pairSteps(steps, others);
  const counterparts = new Map(paired.flatMap((index, i) => (index === undefined ? [] : [[index, steps[i]]])));
  const svsm = svsmOf(found, expected);
  const isSvsm = ({ gpa }: AccountStep) => svsm !== undefined && gpa === svsm.gpa;
  const filled = [...others.entries()].filter(([, step]) => step.type === 'normal' && !isSvsm(step));
  const own = filled.filter(([i, step]) => !isAsked(step, counterparts.get(i))).map(([, step]) => step);
  const hasTable = filled.some(([i, step]) => isTable(step, counterparts.get(i)));
  const [only] = own;
  const isLone = own.length === 1 && only !== undefined && !hasTable;
  return isLone && isTableElsewhere(only, comparison) ? [] : own;
}

/** The firmware, whatever its size, kernel hashes, and what is expected with contents of that length. */
function isAsked(step: AccountStep, expected: AccountStep | undefined): boolean {
  if ([step.name, expected?.name].includes('firmware') || isTable(step, expected)) return true;
  return expected?.type === step.type && expected.length === step.length;
}

/** Whether one page of contents is where kernel hashes may be; logs do not name it. */
function isTable({ name, length }: AccountStep, expected: AccountStep | undefined): boolean {
  return length === PAGE_SIZE && HASH_STEPS.includes(name ?? expected?.name ?? '');
}

/** In a firmware with another layout the kernel hashes stand in another page, beside its other sections. */
function isTableElsewhere(page: AccountStep, { found: { steps = [] }, differences }: Comparison): boolean {
  const end = ({ gpa = 0n, length = 0 }: AccountStep) => gpa + BigInt(length);
  const isBeside = page.gpa === undefined || steps.some((step) => end(step) === page.gpa || step.gpa === end(page));
  const isOtherLayout = differences.some((one) => isOfLayout(one) && one.gpa !== page.gpa);
  return page.length === PAGE_SIZE && isBeside && isOtherLayout;
}

/** A section for kernel hashes that is there and not filled is no other layout: so it is where none are measured. */
function isOfLayout({ kind, name }: Difference): boolean {
  if (name === 'firmware') return false;
  return kind === 'step-missing' || (STRUCTURE.includes(kind) && !HASH_STEPS.includes(name));
}
