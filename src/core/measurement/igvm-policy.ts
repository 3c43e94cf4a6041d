/** @module The guest policy that an IGVM file asks for, and what it lets a host do. */
import type { IgvmLoader, Loading } from './igvm-loaders.ts';

/**
 * Returns the policy as the loader has it: for QEMU on SNP the last of several (qigvm_initialization_guest_policy), and none where that is 0
 * (cgs_set_guest_policy in target/i386/sev.c, 1c980ea); else the first, also for SEV and SEV-ES, where QEMU reads none.
 */
export function policyOf(loader: IgvmLoader, loading: Pick<Loading, 'file' | 'mask' | 'platform'>): bigint | undefined {
  const policies = policiesOf(loading);
  if (loader !== 'qemu' || loading.platform !== 'snp') return policies[0];
  const last = policies.at(-1);
  return last === 0n ? undefined : last;
}

function policiesOf({ file, mask }: Pick<Loading, 'file' | 'mask'>): readonly bigint[] {
  return file.policies.flatMap((one) => ((one.mask & mask) !== 0 ? [one.policy] : []));
}

/** Returns how loaders differ on the policy; undefined where they do not. */
export function policyDifference(loading: Loading): string | undefined {
  const [its, first] = [policyOf('qemu', loading), policyOf('microsoft', loading)];
  if (first === undefined || its === first) return undefined;
  return its === undefined
    ? `guest policy 0x0: QEMU keeps that of sev-snp-guest, the others have ${hex(first)}`
    : `several guest policies: QEMU has the last, ${hex(its)}, the others the first, ${hex(first)}`;
}

/** What QEMU's guests have without `policy`. */
const QEMU_DEFAULT = { snp: 0x3_0000n, sev: 1n } as const;

/** Returns what is to be said of the policy. */
export function policyWarnings(
  loader: IgvmLoader,
  { platform }: Loading,
  policy: bigint | undefined,
): readonly string[] {
  if (policy === undefined) return [];
  if (loader === 'qemu' && platform !== 'snp') return unreadByQemu(platform, policy);
  const warnings: string[] = [];
  if (allowsDebugging(platform, policy)) {
    warnings.push(`the guest policy ${hex(policy)} lets the host debug the guest: it reads and changes all memory`);
  }
  if (platform === 'snp' && (policy & SNP_RESERVED_ONE) === 0n) {
    warnings.push(`the guest policy ${hex(policy)} is none that SNP starts a guest with: bit 17 must be set`);
  }
  if (loader === 'qemu' && policy !== QEMU_DEFAULT.snp) {
    warnings.push(
      `QEMU begins the launch before it reads the guest policy of the file: give policy=${hex(policy)} to sev-snp-guest too, and see that reports have it`,
    );
  }
  return warnings;
}

/** qigvm_handle_policy (QEMU backends/igvm.c) is for SNP alone. */
function unreadByQemu(platform: Loading['platform'], policy: bigint): readonly string[] {
  if (policy === QEMU_DEFAULT.sev) return [];
  return [`QEMU does not read the guest policy of the file, ${hex(policy)}, for ${platform}: that of sev-guest counts`];
}

/** Of SNP's POLICY, bit 17. */
const SNP_RESERVED_ONE = 1n << 17n;
const SNP_DEBUG = 1n << 19n;
/** NODBG of SEV and SEV-ES. */
const SEV_NO_DEBUG = 1n;
/** TdxPolicy of microsoft/igvm. */
const TDX_DEBUG = 1n;

function allowsDebugging(platform: Loading['platform'], policy: bigint): boolean {
  if (platform === 'snp') return (policy & SNP_DEBUG) !== 0n;
  return platform === 'tdx' ? (policy & TDX_DEBUG) !== 0n : (policy & SEV_NO_DEBUG) === 0n;
}

const hex = (value: bigint) => `0x${value.toString(16)}`;
