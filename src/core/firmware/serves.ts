/**
 * @module Which platforms and features a firmware image can serve, and why not. What `measure` would refuse is refused here too:
 * the same code runs, with a hash that costs nothing.
 */
import { BootsealError } from '../errors.ts';
import type { Hashes, RunningHash } from '../hash.ts';
import { HASH_TABLE_SIZE, usableHashArea } from '../measurement/hash-table.ts';
import type { Platform } from '../measurement/measure.ts';
import { findProfile } from '../measurement/profiles.ts';
import { snpFirmwareDigest } from '../measurement/snp.ts';
import { startSnpLaunch } from '../measurement/snp-launch.ts';
import { usableTdxSections } from '../measurement/tdx-sections.ts';
import { usableSecretArea } from './areas.ts';
import type { Firmware } from './firmware.ts';
import { ADVICE, type FirmwareLint } from './lint.ts';
import { AMDSEV, no, QEMU_BIOS_UNIT, startsOn, type Verdict, YES } from './starts.ts';

/** What an image can be asked for. */
export const FEATURES = {
  sev: 'SEV',
  sevEs: 'SEV-ES',
  snp: 'SEV-SNP',
  kernelHashes: 'kernel hashes',
  launchSecret: 'launch secret',
  tdx: 'TDX',
} as const;

/** A verdict on each of {@link FEATURES}. */
export type Verdicts = Readonly<Record<keyof typeof FEATURES, Verdict>>;

const WHOLE = 'give the full image, variable store and code in one file';

/** Judges an image; `lint` is absent when its content could not be read. */
export function assessFirmware(image: Uint8Array, firmware: Firmware, lint: FirmwareLint | undefined): Verdicts {
  return {
    sev: startsOn(firmware, 'sev'),
    sevEs: startsOn(firmware, 'sev-es'),
    snp: snp(image, firmware, undefined),
    kernelHashes: kernelHashes(image, firmware, lint),
    launchSecret: launchSecret(firmware, lint),
    tdx: tdx(firmware),
  };
}

/** Says whether an image can start on a platform with a hash table for its kernel. */
export function servesPlatform(image: Uint8Array, firmware: Firmware, platform: Platform): Verdict {
  return platform === 'snp' ? snp(image, firmware, HASH_TABLE) : startsOn(firmware, platform);
}

const HASH_TABLE = new Uint8Array(HASH_TABLE_SIZE);

function snp(image: Uint8Array, firmware: Firmware, hashTable: Uint8Array | undefined): Verdict {
  const es = startsOn(firmware, 'snp');
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

const FREE: Hashes = {
  sha256: () => new Uint8Array(32),
  sha384: () => new Uint8Array(48),
  startSha256: () => free(32),
  startSha384: () => free(48),
};

function free(size: number): RunningHash {
  return { update: () => undefined, copy: () => free(size), digest: () => new Uint8Array(size) };
}

/** Returns yes when `check` does not refuse, otherwise its words. */
function attempt(check: () => unknown): Verdict {
  try {
    check();
    return YES;
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    return no(error.message, error.hint);
  }
}

function kernelHashes(image: Uint8Array, firmware: Firmware, lint: FirmwareLint | undefined): Verdict {
  const area = attempt(() => usableHashArea(firmware));
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
  const area = attempt(() => usableSecretArea(firmware));
  if (area.answer !== 'yes') return area;
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
  return attempt(() => usableTdxSections(firmware));
}

const BFV = 0;
