/**
 * @module Causes between guests of IGVM files. A file is all that such a guest is started from: no firmware, no profile and no option
 * for vCPUs explains a difference, but another file does, or other rules for the same file (docs/igvm.md).
 */
import type { IgvmAccount, LaunchAccount } from './account.ts';
import type { Cause, CauseName, CauseRule } from './cause.ts';
import type { Comparison } from './compare-launches.ts';
import type { Difference } from './difference.ts';
import { areAlike, hasZeros, loaderDifferences } from './igvm-loader-differences.ts';

/** Whether what differs is between two plans of which one alone is of an IGVM file: they start something else altogether. */
export function isOneIgvm({ expected, found }: Comparison): boolean {
  return isPlan(expected) && isPlan(found) && (expected.igvm === undefined) !== (found.igvm === undefined);
}

/** Whether the guest that is expected, or the plan that was found, is of an IGVM file. */
export const isOfIgvm = ({ expected, found }: Comparison): boolean =>
  expected.igvm !== undefined || found.igvm !== undefined;

/** Logs do not say what they are of. */
const isPlan = ({ from }: LaunchAccount) => from === 'plan';

/** Explains all that differs between a guest of an IGVM file and one of a firmware. */
export const oneIgvm: CauseRule = (left, { expected }) => {
  const [one, other] = expected.igvm === undefined ? ['a firmware', 'an IGVM file'] : ['an IGVM file', 'a firmware'];
  const because = `a guest of ${one} was expected, and one of ${other} is started: that is something else altogether`;
  return causeOf(
    'igvm',
    left,
    because,
    'have the host start what is expected, or measure what it starts: measure igvm',
  );
};

/** The same file, on another platform or by other rules; where both plans say that those rules give the same, nothing is known to. */
const sameFile: CauseRule = (left, comparison) => {
  const { expected, found } = comparison;
  const [one, other] = [expected.igvm, found.igvm];
  if (one === undefined || other === undefined || !isSameFile(comparison)) return [];
  if (expected.platform !== found.platform) {
    return causeOf('platform', left, `${platforms(expected, found)}, from the same IGVM file`, platformAttempt(found));
  }
  if (areAlike(comparison) && !hasZeros(comparison)) return [];
  return causeOf('igvm-loader', left, `it is the same IGVM file, ${rules(one, other)}`, loaderAttempt(one, other));
};

function isSameFile({ expected: { igvm: one }, found: { igvm: other } }: Comparison): boolean {
  return one !== undefined && one.sha256 === other?.sha256;
}

const ofTwoFiles =
  (rule: CauseRule): CauseRule =>
  (left, comparison) =>
    isSameFile(comparison) ? [] : rule(left, comparison);

/** SNP has other steps than SEV and SEV-ES. */
const platform: CauseRule = (left, { expected, found }) => {
  const one = left.find(({ kind }) => kind === 'platform');
  if (one === undefined) return [];
  const explains = left.filter((other) => other === one || isOfSteps(other) || other.kind === 'vmsa-address');
  return causeOf('platform', explains, `${platforms(expected, found)}, from another IGVM file`, platformAttempt(found));
};

const platforms = (expected: LaunchAccount, found: LaunchAccount) =>
  `${expected.platform} was expected, and the guest was started as ${found.platform}`;

const platformAttempt = ({ platform: name }: LaunchAccount) =>
  `bootseal measure igvm --platform ${name}; on the host look at the confidential-guest-support object`;

/** What other rules may do to another file; that it is they, only the same file shows. */
const loader: CauseRule = (left, comparison) => {
  const { igvm: one } = comparison.expected;
  const { igvm: other } = comparison.found;
  if (one === undefined || other === undefined) return [];
  const explains = left.filter(loaderDifferences(comparison));
  const because = `they are two IGVM files, ${rules(one, other)}, which may make these differences`;
  return causeOf('igvm-loader', explains, because, loaderAttempt(one, other));
};

function rules(one: IgvmAccount, other: IgvmAccount): string {
  return one.loader === other.loader
    ? `by the rules of ${one.loader} on both sides: one took its pages without data for zero pages, or another version of bootseal measured it`
    : `by the rules of ${one.loader} on one side and of ${other.loader} on the other`;
}

const loaderAttempt = (one: IgvmAccount, other: IgvmAccount) =>
  one.loader === other.loader
    ? `bootseal measure igvm --as ${one.loader} with the same --native-zero on both sides`
    : `bootseal measure igvm --as ${other.loader} on both sides; what loads the file decides, qemu for QEMU with KVM`;

const ANOTHER_FILE = 'bootseal measure igvm with the very file that the host loads (sha256sum)';

/** Where steps and fields are alike and the digest is not, VMSAs stand elsewhere among the pages. */
const VCPU_KINDS: readonly string[] = ['vcpus', 'vmsa-address', 'vmsa-field', 'digest'];
const isOfVcpu = ({ kind, name }: Difference) =>
  VCPU_KINDS.includes(kind) || (kind === 'step-contents' && /^(?:vcpu |vmsa )/.test(name));
const isOfSteps = ({ kind }: Difference) => kind.startsWith('step-');
const isOfContents = (one: Difference) => one.kind === 'step-contents' && !isOfVcpu(one);
const isOfPages = (one: Difference) => isOfSteps(one) && one.kind !== 'step-contents';

const pages: CauseRule = (left, comparison) => {
  const isOfLoaders = loaderDifferences(comparison);
  const explains = left.filter((one) => isOfPages(one) && !isOfLoaders(one));
  const because = `the pages of the IGVM file are not as expected, first ${explains[0]?.name}: it is another file, or another build of it`;
  return causeOf('igvm-pages', explains, because, ANOTHER_FILE);
};

const contents: CauseRule = (left) => {
  const explains = left.filter(isOfContents);
  const because = `${explains[0]?.name} in the IGVM file has other contents: another build, or a file that was changed`;
  return causeOf('igvm-contents', explains, because, ANOTHER_FILE);
};

const vmsas: CauseRule = (left) => {
  const because =
    'the IGVM file has other VMSAs, or in another place: state of vCPUs stands in the file, and no option changes it';
  return causeOf('igvm-vmsa', left.filter(isOfVcpu), because, ANOTHER_FILE);
};

function causeOf(name: CauseName, explains: readonly Difference[], because: string, attempt: string): readonly Cause[] {
  return explains.length === 0 ? [] : [{ name, because, attempt, explains }];
}

/** The rules between two IGVM files, or between one and a log. */
export const IGVM_RULES: readonly CauseRule[] = [
  sameFile,
  ...[platform, pages, contents, loader, vmsas].map(ofTwoFiles),
];
