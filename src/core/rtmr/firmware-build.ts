/** @module What a build of OVMF measures, as far as its image tells: the drivers in it, and words in their code. */
import { BootsealError } from '../errors.ts';
import { walkFirmware } from '../firmware/contents.ts';
import { finder } from '../firmware/search.ts';
import type { Guid } from '../guid.ts';
import { encodeUtf8 } from '../utf8.ts';
import { UI_APP } from './load-option.ts';
import { BOOT_PROFILES, type BootProfile } from './profiles.ts';

/** What can be told from an image. */
export interface FirmwareBuild {
  /** Profiles that the image agrees with, oldest first. */
  readonly profiles: readonly BootProfile[];
  /** Whether it extends RTMRs at all. */
  readonly measures: boolean;
  /** Whether it has Secure Boot, on or off. */
  readonly secureBoot: boolean;
  /** Whether its own menu is the one boot option of a machine without others. */
  readonly onlyUiApp: boolean;
  /** Whether it measures items of fw_cfg, and the SMBIOS tables. */
  readonly fwCfg: boolean;
  readonly smbios: boolean;
}

/** Files by their name (edk2: SecureBootConfigDxe.inf, BootManagerMenuApp.inf, SmbiosMeasurementDxe.inf). */
const DRIVER = {
  secureBoot: 'f0e6a44f-7195-41c3-ac64-54f202cd0a21',
  bootMenu: 'eec25bdc-67f2-4d95-b1d5-f81b2039d11d',
  smbios: 'd27fed59-abb4-4fed-bead-2a878c7e4a7e',
} as const satisfies Record<string, Guid>;

/** Words of the code: of the first event of all, of QemuKernelLoaderFsDxe, QemuLoadImageLib and QemuFwCfgCacheInit.c. */
const WORDS = {
  measures: 'TdxTable',
  namedBlobs: 'etc/boot/\0',
  initrdFirst: 'initrd=initrd \0',
  fwCfg: 'QEMU FW CFG\0',
};

/** Reads a full image; throws `format` as `walkFirmware` does. */
export function readBuild(image: Uint8Array): FirmwareBuild {
  const files = new Set<Guid>();
  const found = new Set<string>();
  const words = Object.entries(WORDS).map(([name, word]) => ({ name, lies: finder(encodeUtf8(word)) }));
  walkFirmware(image, {
    file: (name) => void files.add(name),
    plain(bytes) {
      for (const { name, lies } of words) if (!found.has(name) && lies(bytes)) found.add(name);
    },
  });
  return {
    profiles: BOOT_PROFILES.filter(
      ({ initrdWord, kernelHeader }) =>
        (initrdWord === 'first') === found.has('initrdFirst') &&
        (kernelHeader === 'unchanged') === found.has('namedBlobs'),
    ),
    measures: found.has('measures'),
    secureBoot: files.has(DRIVER.secureBoot),
    onlyUiApp: files.has(UI_APP) && !files.has(DRIVER.bootMenu),
    fwCfg: found.has('fwCfg'),
    smbios: files.has(DRIVER.smbios),
  };
}

/** Throws `usage` for a build that extends no RTMR. */
export function checkMeasures({ measures }: FirmwareBuild): void {
  if (measures) return;
  throw new BootsealError('usage', 'the firmware extends no RTMR: its build has no measured boot for TDX', {
    hint: 'leave --kernel out for MRTD alone, or take a build that measures, such as edk2-stable202411 or later',
  });
}
