/** @module Why a launch does not give the digest that its owner expects: what differs from the expected launch, and what causes it. */
import type { LaunchAccount } from './account.ts';
import type { Cause } from './cause.ts';
import { causesOf } from './causes.ts';
import { compareEvents } from './compare-events.ts';
import { type Comparison, compareLaunches } from './compare-launches.ts';
import { isTdx } from './compare-tdx.ts';
import type { Difference } from './difference.ts';
import type { TdxEvent } from './tdx-account.ts';

/** What an account may leave unsaid, so that it cannot differ. */
export type Untold = 'memory' | 'contents' | 'vcpus' | 'cpu-state' | 'kernel-hashes' | 'rtmrs' | 'events';

/** The answer. */
export interface Explanation extends Comparison {
  readonly causes: readonly Cause[];
  /** Differences that no cause is known of. */
  readonly unexplained: readonly Difference[];
  /** What was not compared, because one side does not tell it; of TDX guests, what either or both do not. */
  readonly untold: readonly Untold[];
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
  return { ...comparison, causes, unexplained, untold: untold(expected, found, unpredicted), unpredicted };
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
