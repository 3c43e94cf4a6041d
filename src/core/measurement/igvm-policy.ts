/** @module The guest policy that an IGVM file asks for, and what it lets a host do. */
import type { IgvmLoader, Loading } from './igvm-loaders.ts';

/** Returns the policy as the loader has it where the file has several: for QEMU the last (qigvm_initialization_guest_policy), for the others the first. */
export function policyOf(loader: IgvmLoader, loading: Pick<Loading, 'file' | 'mask'>): bigint | undefined {
  const policies = policiesOf(loading);
  return loader === 'qemu' ? policies.at(-1) : policies[0];
}

function policiesOf({ file, mask }: Pick<Loading, 'file' | 'mask'>): readonly bigint[] {
  return file.policies.flatMap((one) => ((one.mask & mask) !== 0 ? [one.policy] : []));
}

/** Returns how loaders differ on the policy; undefined where they do not. */
export function policyDifference(loading: Loading): string | undefined {
  const [last, first] = [policyOf('qemu', loading), policyOf('microsoft', loading)];
  if (last === undefined || first === undefined || last === first) return undefined;
  return `several guest policies: QEMU has the last, ${hex(last)}, the others the first, ${hex(first)}`;
}

/** What QEMU's sev-snp-guest has without `policy`. */
const QEMU_DEFAULT = 0x3_0000n;

/** Returns what is to be said of the policy. */
export function policyWarnings(
  loader: IgvmLoader,
  { platform }: Loading,
  policy: bigint | undefined,
): readonly string[] {
  if (policy === undefined) return [];
  const warnings: string[] = [];
  if (allowsDebugging(platform, policy)) {
    warnings.push(`the guest policy ${hex(policy)} lets the host debug the guest: it reads and changes all memory`);
  }
  if (platform === 'snp' && (policy & SNP_RESERVED_ONE) === 0n) {
    warnings.push(`the guest policy ${hex(policy)} is none that SNP starts a guest with: bit 17 must be set`);
  }
  if (loader === 'qemu' && platform === 'snp' && policy !== QEMU_DEFAULT) {
    warnings.push(
      `QEMU begins the launch before it reads the guest policy of the file: give policy=${hex(policy)} to sev-snp-guest too, and see that reports have it`,
    );
  }
  return warnings;
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
