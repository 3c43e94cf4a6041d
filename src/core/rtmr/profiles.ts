/**
 * @module What firmware does by itself when it boots a TDX guest's kernel, which changed from release to release of edk2. A
 * distribution may have taken a change earlier: where the image itself tells, firmware-build.ts reads it there.
 */
import { BootsealError } from '../errors.ts';

/** Whether the kernel reaches the firmware as QEMU got it, or with a header that QEMU before 10.2 has filled in. */
export const KERNEL_HEADERS = ['changed', 'unchanged'] as const;

/** One of {@link KERNEL_HEADERS}. */
export type KernelHeader = (typeof KERNEL_HEADERS)[number];

/** How one row of edk2's releases measures a direct boot. */
export interface BootProfile {
  /** After the first release that does so. */
  readonly name: string;
  /** Counts up when the description changes, so that a value can be traced to it. */
  readonly version: number;
  readonly describes: string;
  /** In which register the separator lies that is measured before the boot. */
  readonly separator: 0 | 1;
  /** Where in the kernel's load options the firmware puts initrd=initrd. */
  readonly initrdWord: 'first' | 'last';
  /** What the kernel's header is with the QEMU that was there at that time. */
  readonly kernelHeader: KernelHeader;
  /** Commits of edk2. */
  readonly source: string;
}

/** Oldest first. */
export const BOOT_PROFILES: readonly BootProfile[] = [
  {
    name: 'edk2-202211',
    version: 1,
    describes: 'edk2-stable202211 to 202408: two separators in RTMR0',
    separator: 0,
    initrdWord: 'last',
    kernelHeader: 'changed',
    source: 'before efaf8931bbfa',
  },
  {
    name: 'edk2-202411',
    version: 1,
    describes: 'edk2-stable202411: a separator in RTMR1',
    separator: 1,
    initrdWord: 'last',
    kernelHeader: 'changed',
    source: 'efaf8931bbfa OvmfPkg/TdTcg2Dxe: Fix the SeparatorEvent issue in RTMRs',
  },
  {
    name: 'edk2-202502',
    version: 1,
    describes:
      'edk2-stable202502 and 202505: the kernel is taken from etc/boot/kernel, as QEMU 10.0 and later give it unchanged',
    separator: 1,
    initrdWord: 'last',
    kernelHeader: 'unchanged',
    source: 'pull request 10628, OvmfPkg/QemuKernelLoaderFsDxe: add support for named blobs',
  },
  {
    name: 'edk2-202508',
    version: 1,
    describes: 'edk2-stable202508 and later: initrd=initrd comes before the command line',
    separator: 1,
    initrdWord: 'first',
    kernelHeader: 'unchanged',
    source: 'pull request 11115, QemuLoadImageLib: Prefix initrd=initrd in cmdline',
  },
];

/** Returns the profile of this name; throws `usage` for another. */
export function findBootProfile(name: string): BootProfile {
  const found = BOOT_PROFILES.find((profile) => profile.name === name);
  if (found !== undefined) return found;
  throw new BootsealError('usage', `no profile of firmware is called ${JSON.stringify(name.slice(0, 64))}`, {
    hint: `known are ${BOOT_PROFILES.map((profile) => profile.name).join(', ')}`,
  });
}
