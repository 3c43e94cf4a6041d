/**
 * @module Which kernel OVMF gets from QEMU, as far as a copy of fw_cfg shows: QEMU 10.0 and later have it in etc/boot (hw/i386/
 * x86-common.c, x86_load_linux), which OVMF looks at first since edk2-stable202502 (OvmfPkg/QemuKernelLoaderFsDxe).
 */
import { BootsealError } from '../core/errors.ts';
import type { BootProfile, KernelHeader } from '../core/rtmr/profiles.ts';
import { type Io, remark } from './io.ts';

/** Items of etc/boot that matter, each with what it takes the place of. */
export const NAMED_BLOBS = {
  kernel: 'the kernel with a changed header',
  shim: 'the kernel',
  initrd: '--initrd',
  cmdline: '--cmdline',
} as const;

/** One of {@link NAMED_BLOBS}. */
export type NamedBlob = keyof typeof NAMED_BLOBS;

/**
 * Returns what the header of the kernel is: as it was `given`, or as the profile and the items of a copy (undefined without one) tell.
 * Throws `usage` for a copy that does not tell, and for one of a guest that boots something else.
 */
export function kernelHeaderOf(
  io: Io,
  profile: BootProfile,
  given: KernelHeader | undefined,
  named: ReadonlySet<NamedBlob> | undefined,
): KernelHeader {
  const usual = profile.kernelHeader;
  if (named === undefined) return given ?? usual;
  const readsNamed = usual === 'unchanged';
  if (!readsNamed) {
    if (given === undefined && named.has('kernel')) remark(io, 'note', SINCE_10_2);
    return given ?? usual;
  }
  for (const blob of ['shim', 'initrd', 'cmdline'] as const) if (named.has(blob)) throw otherBoot(blob);
  if (!named.has('kernel')) return given ?? refuseToGuess();
  if (given === 'changed') remark(io, 'warning', TAKEN_UNCHANGED);
  return given ?? usual;
}

const SINCE_10_2 =
  'the copy is of QEMU 10.0 or later: from 10.2 on it leaves the kernel of a TDX guest alone, so give --kernel-header unchanged for that';

const TAKEN_UNCHANGED =
  'the copy has etc/boot/kernel, which this firmware takes unchanged: --kernel-header changed is of another host';

function refuseToGuess(): never {
  throw new BootsealError(
    'usage',
    'the copy of fw_cfg has no etc/boot/kernel, so it does not tell how the kernel looks',
    {
      hint: 'give --kernel-header changed for QEMU before 10.0; for a newer one copy it in a guest with -kernel, or give unchanged',
    },
  );
}

function otherBoot(blob: Exclude<NamedBlob, 'kernel'>): BootsealError {
  return new BootsealError(
    'usage',
    `the copy of fw_cfg has etc/boot/${blob}, which the firmware takes in place of ${NAMED_BLOBS[blob]}`,
    {
      hint: `start the guest without it (-shim, or -fw_cfg name=etc/boot/${blob}), and copy again: no such boot is predicted`,
    },
  );
}
