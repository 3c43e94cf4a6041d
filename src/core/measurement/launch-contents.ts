/** @module What the steps of a plan are made of, where a digest says only that they differ: kernel hashes and CPU state. */
import type { KernelHashes } from './hash-table.ts';
import type { Cpu, MeasureRequest } from './measure.ts';
import { placeSvsm, svsmVcpuPages } from './svsm.ts';
import { type VcpuPages, vcpuPages } from './vcpus.ts';

/** The pages of a guest's vCPUs, 4096 bytes each. */
export interface VmsaPages {
  /** The boot processor's. */
  readonly bsp: Uint8Array;
  /** Every other's; absent where there is only one vCPU. */
  readonly ap: Uint8Array | undefined;
}

/** What is in one guest besides its firmware. */
export interface LaunchContents {
  /** Absent when the host puts no hash table into the guest. */
  readonly kernelHashes: KernelHashes | undefined;
  /** Absent for SEV, which measures no CPU state. */
  readonly vmsas: VmsaPages | undefined;
}

/** Returns the contents of the guest of a request that has this CPU and number of vCPUs. Throws as `measure` does. */
export function launchContents(
  request: MeasureRequest,
  cpu: Cpu | undefined,
  vcpus: number | undefined,
): LaunchContents {
  const { kernel: kernelHashes, platform } = request;
  if (platform === 'sev') return { kernelHashes, vmsas: undefined };
  const pages = guestPages(request, cpu?.signature ?? 0);
  return { kernelHashes, vmsas: { bsp: pages.bsp, ap: (vcpus ?? 1) > 1 ? pages.ap() : undefined } };
}

function guestPages({ profile, features, firmware: { firmware }, svsm }: MeasureRequest, signature: number): VcpuPages {
  if (svsm === undefined) return vcpuPages(profile, signature, features, firmware.resetAddress);
  return svsmVcpuPages(profile, placeSvsm(svsm.image, firmware, svsm.varsSize), signature, features);
}
