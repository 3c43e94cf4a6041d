/** @module What a person is told before a digest is computed: firmware that cannot start, options that cannot matter. */
import { checkStart, QEMU_BIOS_UNIT } from '../core/firmware/starts.ts';
import type { MeasuredFirmware, Platform } from '../core/measurement/measure.ts';
import type { Profile } from '../core/measurement/profiles.ts';
import { type Io, remark } from './io.ts';
import type { MeasureOptions } from './measure-options.ts';

/** Refuses firmware that cannot start on the platform, and says where that is not certain. */
export function checkFirmware(
  io: Io,
  platform: Platform,
  profile: Profile,
  { firmware, image }: MeasuredFirmware,
  options: MeasureOptions,
): void {
  if (profile.svsm === 'always') {
    remark(io, 'warning', `profile ${profile.name} describes no host: no platform reports this digest`);
  }
  // Of a descriptor only SNP can be measured, which says so itself.
  if (image === undefined && platform !== 'snp') return;
  const { answer, reason } = checkStart(firmware, platform);
  if (answer === 'unknown') remark(io, 'warning', `the firmware may not be what the host can start: ${reason}`);
  if (
    platform === 'snp' &&
    options.svsm === undefined &&
    firmware.size % QEMU_BIOS_UNIT !== 0 &&
    profile.name.startsWith('qemu')
  ) {
    remark(io, 'warning', 'QEMU starts SNP guests only with firmware of whole 64 KiB: is this file the full image?');
  }
}

/** Says what a digest means for the kernel. */
export function remarkOnKernel(io: Io, platform: Platform, profile: Profile, options: MeasureOptions): void {
  if (options.kernel === undefined) {
    if (profile.kernelHashes || platform === 'sev') {
      remark(io, 'warning', 'without --kernel the digest covers the firmware only: what it boots is up to the host');
    }
  } else if (platform !== 'sev' && !profile.kernelHashes) {
    const why = 'kernel hashes are measured because you gave --kernel';
    remark(io, 'warning', `guests under profile ${profile.name} boot from their disk; ${why}`);
  }
}

/** Names the options that were given and cannot matter. */
export function remarkOnIdleOptions(io: Io, platform: Platform, profile: Profile, options: MeasureOptions): void {
  const cpu = ['cpu', 'cpuSignature', 'cpuFamily', 'cpuModel', 'cpuStepping'] as const;
  const idle: readonly (keyof MeasureOptions)[] =
    platform === 'sev' ? ['vcpus', 'profile', 'vmsaFeatures', ...cpu] : profile.cpuMatters ? [] : cpu;
  const names = idle
    .filter((key) => options[key] !== undefined)
    .map((key) => `--${key.replace(/[A-Z]/g, (upper) => `-${upper.toLowerCase()}`)}`);
  if (platform !== 'snp' && options.unknownSections === 'zero') names.push('--unknown-sections');
  if (names.length === 0) return;
  const why =
    platform === 'sev' ? 'plain SEV measures no CPU state' : `profile ${profile.name} does not measure the CPU model`;
  remark(io, 'note', `${names.join(', ')} cannot change the digest: ${why}`);
}
