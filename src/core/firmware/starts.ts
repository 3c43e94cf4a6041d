/** @module Whether a firmware can start on a platform at all, as far as its tables tell. */
import { BootsealError } from '../errors.ts';
import type { Platform } from '../measurement/measure.ts';
import type { Firmware } from './firmware.ts';

/** `partly` is less than was promised; `unknown` is what this image does not show. */
export type Answer = 'yes' | 'partly' | 'no' | 'unknown';

/** An answer, and where it is not yes why, and what to do. */
export type Verdict = { readonly answer: 'yes'; readonly reason?: never; readonly advice?: never } | Objection;

/** What stands against an image. */
export interface Objection {
  readonly answer: Exclude<Answer, 'yes'>;
  readonly reason: string;
  readonly advice: string;
}

/** The build that serves everything bootseal is for. */
export const AMDSEV = 'build OvmfPkg/AmdSev/AmdSevX64.dsc';

/** QEMU takes firmware with -bios in multiples of this, bytes (hw/i386/x86-common.c, x86_bios_rom_init). */
export const QEMU_BIOS_UNIT = 0x10000;

/** There is nothing to say against it. */
export const YES: Verdict = { answer: 'yes' };

/** An answer with its reason and what to do. */
export const no = (reason: string, advice: string): Objection => ({ answer: 'no', reason, advice });

function sev(firmware: Firmware): Verdict {
  if (firmware.svsmEntry !== undefined) return svsm();
  if (firmware.sevSections?.some((section) => section.size === 0)) {
    return no('its SEV metadata has empty sections, as builds for TDX only have', AMDSEV);
  }
  if (firmware.footer.length > 0) return YES;
  return {
    answer: 'unknown',
    reason: 'it has no footer table, so it is OVMF of before 2021 or another firmware',
    advice: 'use an OVMF of 2022 or later',
  };
}

function svsm(): Verdict {
  return no('it is an SVSM, which runs below a firmware', 'give OVMF here and this file to measure snp --svsm');
}

/** Says from its tables alone whether an image can start on a platform; what SNP measures of it is checked when it is measured. */
export function startsOn(firmware: Firmware, platform: Platform): Verdict {
  const plain = sev(firmware);
  if (platform === 'sev' || plain.answer === 'no') return plain;
  if ((firmware.resetAddress ?? 0) !== 0) return YES;
  return no(
    'its footer does not say where further vCPUs start (no SEV-ES reset block)',
    firmware.footer.length > 0 ? AMDSEV : 'use an OVMF of 2022 or later, and the whole image',
  );
}

/** Returns the verdict of `startsOn`; throws `format` when that is no. */
export function checkStart(firmware: Firmware, platform: Platform): Verdict {
  const verdict = startsOn(firmware, platform);
  if (verdict.answer !== 'no') return verdict;
  const { reason, advice } = verdict;
  throw new BootsealError('format', `the firmware cannot serve ${platform}: ${reason}`, { hint: advice });
}
