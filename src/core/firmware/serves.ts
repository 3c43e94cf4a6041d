/**
 * @module Which platforms and features a firmware image can serve, and why not. What `measure` would refuse is refused here too:
 * the same code runs, with a hash that costs nothing.
 */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import { HASH_TABLE_SIZE, usableHashArea } from '../measurement/hash-table.ts';
import type { Platform } from '../measurement/measure.ts';
import { findProfile } from '../measurement/profiles.ts';
import { snpFirmwareDigest } from '../measurement/snp.ts';
import { startSnpLaunch } from '../measurement/snp-launch.ts';
import type { Firmware } from './firmware.ts';
import { ADVICE, type FirmwareLint } from './lint.ts';

/** `partly` is less than was promised; `unknown` is what this image does not show. */
export type Answer = 'yes' | 'partly' | 'no' | 'unknown';

/** An answer, why it is not yes, and what to do. */
export interface Verdict {
  readonly answer: Answer;
  readonly reason?: string;
  readonly advice?: string;
}

/** What an image can be asked for. */
export const FEATURES = {
  sev: 'SEV',
  sevEs: 'SEV-ES',
  snp: 'SEV-SNP',
  kernelHashes: 'kernel hashes',
  launchSecret: 'launch secret',
  tdx: 'TDX',
} as const;

export type Verdicts = Readonly<Record<keyof typeof FEATURES, Verdict>>;

const AMDSEV = 'build OvmfPkg/AmdSev/AmdSevX64.dsc';
const WHOLE = 'give the full image, variable store and code in one file';

/** Judges an image; `lint` is absent when its content could not be read. */
export function assessFirmware(image: Uint8Array, firmware: Firmware, lint: FirmwareLint | undefined): Verdicts {
  return {
    sev: sev(firmware),
    sevEs: sevEs(firmware),
    snp: snp(image, firmware, undefined),
    kernelHashes: kernelHashes(image, firmware, lint),
    launchSecret: launchSecret(firmware, lint),
    tdx: tdx(firmware),
  };
}

/** Says whether an image can start on a platform with a hash table for its kernel. */
export function servesPlatform(image: Uint8Array, firmware: Firmware, platform: Platform): Verdict {
  if (platform === 'snp') return snp(image, firmware, HASH_TABLE);
  return platform === 'sev' ? sev(firmware) : sevEs(firmware);
}

const HASH_TABLE = new Uint8Array(HASH_TABLE_SIZE);

const YES: Verdict = { answer: 'yes' };
const no = (reason: string, advice: string): Verdict => ({ answer: 'no', reason, advice });

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

function sevEs(firmware: Firmware): Verdict {
  const plain = sev(firmware);
  if (plain.answer === 'no') return plain;
  if ((firmware.resetAddress ?? 0) !== 0) return YES;
  return no(
    'its footer does not say where further vCPUs start (no SEV-ES reset block)',
    firmware.footer.length > 0 ? AMDSEV : 'use an OVMF of 2022 or later, and the whole image',
  );
}

function snp(image: Uint8Array, firmware: Firmware, hashTable: Uint8Array | undefined): Verdict {
  const es = sevEs(firmware);
  if (es.answer !== 'yes') return es;
  const measured = attempt(() => {
    const start = snpFirmwareDigest(image, firmware.gpa, FREE);
    startSnpLaunch(start, { firmware, hashTable, profile: findProfile('qemu'), unknownSections: 'refuse' }, FREE);
  });
  if (measured.answer !== 'yes' || image.length % QEMU_BIOS_UNIT === 0) return measured;
  return {
    answer: 'partly',
    reason: 'not with QEMU, which takes it for SNP with -bios only, and there only multiples of 64 KiB',
    advice: WHOLE,
  };
}

/** QEMU hw/i386/x86-common.c, x86_bios_rom_init. */
const QEMU_BIOS_UNIT = 0x10000;

const FREE: Hashes = {
  sha256: () => new Uint8Array(32),
  sha384: () => new Uint8Array(48),
  startSha256: () => ({ update: () => undefined, copy: FREE.startSha256, digest: () => new Uint8Array(32) }),
};

/** Returns yes when `check` does not refuse, otherwise its words. */
function attempt(check: () => unknown): Verdict {
  try {
    check();
    return YES;
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    return no(error.message, error.hint ?? AMDSEV);
  }
}

function kernelHashes(image: Uint8Array, firmware: Firmware, lint: FirmwareLint | undefined): Verdict {
  const area = attempt(() => usableHashArea(firmware.hashArea));
  if (area.answer !== 'yes') return { ...area, advice: AMDSEV };
  if (lint === undefined) return unseen('room for them, but whether it checks the hashes');
  if (!has(lint, 'verifier')) {
    return no('it has room for them, but nothing in it checks them: any kernel is started', AMDSEV);
  }
  if (has(lint, 'unverified-blobs')) {
    return { answer: 'partly', reason: 'some blobs go unverified', advice: ADVICE['enforcing-some-unverified'] };
  }
  const measured = snp(image, firmware, HASH_TABLE);
  if (measured.answer === 'no' && snp(image, firmware, undefined).answer !== 'no') {
    return { ...measured, answer: 'partly', reason: `SEV and SEV-ES only: ${measured.reason}` };
  }
  return YES;
}

function launchSecret(firmware: Firmware, lint: FirmwareLint | undefined): Verdict {
  if (firmware.secretArea === undefined) return no('its footer names no area for one', AMDSEV);
  if (lint === undefined) return unseen('room for one, but whether it guards the area');
  if (!has(lint, 'secret-driver')) {
    return no('it has room for one, but nothing in it guards the area or tells the guest of it', AMDSEV);
  }
  return YES;
}

const has = (lint: FirmwareLint, name: string) => lint.findings.some((one) => one.name === name && one.found);

function unseen(what: string): Verdict {
  return {
    answer: 'unknown',
    reason: `it has ${what} cannot be seen in this file`,
    advice: WHOLE,
  };
}

function tdx(firmware: Firmware): Verdict {
  if (firmware.tdxSections === undefined) {
    return no('its footer has no TDX metadata', 'build OvmfPkg/IntelTdx/IntelTdxX64.dsc');
  }
  const outside = firmware.tdxSections.some(({ dataOffset, rawSize }) => dataOffset + rawSize > firmware.size);
  if (outside) return no('its TDX metadata refers to parts that are not in this file', WHOLE);
  if (!firmware.tdxSections.some((section) => section.type === BFV && section.rawSize > 0)) {
    return no('its TDX metadata names no firmware code', 'build OvmfPkg/IntelTdx/IntelTdxX64.dsc');
  }
  return YES;
}

const BFV = 0;
