/** @module The VMSA pages of a guest's vCPUs: one for the boot processor, the same one for every other. */
import { BootsealError } from '../errors.ts';
import { type Profile, profileVmsa } from './profiles.ts';

/** KVM_MAX_VCPUS on x86 (Linux arch/x86/include/asm/kvm_host.h, CONFIG_KVM_MAX_NR_VCPUS up to 4096). */
export const MAX_VCPUS = 4096;

/** The two pages that all vCPUs of a guest are made of, 4096 bytes each. */
export interface VcpuPages {
  readonly bsp: Uint8Array;
  /** Throws `format` when the firmware does not say where application processors start. */
  ap(): Uint8Array;
}

/** Returns the pages for a CPU signature and features under `profile`; `resetAddress` is the firmware's, if it has one. */
export function vcpuPages(
  profile: Profile,
  signature: number,
  features: bigint,
  resetAddress: number | undefined,
): VcpuPages {
  const bsp = profileVmsa(profile, 'bsp', { signature, features, resetAddress: 0 });
  let ap: Uint8Array | undefined;
  return {
    bsp,
    ap() {
      if (resetAddress === undefined) {
        throw new BootsealError('format', 'the firmware has no SEV-ES reset block, so only one vCPU can start', {
          hint: '`bootseal firmware inspect` shows what the file has; OVMF before 2020 does not support SEV-ES',
        });
      }
      ap ??= profileVmsa(profile, 'ap', { signature, features, resetAddress });
      return ap;
    },
  };
}

/** Throws `usage` unless every count is a whole number from 1 to 4096. */
export function checkVcpuCounts(counts: readonly number[]): void {
  for (const count of counts) {
    if (!Number.isInteger(count) || count < 1 || count > MAX_VCPUS) {
      throw new BootsealError('usage', `${count} is not a number of vCPUs`, { hint: `a guest has 1 to ${MAX_VCPUS}` });
    }
  }
}
