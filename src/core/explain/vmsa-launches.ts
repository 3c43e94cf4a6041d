/**
 * @module Which VMSAs of a kernel's log are of its last launch. KVM prints those of a launch one right after another; nothing in them
 * says of which guest they are.
 */
import { MAX_VCPUS } from '../measurement/vcpus.ts';
import { RESET_VECTOR, Vmsa } from '../measurement/vmsa.ts';
import { VMSA_FIELDS } from '../measurement/vmsa-fields.ts';
import type { LogTime, PrintedVmsa } from './printed-vmsas.ts';

/** A launch of a log. */
export interface PrintedLaunch {
  /** At most one more than a guest can have. */
  readonly vmsas: readonly PrintedVmsa[];
  /** How many the log has of it. */
  readonly count: number;
  /** Whether all of them are of this launch, and none of a guest that was started at the same time. */
  readonly isAlone: boolean;
  /** Launches of the log up to it, from 1. */
  readonly number: number;
}

/** Returns the last launch; undefined where there is none. */
export function lastLaunch(vmsas: Iterable<PrintedVmsa>): PrintedLaunch | undefined {
  let launch: Launch | undefined;
  let before: PrintedVmsa | undefined;
  for (const one of vmsas) {
    const gap = before === undefined ? 'long' : gapBetween(before.end, one.time);
    if (launch === undefined || begins(one, launch.first, gap)) {
      const number = (launch?.number ?? 0) + 1;
      launch = { first: one, vmsas: [], count: 0, number, isApart: isOver(gap), isTimed: true };
    } else launch = joined(one, launch, gap);
    launch.count++;
    if (launch.vmsas.length <= MAX_VCPUS) launch.vmsas.push(one);
    before = one;
  }
  return launch === undefined ? undefined : { ...launch, isAlone: isAlone(launch) };
}

interface Launch {
  readonly first: PrintedVmsa;
  readonly vmsas: PrintedVmsa[];
  readonly number: number;
  readonly isApart: boolean;
  readonly isTimed: boolean;
  count: number;
}

/** Through a slow console vCPUs of two guests come as far apart as those of one. */
function joined(one: PrintedVmsa, launch: Launch, gap: Gap): Launch {
  const isMixed = gap === 'long' || (gap === 'slow' && launch.number > 1);
  const isTimed = launch.isTimed && gap !== 'unknown' && !(gap === 'near' && startOf(one) === 'other');
  return withoutOther({ ...launch, isApart: launch.isApart && !isMixed, isTimed }, one);
}

/** A vCPU in real mode is of the guest that began at the reset vector, not of the one before it that began in another mode. */
function withoutOther(launch: Launch, one: PrintedVmsa): Launch {
  if (startOf(launch.first) !== 'other' || startOf(one) !== 'real') return launch;
  const index = launch.vmsas.findLastIndex((vmsa) => startOf(vmsa) === 'reset');
  const [first, ...others] = launch.vmsas.slice(Math.max(index, 0));
  if (index === -1 || first === undefined) return launch;
  const vmsas = [first, ...others];
  return { ...launch, first, vmsas, count: launch.count - index, number: launch.number + 1, isApart: false };
}

/** Without times, or near to the one before, a second launch of vCPUs that start all alike does not show. */
function isAlone({ count, isApart, isTimed, first }: Launch): boolean {
  return count === 1 || (isApart && (isTimed || startOf(first) === 'reset'));
}

/** Where a vCPU starts: at the reset vector, in real mode elsewhere, or in another mode, as in an SVSM or from an IGVM file. */
export type PrintedStart = 'reset' | 'real' | 'other';

const at = (name: string) => VMSA_FIELDS.find((field) => field.name === name)?.at ?? 0;
const [CR0, CS_BASE, RIP] = [at('cr0'), at('cs.base'), at('rip')];

/** Says where a vCPU starts. */
export function startOf({ page }: Pick<PrintedVmsa, 'page'>): PrintedStart {
  const view = new DataView(page.buffer, page.byteOffset, Vmsa.size);
  if (((page[CR0] ?? 0) & 1) === 1) return 'other';
  const [base, rip] = [view.getBigUint64(CS_BASE, true), view.getBigUint64(RIP, true)];
  const isReset = base === BigInt((RESET_VECTOR & 0xffff0000) >>> 0) && rip === BigInt(RESET_VECTOR & 0xffff);
  return isReset ? 'reset' : 'real';
}

/** `near` is longer than within a launch, and a guest may be started again as soon; `slow` is between launches or, through a slow console, within one. */
type Gap = 'short' | 'near' | 'slow' | 'long' | 'unknown';

const isOver = (gap: Gap) => gap === 'slow' || gap === 'long';

/**
 * The boot processor comes first, and no vCPU in real mode elsewhere is one. Of an IGVM file it starts as the file has it, and QEMU
 * leaves all others at the reset vector.
 */
function begins(one: PrintedVmsa, first: PrintedVmsa, gap: Gap): boolean {
  const [start, before] = [startOf(one), startOf(first)];
  if (start === 'real') return false;
  return isOver(gap) || before !== 'other';
}

/** Seconds. One VMSA takes a serial console of 115200 baud less than one, and one of 1200 baud less than a minute. */
const LONGEST_SHORT = 0.5;
const LONGEST_GAP = 5;
const LONGEST_SLOW = 60;
const DAY = 86_400;

/** Times of several processors may go back a little; those of another start of the machine go back more. */
function gapBetween(one: LogTime | undefined, other: LogTime | undefined): Gap {
  if (one === undefined || other === undefined || one.since !== other.since) return 'unknown';
  const passed = other.seconds - one.seconds;
  const seconds = one.since === 'midnight' ? Math.min((passed + DAY) % DAY, (DAY - passed) % DAY) : Math.abs(passed);
  if (seconds > LONGEST_SLOW) return 'long';
  if (seconds > LONGEST_GAP) return 'slow';
  return seconds > LONGEST_SHORT ? 'near' : 'short';
}
