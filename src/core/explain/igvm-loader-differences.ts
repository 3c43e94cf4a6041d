/**
 * @module What the rules of two loaders may bring about between two IGVM files that are not the same: the table of docs/igvm.md, from
 * measurement/igvm-loaders.ts. All else is of the files.
 */
import type { IgvmLoader } from '../measurement/igvm-loaders.ts';
import { asKvmHasIt } from '../measurement/kvm-vmsa.ts';
import { Vmsa } from '../measurement/vmsa.ts';
import { fieldText, VMSA_FIELDS } from '../measurement/vmsa-fields.ts';
import type { AccountStep, LaunchAccount } from './account.ts';
import type { Comparison } from './compare-launches.ts';
import { type Difference, hexNumber } from './difference.ts';

/** The plan of one file. */
interface Side {
  readonly loader: IgvmLoader;
  /** Those that make something else of the file, where the plan says so. */
  readonly others: readonly IgvmLoader[] | undefined;
  readonly steps: ReadonlyMap<bigint, AccountStep>;
  /** All by address: what is measured in one step, what is measured in one go, and what is measured at all. */
  readonly pages: readonly Run[];
  readonly rows: readonly Run[];
  readonly runs: readonly Run[];
}

/** Neighbouring pages of one kind, however many steps they are in; addresses in bytes. */
interface Run {
  readonly kind: string;
  readonly start: bigint;
  end: bigint;
}

type Sides = readonly [expected: Side, found: Side];

/** Returns which differences may be of the loaders; none where both sides followed the same one, or one has no IGVM file. */
export function loaderDifferences(comparison: Comparison): (difference: Difference) => boolean {
  const { expected, found } = comparison;
  const [one, other] = [expected.igvm?.loader, found.igvm?.loader];
  if (one === undefined || other === undefined || one === other) return () => false;
  const sides: Sides = [sideOf(expected), sideOf(found)];
  if (areAlike(comparison)) return (difference) => sides.some(hasNativeZeros) && isOfZeros(difference, sides);
  const isOnlyOrder = isSameOrder(sides);
  return (difference) => {
    switch (difference.kind) {
      case 'vcpus':
        return isMoreCounted(difference, sides);
      case 'vmsa-field':
        return isOfKvm(difference, one === 'qemu' ? [expected, found] : [found, expected]);
      case 'step-type':
        return isNativeZero(difference, sides);
      case 'step-order':
        return isOneQemu(sides) && isOnlyOrder;
      case 'step-length':
        return isParameters(difference)
          ? isFirstPage(difference, sides)
          : isPageRule(difference, sides, expected.platform);
      case 'step-missing':
      case 'step-added':
        return !isParameters(difference) && isPageRule(difference, sides, expected.platform);
      default:
        return false;
    }
  };
}

/** Whether both plans say of their files that the two loaders that they follow make the same of them. */
export function areAlike({ expected: { igvm: one }, found: { igvm: other } }: Comparison): boolean {
  if (one === undefined || other === undefined || one.loader === other.loader) return false;
  return isAlike(one, other.loader) && isAlike(other, one.loader);
}

const isAlike = ({ others }: Pick<Side, 'others'>, loader: IgvmLoader) => others?.includes(loader) === false;

/** A plan with --native-zero says what the others make of the file without it. */
function isOfZeros(difference: Difference, sides: Sides): boolean {
  if (difference.kind === 'step-type') return isNativeZero(difference, sides);
  const isSteps = ['step-length', 'step-missing', 'step-added'].includes(difference.kind);
  return isSteps && !isParameters(difference) && isInOtherSteps(pagesAt(difference, sides), sides);
}

const isParameters = ({ name }: Pick<AccountStep, 'name'>) => name?.startsWith('parameters ') === true;
const isOneQemu = (sides: Sides) => sides.some(({ loader }) => loader === 'qemu');

/** QEMU takes the last VMSA of a vCPU, microsoft/igvm each of the platform, igvmmeasure also those of others. */
const LOADERS_BY_VMSAS: readonly IgvmLoader[] = ['qemu', 'microsoft', 'coconut'];

function isMoreCounted({ expected, found }: Difference, [one, other]: Sides): boolean {
  const isMore = LOADERS_BY_VMSAS.indexOf(other.loader) > LOADERS_BY_VMSAS.indexOf(one.loader);
  return Number(found) > Number(expected) === isMore;
}

/** Whether the field is what KVM makes of the VMSA on the other side: `--as qemu` has that, the others what is in the file. */
function isOfKvm({ name, vcpu }: Difference, [qemu, other]: readonly [LaunchAccount, LaunchAccount]): boolean {
  const field = VMSA_FIELDS.find((one) => one.name === name);
  const [page, first] = [other.vmsas?.pages[vcpu?.first ?? 0], other.vmsas?.pages[0]];
  const its = qemu.vmsas?.pages[vcpu?.first ?? 0];
  if (qemu.igvm?.loader !== 'qemu' || field === undefined || page?.length !== Vmsa.size) return false;
  if (first?.length !== Vmsa.size || its === undefined) return false;
  return fieldText(asKvmHasIt(page, Vmsa.unpack(first).sev_features), field) === fieldText(its, field);
}

/** igvmmeasure --native-zero. */
function isNativeZero({ expected, found }: Difference, [one, other]: Sides): boolean {
  const zero = [expected, found].indexOf('zero');
  return [expected, found].includes('normal') && [one, other][zero]?.loader === 'coconut';
}

/** Of a parameter area of several pages igvmmeasure has the first alone. */
function isFirstPage({ expected, found }: Difference, sides: Sides): boolean {
  return [expected, found].some((length, i) => length === hexNumber(PAGE) && sides[i]?.loader === 'coconut');
}

const PAGE = 4096;

/** Whether pages are left out that a loader leaves out, or the same pages come in other steps. */
function isPageRule(difference: Difference, sides: Sides, platform: Comparison['expected']['platform']): boolean {
  const pages = pagesAt(difference, sides);
  const lacking = sides.filter(({ runs }) => !pages.every((page) => isWithin(page, runs)));
  if (lacking.length === 0) {
    return (isOneQemu(sides) || sides.some(hasNativeZeros)) && isInOtherSteps(pages, sides);
  }
  return lacking.every((side) => isLeftOut(side, sides, platform));
}

/** SEV and SEV-ES: pages without data, and unmeasured ones. SNP: shared pages, and the rest of large ones, by microsoft/igvm alone. */
function isLeftOut(side: Side, sides: Sides, platform: Comparison['expected']['platform']): boolean {
  if (platform !== 'snp') return sides.every(({ loader }) => loader === side.loader || !isAlike(side, loader));
  return side.loader === 'microsoft' && !isAlike(side, 'qemu') && !isAlike(side, 'coconut');
}

/** The pages of both sides that a difference is of. */
const pagesAt = ({ gpa = 0n }: Difference, sides: Sides) =>
  sides.flatMap(({ steps }) => steps.get(gpa) ?? []).map(runOf);

/** Whether each side measures these pages, and those that the other measures in one step with them, in one go. */
function isInOtherSteps(pages: readonly Run[], sides: Sides): boolean {
  const whole = pages.flatMap((page) => [page, ...sides.flatMap((side) => lastBefore(page, side.pages) ?? [])]);
  return whole.every((page) => sides.every(({ rows }) => isWithin(page, rows)));
}

const isZero = ({ type }: AccountStep) => type === 'zero';
const hasNativeZeros = ({ loader, steps }: Side) => loader === 'coconut' && [...steps.values()].some(isZero);

/** Whether a side has the zero pages of igvmmeasure --native-zero, which is not what its plan compares with the other loaders. */
export const hasZeros = ({ expected, found }: Comparison): boolean =>
  [expected, found].some(({ igvm, steps = [] }) => igvm?.loader === 'coconut' && steps.some(isZero));

/** QEMU measures parameter areas before the run of pages that they stand behind, and changes no other order. */
function isSameOrder([one, other]: Sides): boolean {
  const order = (own: Side, others: Side) =>
    [...own.steps].flatMap(([gpa, step]) => (isParameters(step) || !others.steps.has(gpa) ? [] : [gpa])).join();
  return order(one, other) === order(other, one);
}

function sideOf({ igvm, steps = [] }: LaunchAccount): Side {
  const pages = steps.filter((step) => !isParameters(step)).map(runOf);
  return {
    loader: igvm?.loader ?? 'qemu',
    others: igvm?.others,
    steps: new Map(steps.map((step) => [step.gpa ?? 0n, step])),
    pages: byAddress(pages),
    rows: byAddress(joined(pages)),
    runs: joined(byAddress(pages)),
  };
}

/** Zeros may be pages of either type. */
function runOf({ type, gpa: start = 0n, length = 0 }: AccountStep): Run {
  return { kind: type === 'zero' ? 'normal' : type, start, end: start + BigInt(length) };
}

const byAddress = (runs: readonly Run[]) => runs.toSorted((a, b) => (a.start < b.start ? -1 : 1));

/** Joins those that follow one another. */
function joined(pages: readonly Run[]): readonly Run[] {
  const runs: Run[] = [];
  for (const page of pages) {
    const last = runs.at(-1);
    if (last?.kind === page.kind && last.end === page.start) last.end = page.end;
    else runs.push({ ...page });
  }
  return runs;
}

/** The last run that starts no later than the page. */
function lastBefore({ start }: Run, runs: readonly Run[]): Run | undefined {
  let [from, to] = [0, runs.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((runs[middle]?.start ?? start) > start) to = middle;
    else from = middle + 1;
  }
  return runs[from - 1];
}

/** Whether one run has all of the pages. */
function isWithin(page: Run, runs: readonly Run[]): boolean {
  const run = lastBefore(page, runs);
  return run?.kind === page.kind && run.end >= page.end;
}
