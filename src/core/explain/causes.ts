/** @module The table of causes. Each rule looks at what those before it have left unexplained; where each is from stands beside it. */
import { variableStoreOf } from '../identify/firmware-candidates.ts';
import { modelsOfSignature } from '../measurement/cpu-models.ts';
import { featureNames } from '../measurement/features.ts';
import { Vmsa } from '../measurement/vmsa.ts';
import { bootCauses } from './boot-causes.ts';
import type { Cause, CauseName, CauseRule } from './cause.ts';
import type { Comparison } from './compare-launches.ts';
import type { Difference } from './difference.ts';
import { hostContents } from './host-contents.ts';
import { IGVM_RULES, isOfIgvm, isOneIgvm, oneIgvm } from './igvm-causes.ts';
import { noTableCause } from './no-table-cause.ts';
import { pairSteps } from './pair-steps.ts';
import { platformCause } from './platform-cause.ts';
import { isSignature, profileCause } from './profile-cause.ts';
import { svsmCause, svsmOf } from './svsm-cause.ts';
import { isOfTdx, isOneTdx, TDX_RULES } from './tdx-causes.ts';
import { startOf } from './vmsa-launches.ts';

/** Makes one cause of all differences for which `is` holds. */
function causeOf(
  name: CauseName,
  is: (difference: Difference) => boolean,
  say: (first: Difference, all: readonly Difference[]) => readonly [because: string, attempt: string],
): CauseRule {
  return (left) => {
    const explains = left.filter(is);
    const [first] = explains;
    if (first === undefined) return [];
    const [because, attempt] = say(first, explains);
    return [{ name, because, attempt, explains }];
  };
}

const isField =
  (...names: readonly string[]) =>
  (one: Difference) =>
    one.kind === 'vmsa-field' && names.includes(one.name);

const isFirmware = ({ kind, name }: Difference): boolean => kind.startsWith('step-') && name === 'firmware';

/** Pflash and some launch scripts take the code alone, which starts elsewhere and is measured without the variable store. */
const firmwareSize: CauseRule = (left) => {
  const explains = left.filter((one) => isFirmware(one) && one.kind === 'step-length');
  const [first] = explains;
  if (first === undefined) return [];
  const [expected, found] = [Number(first.expected), Number(first.found)];
  const [store, other] = [variableStoreOf(expected), variableStoreOf(found)];
  if (found === expected - store) {
    const because = `the firmware is shorter by the ${store} bytes of a variable store: as it seems only its code part was loaded`;
    const attempt = `have the host load the whole image, or measure what it loads: tail -c +${store + 1} OVMF.fd > code.fd`;
    return [{ name: 'firmware-code-only', because, attempt, explains }];
  }
  if (expected === found - other) {
    const because = `the firmware is longer by the ${other} bytes of a variable store: as it seems the whole image was loaded, and only its code part was expected`;
    const attempt = 'give --firmware the whole image, not OVMF_CODE.fd';
    return [{ name: 'firmware-code-only', because, attempt, explains }];
  }
  return [anotherSize(explains, first)];
};

function anotherSize(explains: readonly Difference[], first: Difference | undefined): Cause {
  const [expected, found] = [Number(first?.expected), Number(first?.found)];
  return {
    name: 'firmware-size',
    because: `the firmware has ${found} bytes, and ${expected} were expected: it is another file`,
    attempt: 'give --firmware the very file that the host loads (sha256sum)',
    explains,
  };
}

/** Causes that the code part of the same image cannot have. */
const OTHER_BUILD: readonly CauseName[] = ['section-order', 'sections', 'reset-address'];

/** A firmware of another build may by chance be as much shorter. */
function withoutChance(causes: readonly Cause[]): readonly Cause[] {
  if (!causes.some(({ name }) => OTHER_BUILD.includes(name))) return causes;
  return causes.map((one) => (one.name === 'firmware-code-only' ? anotherSize(one.explains, one.explains[0]) : one));
}

const firmwareContents = causeOf(
  'firmware-contents',
  (one) => isFirmware(one) && one.kind === 'step-contents',
  () => [
    'the firmware has the expected size and other contents: another build or version',
    'give --firmware the very file that the host loads (sha256sum); bootseal identify takes several',
  ],
);

/** Another build has other contents, so its digest is no longer the one that both have after the firmware. */
const ofAnotherBuild =
  (rule: CauseRule): CauseRule =>
  (left, comparison) => {
    const [one, other] = [comparison.expected, comparison.found].map(({ steps }) => steps?.[0]);
    const isSame = one?.name === 'firmware' && one.digest !== undefined && one.digest.join() === other?.digest?.join();
    return isSame ? [] : rule(left, comparison);
  };

/** edk2 moved KERNEL_HASHES to the end of the metadata (pull request 6054); QEMU adds sections in the order of the file. */
const sectionOrder: CauseRule = (left, comparison) => (isFirmwareFirst(comparison) ? ofOrder(left, comparison) : []);

const ofOrder = causeOf(
  'section-order',
  ({ kind }) => kind === 'step-order',
  ({ name }) => [
    `the same sections come in another order, ${name} among them: the metadata is that of another edk2 build`,
    'give --firmware the very file that the host loads; bootseal firmware inspect shows its sections',
  ],
);

/** Every VMM adds the firmware before what its metadata asks for. */
function isFirmwareFirst({ expected: { steps = [] }, found: { steps: found = [] } }: Comparison): boolean {
  const [firmware = 0, ...others] = pairSteps(steps, found).found;
  return others.every((index) => index === undefined || index > firmware);
}

const SECTION_KINDS: readonly string[] = ['step-missing', 'step-added', 'step-type', 'step-length'];

/** SEV and SEV-ES add no sections. */
const sections: CauseRule = (left, comparison) =>
  comparison.expected.platform === 'snp' ? ofSections(left, comparison) : [];

const ofSections = causeOf(
  'sections',
  (one) => SECTION_KINDS.includes(one.kind) && !isFirmware(one),
  (first, all) => [
    `${all.length === 1 ? 'a section is' : 'sections are'} not as expected, first ${first.name}: the firmware’s SEV metadata is that of another build`,
    'give --firmware the very file that the host loads; bootseal firmware inspect shows its sections',
  ],
);

const vcpus = causeOf(
  'vcpus',
  ({ kind }) => kind === 'vcpus',
  ({ expected, found }) => [
    `the guest has ${found} ${found === '1' ? 'vCPU' : 'vCPUs'} at launch, and ${expected} ${expected === '1' ? 'was' : 'were'} expected (of -smp 4,maxcpus=16 only 4 count; kata adds its own)`,
    `--vcpus ${found}`,
  ],
);

/** RDX at reset is the signature of QEMU's -cpu model; on some hosts it is none, and then another profile or nothing that is known. */
const cpuModel = causeOf(
  'cpu-model',
  (one) => isField('rdx')(one) && [one.expected, one.found].every((rdx) => isSignature(BigInt(rdx ?? 0))),
  ({ expected, found }) => [
    `the vCPUs are ${cpuName(found)}, and ${cpuName(expected)} was expected: it is QEMU's -cpu that counts, not the host's processor`,
    `--cpu-signature ${found}`,
  ],
);

function cpuName(text = '0x0'): string {
  const models = modelsOfSignature(Number(text));
  return models.length === 0 ? `of signature ${text}` : `${models[0]} (${text})`;
}

const vmsaFeatures = causeOf('vmsa-features', isField('sev_features'), ({ expected = '0x0', found = '0x0' }) => {
  const [one, other] = [BigInt(expected), BigInt(found)];
  const [on, off] = [other & ~one, one & ~other];
  const parts = [...(on === 0n ? [] : [`has ${named(on)} on`]), ...(off === 0n ? [] : [`has ${named(off)} off`])];
  const host = ((on | off) & DEBUG_SWAP) === 0n ? '' : '; on the host: modprobe kvm_amd debug_swap=0 or 1';
  return [
    `SEV_FEATURES is ${found} in place of ${expected}: the host ${parts.join(' and ')}`,
    `--vmsa-features ${found}${host}`,
  ];
});

const DEBUG_SWAP = 0x20n;
const named = (features: bigint) =>
  [...((features & 1n) === 0n ? [] : ['SNP_ACTIVE']), ...featureNames(features)].join(', ');

/** CS base and RIP of all vCPUs but the first are the firmware's reset address. An SVSM and an IGVM file give none. */
const resetAddress: CauseRule = (left, { expected, found }) => {
  if (svsmOf(expected, found) !== undefined || svsmOf(found, expected) !== undefined) return [];
  const isGiven = ({ vcpu: { first } = { first: 0, count: 0 } }: Difference) => {
    const page = found.vmsas?.pages[first];
    return first > 0 && page !== undefined && startOf({ page }) !== 'reset';
  };
  const explains = left.filter((one) => isField('rip', 'cs.base')(one) && isGiven(one));
  if (explains.length === 0) return [];
  const because = 'the vCPUs other than the first start elsewhere: the firmware has another SEV-ES reset block';
  const attempt =
    'give --firmware the very file that the host loads; bootseal firmware inspect shows its reset address';
  return [{ name: 'reset-address', because, attempt, explains }];
};

/** sev-snp-measure up to 0.0.13 in its mode snp:svsm: MXCSR set, FCW lost, a state that no KVM produces. */
const fpuHalf: CauseRule = (left, { found: { vmsas } }) => {
  const isHalf = ({ vcpu }: Difference) => {
    const page = vmsas?.pages[vcpu?.first ?? 0];
    const { mxcsr, x87_fcw: fcw } = Vmsa.unpack(page ?? new Uint8Array(Vmsa.size));
    return mxcsr === 0x1f80 && fcw === 0;
  };
  const explains = left.filter((one) => isField('mxcsr', 'x87_fcw')(one) && isHalf(one));
  if (explains.length === 0) return [];
  const because =
    'MXCSR is set and FCW is not, a state that no KVM produces: sev-snp-measure up to 0.0.13 makes it in its mode snp:svsm';
  return [{ name: 'fpu-half', because, attempt: 'take no reference values from that mode', explains }];
};

const idBlock = causeOf(
  'id-block',
  ({ kind }) => kind === 'id-block',
  () => [
    'the ID block that the host gave is for another digest: the platform refuses the launch with BAD_MEASUREMENT unless the guest has that one',
    'make the ID block for the digest that bootseal measure prints',
  ],
);

const RULES: readonly CauseRule[] = [
  noTableCause,
  platformCause,
  firmwareSize,
  firmwareContents,
  hostContents,
  svsmCause,
  profileCause,
  bootCauses,
  ofAnotherBuild(sectionOrder),
  ofAnotherBuild(sections),
  vcpus,
  cpuModel,
  vmsaFeatures,
  ofAnotherBuild(resetAddress),
  fpuHalf,
  idBlock,
];

/** What explains guests of a firmware explains none of an IGVM file, and none of TDX. */
function rulesFor(comparison: Comparison): readonly CauseRule[] {
  if (isOneTdx(comparison)) return [platformCause, ...(isOneIgvm(comparison) ? [oneIgvm] : [])];
  if (isOfTdx(comparison)) return TDX_RULES;
  if (isOneIgvm(comparison)) return [oneIgvm];
  return isOfIgvm(comparison) ? [...IGVM_RULES, idBlock] : RULES;
}

/** Returns the causes of the differences of a comparison, each difference under one cause at most. */
export function causesOf(comparison: Comparison): readonly Cause[] {
  let left = comparison.differences;
  const causes: Cause[] = [];
  for (const rule of rulesFor(comparison)) {
    const found = rule(left, comparison);
    causes.push(...found);
    const explained = new Set(found.flatMap(({ explains }) => explains));
    left = left.filter((one) => !explained.has(one));
  }
  return withoutChance(causes);
}
