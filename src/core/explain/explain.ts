/** @module Why a launch does not give the digest that its owner expects: what differs from the expected launch, and what causes it. */
import { VMSA_FIELDS } from '../measurement/vmsa-fields.ts';
import type { LaunchAccount } from './account.ts';
import type { Cause } from './cause.ts';
import { causesOf } from './causes.ts';
import { compareEvents } from './compare-events.ts';
import { type Comparison, compareLaunches } from './compare-launches.ts';
import { isTdx } from './compare-tdx.ts';
import type { Difference } from './difference.ts';
import type { TdxEvent } from './tdx-account.ts';

/** What an account may leave unsaid, so that it cannot differ. */
export type Untold =
  | 'memory'
  | 'contents'
  | 'vcpus'
  | 'cpu-state'
  | 'vmsa-fields'
  | 'kernel-hashes'
  | 'rtmrs'
  | 'events';

/** The answer. */
export interface Explanation extends Comparison {
  readonly causes: readonly Cause[];
  /** Differences that no cause is known of. */
  readonly unexplained: readonly Difference[];
  /** What was not compared, because one side does not tell it; of TDX guests, what either or both do not. */
  readonly untold: readonly Untold[];
  /** Fields of the VMSA, in Linux' names, of which the CPU state that one side tells has nothing. */
  readonly untoldFields: readonly string[];
  /** Events of TDX guests that a plan does not predict. */
  readonly unpredicted: readonly TdxEvent[];
}

/** Compares what the owner expects with what was found, and names causes. */
export function explainLaunch(expected: LaunchAccount, found: LaunchAccount): Explanation {
  const comparison = compareLaunches(expected, found);
  const causes = causesOf(comparison);
  const explained = new Set(causes.flatMap(({ explains }) => explains));
  const unexplained = comparison.differences.filter((one) => !explained.has(one));
  const unpredicted = unpredictedEvents(expected, found);
  const fields = untoldFields(expected, found);
  const what = untold(expected, found, unpredicted);
  return {
    ...comparison,
    causes,
    unexplained,
    untold: fields.length > 0 ? [...what, 'vmsa-fields'] : what,
    untoldFields: fields,
    unpredicted,
  };
}

/** Older kernels print nothing of the floating-point state. No kernel prints the reserved bytes up to the end of the page. */
function untoldFields({ vmsas: expected }: LaunchAccount, { vmsas: found }: LaunchAccount): readonly string[] {
  if (expected === undefined || found === undefined) return [];
  const told = Math.min(expected.told, found.told);
  return VMSA_FIELDS.filter(({ at, size, name }) => at + size > told && name !== 'reserved_670').map(
    ({ name }) => name,
  );
}

function unpredictedEvents({ tdx: expected }: LaunchAccount, { tdx: found }: LaunchAccount): readonly TdxEvent[] {
  if (expected?.boot === undefined || found?.boot === undefined) return [];
  return compareEvents(expected.boot, found.boot).unpredicted;
}

function untold(expected: LaunchAccount, found: LaunchAccount, unpredicted: readonly TdxEvent[]): readonly Untold[] {
  if (isTdx(expected) && isTdx(found)) {
    const hasEvents = expected.tdx.boot !== undefined && found.tdx.boot !== undefined;
    return hasEvents ? (unpredicted.length > 0 ? ['events'] : []) : ['rtmrs'];
  }
  if (isTdx(expected) || isTdx(found)) return [];
  const lacks = (of: (account: LaunchAccount) => unknown) => of(expected) !== undefined && of(found) === undefined;
  const digests = ({ steps }: LaunchAccount) => steps?.find(({ digest }) => digest !== undefined);
  return [
    ...(lacks(({ steps }) => steps) ? (['memory'] as const) : []),
    ...(lacks(digests) ? (['contents'] as const) : []),
    // Null: nothing is hashed, and the steps tell of it.
    ...(lacks(({ kernelHashes }) => kernelHashes ?? undefined) && found.kernelHashes !== null
      ? (['kernel-hashes'] as const)
      : []),
    ...(lacks(({ vcpus }) => vcpus) ? (['vcpus'] as const) : []),
    ...(lacks(({ vmsas }) => vmsas) ? (['cpu-state'] as const) : []),
  ];
}
