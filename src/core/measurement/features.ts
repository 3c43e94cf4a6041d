/** @module The SEV_FEATURES field of the VMSA (AMD APM volume 2, table B-4): which features are on is measured. */
import { BootsealError } from '../errors.ts';

const SNP_ACTIVE = 1n;

/** Returns the features of a guest about which nothing is said: SNP_ACTIVE for SNP, none for SEV-ES. */
export function defaultFeatures(platform: 'sev-es' | 'snp'): bigint {
  return platform === 'snp' ? SNP_ACTIVE : 0n;
}

const NAMES: readonly (readonly [bit: number, name: string])[] = [
  [1, 'vTOM'],
  [2, 'ReflectVC'],
  [3, 'RestrictedInjection'],
  [4, 'AlternateInjection'],
  [5, 'DebugSwap'],
  [6, 'PreventHostIBS'],
  [7, 'BTBIsolation'],
  [8, 'VmplSSS'],
  [9, 'SecureTSC'],
  [10, 'VmgexitParameter'],
  [12, 'IbsVirtualization'],
  [14, 'VmsaRegProt'],
  [15, 'SmtProtection'],
  [21, 'IbpbOnEntry'],
  [63, 'AllowedSevFeatures'],
];

/** Returns the names of what is on besides SNP itself; bits without a name together as a number. */
export function featureNames(features: bigint): readonly string[] {
  const named = NAMES.filter(([bit]) => ((features >> BigInt(bit)) & 1n) === 1n);
  const rest = named.reduce((left, [bit]) => left & ~(1n << BigInt(bit)), features & ~SNP_ACTIVE);
  const names = named.map(([, name]) => name);
  return rest === 0n ? names : [...names, `0x${rest.toString(16)}`];
}

/** Throws `usage` unless the value fits 64 bits and its bit 0 (SNP_ACTIVE) agrees with the platform. */
export function checkFeatures(platform: 'sev-es' | 'snp', features: bigint): void {
  // For callers without a compiler.
  if (typeof features !== 'bigint') throw noFeatures(String(features));
  if (features < 0n || features >> 64n !== 0n) {
    throw noFeatures(`0x${features.toString(16)}`);
  }
  const active = (features & SNP_ACTIVE) !== 0n;
  if (active !== (platform === 'snp')) {
    throw new BootsealError(
      'usage',
      `VMSA features 0x${features.toString(16)}: bit 0 (SNP_ACTIVE) is ${active ? 'set' : 'not set'}, which no ${platform === 'snp' ? 'SNP' : 'SEV-ES'} guest has`,
      {
        hint:
          platform === 'snp'
            ? 'KVM always sets bit 0 for SNP: 0x1, with DebugSwap 0x21'
            : 'SEV-ES uses 0x0, with DebugSwap 0x20',
      },
    );
  }
}

const noFeatures = (shown: string): BootsealError =>
  new BootsealError('usage', `VMSA features ${shown} do not fit in 64 bits`, {
    hint: 'give SEV_FEATURES as the VMSA has them, such as 0x1',
  });
