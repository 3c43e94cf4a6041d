/** @module Two plans of TDX guests: the steps of MRTD, then the events of the RTMRs where both predict them. */
import { bytesToHex } from '../hex.ts';
import type { AccountStep, LaunchAccount } from './account.ts';
import { compareEvents } from './compare-events.ts';
import { compareSteps, contentsDifference, type FirstDivergence, firstDivergence } from './compare-steps.ts';
import type { Difference } from './difference.ts';
import type { TdxAccount } from './tdx-account.ts';

/** An account of a TDX guest. */
export type TdxLaunch = LaunchAccount & { readonly tdx: TdxAccount };

/** Whether an account is of a TDX guest. */
export const isTdx = (account: LaunchAccount): account is TdxLaunch => account.tdx !== undefined;

/** Returns what differs, and the step of MRTD at which the plans part. */
export function compareTdx(
  expected: TdxLaunch,
  found: TdxLaunch,
): { readonly first: FirstDivergence | undefined; readonly differences: readonly Difference[] } {
  const { steps = [] } = expected;
  const { steps: others = [] } = found;
  const first = firstDivergence(steps, others, undefined);
  const contents = first === undefined ? undefined : contentsDifference(first);
  const structure = compareSteps(bySections(steps), bySections(others), undefined);
  const inside = [...structure, ...(contents === undefined ? [] : [contents])];
  const [boot, otherBoot] = [expected.tdx.boot, found.tdx.boot];
  const events = boot === undefined || otherBoot === undefined ? [] : compareEvents(boot, otherBoot).differences;
  return { first, differences: [...ofMrtd(expected, found, inside), ...events] };
}

/** Another order is none while MRTD is the same, and neither is another file: its variable store is not measured there. */
function ofMrtd(expected: TdxLaunch, found: TdxLaunch, inside: readonly Difference[]): readonly Difference[] {
  const [digest, otherDigest] = [hexOf(expected), hexOf(found)];
  if (digest === otherDigest) return inside;
  const [file, otherFile] = [expected.tdx.inputs.get('firmware'), found.tdx.inputs.get('firmware')];
  const differences = [...differenceOf('mrtd-order', 'order', expected.tdx.order, found.tdx.order), ...inside];
  if (differences.length === 0) return differenceOf('digest', 'MRTD', digest, otherDigest);
  return [...differenceOf('firmware', 'firmware', file, otherFile), ...differences];
}

const hexOf = ({ digest = new Uint8Array() }: LaunchAccount) => bytesToHex(digest);

function differenceOf(
  kind: Difference['kind'],
  name: string,
  expected: string | undefined,
  found: string | undefined,
): readonly Difference[] {
  return expected === found ? [] : [{ kind, name, expected, found }];
}

/** Makes steps of both orders comparable: one for each section, whether it is extended with its pages or after them. */
function bySections(steps: readonly AccountStep[]): readonly AccountStep[] {
  const sections: AccountStep[] = [];
  for (const step of steps) {
    const last = sections.at(-1);
    const isSecondPass = step.type === 'extend' && last?.type === 'add' && isSamePlace(last, step);
    if (isSecondPass) sections[sections.length - 1] = { ...step, type: 'add+extend' };
    else sections.push(step);
  }
  return sections;
}

const isSamePlace = (one: AccountStep, other: AccountStep) =>
  one.name === other.name && one.gpa === other.gpa && one.length === other.length;
