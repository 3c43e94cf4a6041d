/** @module What in an IGVM file the loaders treat differently, said in words. */
import type { Directive } from '../igvm/directives.ts';
import { differencesOfFile } from './igvm-file-stops.ts';
import { isSev, type Loading } from './igvm-loaders.ts';
import { policyDifference } from './igvm-policy.ts';
import { vcpusOfKvm, vcpusOfQemu } from './igvm-vcpus.ts';
import { claimsOtherPlatform, fieldsThatQemuLoses, hasBytesBehindSaveArea, qemuStopsAtVmsa } from './igvm-vmsa.ts';
import { changesOfKvm, whatKvmRefuses } from './kvm-vmsa.ts';
import { KVM_VMSA_GPA } from './profiles.ts';

/** One way in which loaders differ. */
interface Difference {
  readonly text: string;
  found(directive: Directive, loading: Loading): boolean;
}

const PAGE = 4096;
const own = ({ mask }: Directive, loading: Loading) => (mask & loading.mask) !== 0;
const hasVmsa = ({ mask }: Directive, { file }: Loading) =>
  file.platforms.some((one) => one.mask === mask && (one.type === 'snp' || one.type === 'sev-es'));

/** Whether it is a VMSA for the platform of which `says` holds. */
function ownVmsa(
  one: Directive,
  loading: Loading,
  says: (platform: 'snp' | 'sev-es', page: Uint8Array) => boolean,
): boolean {
  const { platform } = loading;
  if (one.kind !== 'vcpu' || (platform !== 'snp' && platform !== 'sev-es')) return false;
  return own(one, loading) && says(platform, one.page);
}

const SNP: readonly Difference[] = [
  {
    text: 'parameter area of several pages: igvmmeasure counts the first page alone, QEMU and microsoft/igvm all',
    found: (one, loading) => one.kind === 'insert' && own(one, loading) && one.size > PAGE,
  },
  {
    text: 'page shared with the host: microsoft/igvm leaves it out, QEMU and igvmmeasure count it',
    found: (one, loading) => one.kind === 'page' && own(one, loading) && one.shared,
  },
];

const LARGE: readonly Difference[] = [
  {
    text: 'page of 2 MiB with data: microsoft/igvm counts 4 KiB, QEMU the same 4 KiB and zeros behind them, igvmmeasure stops',
    found: (one, loading) => one.kind === 'page' && own(one, loading) && one.large && one.data !== undefined,
  },
  {
    text: 'page of 2 MiB without data: microsoft/igvm counts 4 KiB, QEMU and igvmmeasure all',
    found: (one, loading) =>
      one.kind === 'page' && own(one, loading) && one.large && one.data === undefined && !isSev(loading),
  },
];

const SEV: readonly Difference[] = [
  {
    text: 'page without data: QEMU hashes its zeros, igvmmeasure nothing',
    found: (one, loading) =>
      one.kind === 'page' && own(one, loading) && one.data === undefined && !one.unmeasured && one.type === 'normal',
  },
  {
    text: 'unmeasured page with data: igvmmeasure hashes it, QEMU does not',
    found: (one, loading) => one.kind === 'page' && own(one, loading) && one.unmeasured && one.data !== undefined,
  },
  {
    text: 'secrets or cpuid page, which only SNP has: QEMU stops, igvmmeasure hashes its data',
    found: (one, loading) => one.kind === 'page' && own(one, loading) && one.type !== 'normal',
  },
];

const VCPUS: readonly Difference[] = [
  {
    text: 'VMSA for another platform of the file: igvmmeasure counts it all the same',
    found: (one, loading) => one.kind === 'vcpu' && !own(one, loading) && hasVmsa(one, loading),
  },
  {
    text: "VMSA at another address than KVM's 0xfffffffff000: QEMU stops",
    found: (one, loading) =>
      one.kind === 'vcpu' && own(one, loading) && hasVmsa(one, loading) && one.gpa !== KVM_VMSA_GPA,
  },
  {
    text: 'VMSA whose sev_features are those of another platform: QEMU stops',
    found: (one, loading) => ownVmsa(one, loading, claimsOtherPlatform),
  },
  {
    text: 'VMSA with fields that QEMU cannot hand to KVM: QEMU stops',
    found: (one, loading) => ownVmsa(one, loading, (_, page) => fieldsThatQemuLoses(page).length > 0),
  },
  {
    text: 'VMSA with bytes behind its save area: QEMU and KVM leave them out, the others count them',
    found: (one, loading) => ownVmsa(one, loading, (_, page) => hasBytesBehindSaveArea(page)),
  },
  {
    text: 'CPU state for plain SEV: QEMU stops, igvmmeasure passes over it',
    found: (one, loading) => one.kind === 'vcpu' && own(one, loading) && loading.platform === 'sev',
  },
];

/** Returns the differences that the file has for a platform, with how often; empty where all loaders agree. */
export function igvmDifferences(loading: Loading): readonly string[] {
  const { file, platform } = loading;
  const found: string[] = [];
  // TDX has one implementation, so nothing to compare.
  if (platform === 'tdx') return found;
  found.push(...differencesOfFile(loading));
  const policy = policyDifference(loading);
  if (policy !== undefined) found.push(policy);
  for (const { text, found: matches } of [...(isSev(loading) ? SEV : SNP), ...LARGE, ...VCPUS]) {
    const count = file.directives.filter((directive) => matches(directive, loading)).length;
    if (count > 0) found.push(count === 1 ? text : `${text} (${count} of them)`);
  }
  const order = orderDifference(loading);
  if (order !== undefined) found.push(order);
  const changed = kvmDifference(loading);
  if (changed !== undefined) found.push(changed);
  return found;
}

/** As many fields as a difference names. */
const NAMED = 12;

/** What KVM refuses or changes in VMSAs that QEMU takes. */
function kvmDifference(loading: Loading): string | undefined {
  const { file, platform } = loading;
  if (platform !== 'snp' && platform !== 'sev-es') return undefined;
  const isTaken = (one: Directive) => one.kind !== 'vcpu' || qemuStopsAtVmsa(platform, one.gpa, one.page) === undefined;
  if (!file.directives.every((one) => !own(one, loading) || isTaken(one))) return undefined;
  const vcpus = vcpusOfQemu(loading);
  if (vcpus.some(({ page }) => whatKvmRefuses(page) !== undefined)) {
    return 'VMSA that KVM refuses: QEMU stops, the others count it';
  }
  const changes = new Set(vcpusOfKvm(loading).flatMap(({ page }, i) => changesOfKvm(vcpus[i]?.page ?? page, page)));
  if (changes.size === 0) return undefined;
  const named = [...changes].slice(0, NAMED).join(', ');
  const more = changes.size > NAMED ? ` and ${changes.size - NAMED} more` : '';
  return `VMSA that KVM has otherwise than the file, the others as in the file: ${named}${more}`;
}

/** QEMU adds CPU state when the launch ends, and parameter areas before the run of pages that they stand behind. */
function orderDifference(loading: Loading): string | undefined {
  const kinds = loading.file.directives.filter((one) => own(one, loading) && one.kind !== 'id-block');
  const state = kinds.findIndex(({ kind }) => kind === 'vcpu');
  if (state >= 0 && kinds.slice(state).some(({ kind }) => kind !== 'vcpu')) {
    return 'VMSA before other pages: QEMU and KVM measure it last, the others in file order';
  }
  const vcpus = kinds.flatMap((one) => (one.kind === 'vcpu' ? [one.vcpu] : []));
  if (new Set(vcpus).size < vcpus.length) {
    return 'several VMSAs for one vCPU: QEMU takes the last, the others measure each';
  }
  if (vcpus.some((vcpu, i) => i > 0 && vcpu < (vcpus[i - 1] ?? 0))) {
    return 'VMSAs not in the order of their vCPUs: QEMU and KVM measure them in it, the others in file order';
  }
  if (!isSev(loading) && kinds.some(({ kind }, i) => kind === 'insert' && kinds[i - 1]?.kind === 'page')) {
    return 'parameter area behind pages: QEMU measures it before the run of pages that it stands behind';
  }
  return undefined;
}
