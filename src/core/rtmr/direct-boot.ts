/**
 * @module What OVMF and Linux extend into the RTMRs of a TDX guest that QEMU boots directly, in the order of a log (edk2
 * OvmfPkg/Tcg/TdTcg2Dxe; for Linux efi-stub.ts; confirmed by logs of real machines: test/unit/rtmr).
 */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import { checkMemory } from '../measurement/machine-memory.ts';
import { withQemuHeader } from '../measurement/setup-header.ts';
import type { UsableTdxSection } from '../measurement/tdx-sections.ts';
import { unifiedKernelParts } from '../measurement/unified-kernel.ts';
import { encodeUtf8 } from '../utf8.ts';
import { authenticode } from './authenticode.ts';
import { type BootVariables, bootVariableEvents } from './boot-variables.ts';
import { stubEvents } from './efi-stub.ts';
import { EV, type PredictedEvent, type Rtmr } from './events.ts';
import { checkMeasures, type FirmwareBuild } from './firmware-build.ts';
import { type FwCfgItems, fwCfgEvents } from './fw-cfg.ts';
import type { BootProfile, KernelHeader } from './profiles.ts';
import { secureBootEvents } from './secure-boot.ts';
import { measuredSmbios } from './smbios.ts';
import { loadedFiles } from './table-loader.ts';
import { tdHob } from './td-hob.ts';

/** The files of fw_cfg by which QEMU hands ACPI tables over. */
export interface AcpiFiles {
  /** etc/table-loader */
  readonly loader: Uint8Array;
  /** etc/acpi/rsdp */
  readonly rsdp: Uint8Array;
  /** etc/acpi/tables */
  readonly tables: Uint8Array;
}

/** A launch whose RTMRs are predicted. */
export interface DirectBoot {
  /** The full image, and what its tables and code say. */
  readonly image: Uint8Array;
  readonly sections: readonly UsableTdxSection[];
  readonly build: FirmwareBuild;
  readonly profile: BootProfile;
  readonly kernelHeader: KernelHeader;
  /** The whole file. */
  readonly kernel: Uint8Array;
  /** Its size in bytes and SHA-384; undefined without one. */
  readonly initrd: { readonly bytes: number; readonly sha384: Uint8Array } | undefined;
  /** Without its NUL. */
  readonly cmdline: Uint8Array;
  /** Bytes. */
  readonly memory: number | undefined;
  readonly acpi: AcpiFiles | undefined;
  readonly fwCfg: FwCfgItems | undefined;
  /** All structures, with their end marker. */
  readonly smbios: Uint8Array | undefined;
  readonly bootVariables: BootVariables;
}

type Sha384 = Pick<Hashes, 'sha384' | 'startSha384'>;

/**
 * Returns the events of a direct boot. Where an input is missing, or the firmware measures what is not known here, an event says so.
 * Throws `format` for a kernel that OVMF would start unmeasured, and for files that are not what they are given as; `usage` for what
 * no guest is started with, and for a unified kernel image, whose own stub measures more.
 */
export function directBootEvents(boot: DirectBoot, hashes: Sha384): readonly PredictedEvent[] {
  const { build, profile } = boot;
  checkMeasures(build);
  if (boot.memory !== undefined) checkMemory(boot.memory);
  const known = (rtmr: Rtmr, type: number, name: string, data: Uint8Array) =>
    event(rtmr, type, name, hashes.sha384(data));
  const action = (name: string) => known(1, EV.action, name, encodeUtf8(name));
  const separator = (rtmr: Rtmr) => known(rtmr, EV.separator, 'separator', new Uint8Array(4));
  return [
    memoryEvent(boot, hashes),
    ...variableEvents(boot, hashes),
    separator(0),
    ...acpiEvents(boot.acpi, hashes),
    event(1, EV.bootServicesApplication, 'kernel', kernelDigest(boot, hashes)),
    ...(build.smbios ? [smbiosEvent(boot.smbios, hashes)] : []),
    ...bootVariableEvents(boot.bootVariables, build, hashes),
    action('Calling EFI Application from Boot Option'),
    separator(profile.separator),
    ...stubEvents(boot, hashes),
    action('Exit Boot Services Invocation'),
    action('Exit Boot Services Returned with Success'),
  ];
}

const event = (rtmr: Rtmr, type: number, name: string, digest: Uint8Array): PredictedEvent => ({
  rtmr,
  type,
  name,
  digest: new Uint8Array(digest),
  missing: undefined,
});

const unknown = (rtmr: Rtmr, type: number, name: string, missing: string): PredictedEvent => ({
  rtmr,
  type,
  name,
  digest: undefined,
  missing,
});

function memoryEvent({ memory, sections }: DirectBoot, { sha384 }: Sha384): PredictedEvent {
  const [type, name] = [EV.handoffTables2, 'TD HOB'];
  if (memory === undefined) return unknown(0, type, name, 'the size of memory is not given');
  return event(0, type, name, sha384(tdHob(memory, sections)));
}

/** The variable store as the image has it, what else comes before the variables, and those of Secure Boot. */
function variableEvents({ image, sections, build, fwCfg }: DirectBoot, hashes: Sha384): readonly PredictedEvent[] {
  const section = sections.find(({ name }) => name === 'CFV');
  if (section?.dataOffset === undefined) return [unknown(0, EV.firmwareBlob2, 'CFV', NO_CFV)];
  const cfv = image.subarray(section.dataOffset, section.dataOffset + section.size);
  return [
    event(0, EV.firmwareBlob2, 'CFV', hashes.sha384(cfv)),
    ...(build.fwCfg ? fwCfgEvents(fwCfg, hashes) : []),
    ...secureBootEvents(cfv, build, hashes),
  ];
}

const NO_CFV = 'the firmware has no variable store (CFV), so its variables are not known';

const RSDP = 'etc/acpi/rsdp';
const TABLES = 'etc/acpi/tables';

function acpiEvents(acpi: AcpiFiles | undefined, { sha384 }: Sha384): readonly PredictedEvent[] {
  const type = EV.platformConfigFlags;
  if (acpi === undefined) {
    const missing = 'the ACPI tables are not given';
    return ['etc/table-loader', RSDP, TABLES].map((name) => unknown(0, type, name, missing));
  }
  checkAcpi(acpi);
  const files: ReadonlyMap<string, Uint8Array> = new Map([
    [RSDP, acpi.rsdp],
    [TABLES, acpi.tables],
  ]);
  return [
    event(0, type, 'etc/table-loader', sha384(acpi.loader)),
    ...loadedFiles(acpi.loader).map((name) => {
      const file = files.get(name);
      if (file !== undefined) return event(0, type, name, sha384(file));
      return unknown(0, type, name, `the tables have the file ${name} loaded as well, which is not known here`);
    }),
  ];
}

/** ACPI 6.5, 5.2.5.3: what the RSDP begins with. */
const RSDP_SIGNATURE = encodeUtf8('RSD PTR ');

function checkAcpi({ rsdp, tables }: AcpiFiles): void {
  const isRsdp = (file: Uint8Array) => RSDP_SIGNATURE.every((byte, i) => file[i] === byte);
  if (!isRsdp(rsdp)) throw notAcpi(RSDP, 'it does not begin with "RSD PTR "');
  if (tables.length === 0 || isRsdp(tables)) throw notAcpi(TABLES, 'it holds no tables');
}

function notAcpi(name: string, why: string): BootsealError {
  return new BootsealError('format', `${name}: ${why}`, {
    hint: `give the file that QEMU serves under this name: in a guest, /sys/firmware/qemu_fw_cfg/by_name/${name}/raw`,
  });
}

function smbiosEvent(smbios: Uint8Array | undefined, { sha384 }: Sha384): PredictedEvent {
  const [type, name] = [EV.handoffTables, 'SMBIOS'];
  if (smbios === undefined)
    return unknown(0, type, name, 'the SMBIOS tables are not given, which this firmware measures');
  return event(0, type, name, sha384(measuredSmbios(smbios)));
}

function kernelDigest(boot: DirectBoot, hashes: Sha384): Uint8Array {
  const { kernel, kernelHeader, cmdline, memory } = boot;
  const parts = unifiedKernelParts(kernel.subarray(0, 4096));
  if (parts.length > 0) {
    throw new BootsealError('usage', 'the kernel is a unified kernel image, whose stub measures its parts by itself', {
      hint: 'give the kernel in it, as QEMU boots it with -kernel, or leave --kernel out for MRTD alone',
    });
  }
  const initrdSize = boot.initrd?.bytes;
  const seen = kernelHeader === 'changed' ? withQemuHeader(kernel, { cmdline, initrdSize, memory }) : kernel;
  return authenticode(seen, hashes.startSha384);
}
