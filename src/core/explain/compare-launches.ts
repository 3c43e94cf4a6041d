/** @module Everything in which two accounts of a launch differ, as far as both tell of it. */
import { bytesToHex } from '../hex.ts';
import type { AccountStep, LaunchAccount } from './account.ts';
import { compareSteps, contentsDifference, type FirstDivergence, firstDivergence } from './compare-steps.ts';
import { compareTdx, isTdx } from './compare-tdx.ts';
import { compareVmsas } from './compare-vmsas.ts';
import { type Difference, hexNumber } from './difference.ts';

/** Two launches, side by side. */
export interface Comparison {
  readonly expected: LaunchAccount;
  readonly found: LaunchAccount;
  readonly differences: readonly Difference[];
  /** Absent when the steps that both tell of are the same. */
  readonly first: FirstDivergence | undefined;
}

/** Compares what the owner expects with what was found. */
export function compareLaunches(expected: LaunchAccount, found: LaunchAccount): Comparison {
  if (isTdx(expected) && isTdx(found)) return { expected, found, ...compareTdx(expected, found) };
  if (isTdx(expected) || isTdx(found)) {
    const differences = platforms(expected, found);
    // Of one platform they are a plan of a firmware and one of an IGVM file.
    return {
      expected,
      found,
      first: undefined,
      differences: [...differences, ...onlyDigest(expected, found, differences)],
    };
  }
  const first = divergence(expected, found);
  const structure = [...platforms(expected, found), ...memory(expected, found), ...vcpuSteps(expected, found)];
  const inside = [...hashes(expected, found), ...cpuState(expected, found)];
  const differences = [...structure, ...contents(first, inside), ...inside, ...idBlock(expected, found)];
  return { expected, found, first, differences: [...differences, ...onlyDigest(expected, found, differences)] };
}

/** Runs over memory and, where both tell of them, vCPUs. */
function divergence(expected: LaunchAccount, found: LaunchAccount): FirstDivergence | undefined {
  if (expected.steps === undefined || found.steps === undefined) return undefined;
  const withVcpus = expected.vcpuSteps !== undefined && found.vcpuSteps !== undefined;
  const all = ({ igvm, steps = [], vcpuSteps = [] }: LaunchAccount): readonly AccountStep[] =>
    withVcpus ? (igvm?.steps ?? [...steps, ...vcpuSteps]) : steps;
  return firstDivergence(all(expected), all(found), found.cut);
}

function platforms({ platform: expected }: LaunchAccount, { platform: found }: LaunchAccount): readonly Difference[] {
  if (expected === undefined || found === undefined || expected === found) return [];
  return [{ kind: 'platform', name: 'platform', expected, found }];
}

function memory({ steps: expected }: LaunchAccount, { steps: found, cut }: LaunchAccount): readonly Difference[] {
  return expected === undefined || found === undefined ? [] : compareSteps(expected, found, cut);
}

function vcpuSteps(expected: LaunchAccount, found: LaunchAccount): readonly Difference[] {
  const differences: Difference[] = [];
  const { vcpus } = expected;
  if (vcpus !== undefined && found.vcpus !== undefined && isOtherCount(vcpus, found.vcpus, found)) {
    differences.push({ kind: 'vcpus', name: 'vCPUs', expected: `${vcpus}`, found: `${found.vcpus}` });
  }
  const [gpa, other] = [expected.vcpuSteps?.[0]?.gpa, found.vcpuSteps?.[0]?.gpa];
  if (gpa !== undefined && other !== undefined && gpa !== other) {
    differences.push({ kind: 'vmsa-address', name: 'VMSAs', expected: hexNumber(gpa), found: hexNumber(other) });
  }
  return differences;
}

/** A trace that is cut has at least the VMSAs that it shows; a dump beside it has all of them. */
const isOtherCount = (expected: number, count: number, { cut, vmsas }: LaunchAccount) =>
  cut === undefined || vmsas !== undefined ? expected !== count : expected < count;

function hashes(
  { kernelHashes: expected }: LaunchAccount,
  { kernelHashes: found }: LaunchAccount,
): readonly Difference[] {
  if (expected === undefined || expected === null || found === undefined || found === null) return [];
  return (['kernel', 'initrd', 'cmdline'] as const).flatMap((name) => {
    const [one, other] = [bytesToHex(expected[name]), bytesToHex(found[name])];
    return one === other ? [] : [{ kind: 'kernel-hash' as const, name, expected: one, found: other }];
  });
}

function cpuState({ vmsas: expected }: LaunchAccount, { vmsas: found }: LaunchAccount): readonly Difference[] {
  return expected === undefined || found === undefined ? [] : compareVmsas(expected, found);
}

/** Of contents that are told, the entries and fields that differ say more. */
function contents(first: FirstDivergence | undefined, inside: readonly Difference[]): readonly Difference[] {
  const difference = first === undefined ? undefined : contentsDifference(first);
  if (difference === undefined) return [];
  const kind = HASH_STEPS.includes(difference.name) ? 'kernel-hash' : 'vmsa-field';
  const isHashOrVcpu = HASH_STEPS.includes(difference.name) || first?.expected?.type === 'vmsa';
  return isHashOrVcpu && inside.some((one) => one.kind === kind) ? [] : [difference];
}

/** Names of the step that the hash table is added in, for SNP and for SEV. */
export const HASH_STEPS: readonly string[] = ['KERNEL_HASHES', 'kernel hashes'];

function idBlock({ digest }: LaunchAccount, { idBlockDigest: found }: LaunchAccount): readonly Difference[] {
  if (digest === undefined || found === undefined) return [];
  const [expected, other] = [bytesToHex(digest), bytesToHex(found)];
  return expected === other ? [] : [{ kind: 'id-block', name: 'ID block', expected, found: other }];
}

/** Files that agree in everything but their digests were not made by one rule. */
function onlyDigest(
  { digest: expected }: LaunchAccount,
  { digest: found }: LaunchAccount,
  others: readonly Difference[],
): readonly Difference[] {
  if (expected === undefined || found === undefined || others.length > 0) return [];
  const [one, other] = [bytesToHex(expected), bytesToHex(found)];
  return one === other ? [] : [{ kind: 'digest', name: 'digest', expected: one, found: other }];
}
