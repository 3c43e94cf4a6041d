/** @module Why a launch does not give the digest that its owner expects: what differs from the expected launch, and what causes it. */
import type { LaunchAccount } from './account.ts';
import type { Cause } from './cause.ts';
import { causesOf } from './causes.ts';
import { type Comparison, compareLaunches } from './compare-launches.ts';
import type { Difference } from './difference.ts';

/** What an account may leave unsaid, so that it cannot differ. */
export type Untold = 'memory' | 'contents' | 'vcpus' | 'cpu-state' | 'kernel-hashes';

/** The answer. */
export interface Explanation extends Comparison {
  readonly causes: readonly Cause[];
  /** Differences that no cause is known of. */
  readonly unexplained: readonly Difference[];
  /** What was not compared, because one side does not tell it. */
  readonly untold: readonly Untold[];
}

/** Compares what the owner expects with what was found, and names causes. */
export function explainLaunch(expected: LaunchAccount, found: LaunchAccount): Explanation {
  const comparison = compareLaunches(expected, found);
  const causes = causesOf(comparison);
  const explained = new Set(causes.flatMap(({ explains }) => explains));
  const unexplained = comparison.differences.filter((one) => !explained.has(one));
  return { ...comparison, causes, unexplained, untold: untold(expected, found) };
}

function untold(expected: LaunchAccount, found: LaunchAccount): readonly Untold[] {
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
