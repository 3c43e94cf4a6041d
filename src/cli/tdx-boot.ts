/** @module The options that describe a direct boot of a TDX guest, and the RTMRs that they predict. */
import { createHash } from 'node:crypto';
import { type Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { MeasuredFirmware } from '../core/measurement/measure.ts';
import { usableTdxSections } from '../core/measurement/tdx-sections.ts';
import type { BootVariables } from '../core/rtmr/boot-variables.ts';
import { directBootEvents } from '../core/rtmr/direct-boot.ts';
import { silentRelease } from '../core/rtmr/efi-stub.ts';
import { extendAll, type PredictedEvent, type PredictedRtmr } from '../core/rtmr/events.ts';
import { checkMeasures, type FirmwareBuild, readBuild } from '../core/rtmr/firmware-build.ts';
import {
  BOOT_PROFILES,
  type BootProfile,
  findBootProfile,
  KERNEL_HEADERS,
  type KernelHeader,
} from '../core/rtmr/profiles.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { type BootedOptions, commandLine, type HashedFile } from './booted-files.ts';
import { addFwCfgOptions, type FwCfgOptions, fwCfgOf, idleItems } from './fw-cfg.ts';
import { type Io, readInput, remark, streamInput } from './io.ts';
import { kernelHeaderOf } from './kernel-header.ts';
import { parseMemory } from './size.ts';

/** What commander makes of the options of `addTdxBootOptions`. */
export interface TdxBootOptions extends BootedOptions, FwCfgOptions {
  readonly memory?: string;
  readonly smbios?: string;
  readonly bootVariable?: readonly string[];
  readonly profile?: string;
  readonly kernelHeader?: KernelHeader;
}

/** What is predicted, and from what. */
export interface PredictedBoot {
  readonly profile: BootProfile;
  readonly kernelHeader: KernelHeader;
  /** Of a kernel whose stub extends nothing into RTMR2. */
  readonly silentRelease: string | undefined;
  readonly events: readonly PredictedEvent[];
  readonly rtmrs: readonly PredictedRtmr[];
  readonly inputs: Readonly<Record<string, HashedFile>>;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Adds the options of a direct boot. */
export function addTdxBootOptions(command: Command): Command {
  const boot = command
    .option('--kernel <file>', 'kernel that is booted directly: RTMR0 to RTMR2 are predicted as well')
    .option('--initrd <file>', 'its initrd')
    .option('--cmdline <text>', 'its command line, byte for byte')
    .option('--cmdline-file <file>', 'a file that holds the command line, byte for byte')
    .option('--strip-newline', 'leave out one newline at the end of --cmdline-file')
    .option('--memory <size>', 'memory that QEMU gets with -m, with its unit, such as 2048M or 2G; for RTMR0');
  return addFwCfgOptions(boot)
    .option('--smbios <file>', "a guest's SMBIOS tables; for RTMR0")
    .option(
      '--boot-variable <name=file>',
      "BootOrder or Boot#### and its contents, repeatable (default: the firmware's own menu alone); for RTMR0",
      collect,
    )
    .option(
      '--profile <name>',
      `what the firmware measures where: ${BOOT_PROFILES.map(({ name }) => name).join(', ')} (default: as the image tells)`,
    )
    .addOption(
      new Option(
        '--kernel-header <how>',
        'whether QEMU fills in the header of the kernel before it is measured (default: by profile)',
      ).choices(KERNEL_HEADERS),
    );
}

/** How the options are used, for the end of a help. */
export const TDX_BOOT_HELP = `
RTMR0 needs the ACPI tables and other items as QEMU serves them, newer firmware the SMBIOS tables too. In a guest of the same QEMU, machine and
devices, which you trust:
  cp -rL /sys/firmware/qemu_fw_cfg/by_name fw_cfg; cp /sys/firmware/dmi/tables/DMI .`;

/**
 * Predicts the events of the boot that the options describe; undefined without --kernel. Throws as `directBootEvents` and
 * `usableTdxSections` do, `usage` for options that do not go together, `io`.
 */
export async function predictBoot(
  io: Io,
  { image, firmware }: MeasuredFirmware & { readonly image: Uint8Array },
  options: TdxBootOptions,
): Promise<PredictedBoot | undefined> {
  if (options.kernel === undefined) {
    checkIdle(options);
    return undefined;
  }
  const givenProfile = options.profile === undefined ? undefined : findBootProfile(options.profile);
  const memory = options.memory === undefined ? undefined : parseMemory(options.memory);
  const inputs: Record<string, HashedFile> = {};
  const read = async (role: string, file: string, limit: number) => {
    const bytes = await readInput(io, file, limit);
    inputs[role] = { sha256: hexOf(nodeHashes.sha256(bytes)), bytes: bytes.length };
    return bytes;
  };
  const cmdline = await commandLine(io, options);
  const kernel = await read('kernel', options.kernel, MOST_KERNEL_BYTES);
  const initrd = options.initrd === undefined ? undefined : await hashInitrd(io, options.initrd);
  if (initrd !== undefined) inputs['initrd'] = { sha256: initrd.sha256, bytes: initrd.bytes };
  inputs['cmdline'] = { sha256: hexOf(nodeHashes.sha256(cmdline)), bytes: cmdline.length };
  const { acpi, fwCfg, named } = await fwCfgOf(io, options, read);
  const smbios = options.smbios === undefined ? undefined : await read('smbios', options.smbios, MOST_SMBIOS_BYTES);
  const bootVariables = await namedFiles(options.bootVariable ?? [], read);
  const sections = usableTdxSections(firmware);
  const build = readBuild(image);
  // Before the profile: a build without measured boot tells none.
  checkMeasures(build);
  if (smbios !== undefined && !build.smbios) remark(io, 'note', 'this firmware measures no SMBIOS tables');
  const idle = fwCfg === undefined || build.fwCfg ? [] : idleItems(fwCfg);
  if (idle.length > 0)
    remark(io, 'note', `of fw_cfg this firmware measures the ACPI files alone, not ${idle.join(', ')}`);
  const profile = chosenProfile(io, build, givenProfile);
  const kernelHeader = kernelHeaderOf(io, profile, options.kernelHeader, named);
  const launch = {
    image,
    sections,
    build,
    profile,
    kernelHeader,
    kernel,
    initrd,
    cmdline,
    memory,
    acpi,
    fwCfg,
    smbios,
    bootVariables,
  };
  const events = directBootEvents(launch, nodeHashes);
  return {
    profile,
    kernelHeader,
    silentRelease: silentRelease(kernel),
    events,
    rtmrs: extendAll(events, nodeHashes),
    inputs,
  };
}

/** Returns the files and the folder that the options name. */
export function bootFiles(options: TdxBootOptions): readonly (string | undefined)[] {
  const { kernel, initrd, cmdlineFile, acpiLoader, acpiRsdp, acpiTables, fwCfg, smbios, bootVariable = [] } = options;
  const variables = bootVariable.map((text) => text.slice(text.indexOf('=') + 1));
  return [kernel, initrd, cmdlineFile, acpiLoader, acpiRsdp, acpiTables, fwCfg, smbios, ...variables];
}

/** Kernels have some MiB. */
const MOST_KERNEL_BYTES = 2 ** 30;
const MOST_INITRD_BYTES = 2 ** 32 - 1;
const MOST_SMBIOS_BYTES = 2 ** 20;
const MOST_VARIABLE_BYTES = 2 ** 16;

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Throws `usage` for options of a boot that is not given. */
export function checkIdle(options: TdxBootOptions): void {
  const idle = Object.entries(IDLE).find(([key]) => options[key as keyof TdxBootOptions] !== undefined);
  if (idle === undefined) return;
  throw new BootsealError('usage', `${idle[1]} goes with --kernel: MRTD depends on the firmware alone`, {
    hint: 'add --kernel to predict the RTMRs, or leave it out',
  });
}

const IDLE = {
  initrd: '--initrd',
  cmdline: '--cmdline',
  cmdlineFile: '--cmdline-file',
  stripNewline: '--strip-newline',
  memory: '--memory',
  acpiLoader: '--acpi-loader',
  acpiRsdp: '--acpi-rsdp',
  acpiTables: '--acpi-tables',
  fwCfg: '--fw-cfg',
  bootMenu: '--boot-menu',
  smbios: '--smbios',
  bootVariable: '--boot-variable',
  profile: '--profile',
  kernelHeader: '--kernel-header',
} as const satisfies Partial<Record<keyof TdxBootOptions, string>>;

function chosenProfile(io: Io, { profiles }: FirmwareBuild, chosen: BootProfile | undefined): BootProfile {
  const names = profiles.map(({ name }) => name).join(' or ');
  if (chosen !== undefined) {
    if (!profiles.includes(chosen)) {
      remark(io, 'warning', `the image looks like ${names || 'no known profile'}, not ${chosen.name}`);
    }
    return chosen;
  }
  const [only, ...others] = profiles;
  if (only !== undefined && others.length === 0) return only;
  throw new BootsealError('usage', `the image does not tell its profile${names === '' ? '' : `: it may be ${names}`}`, {
    hint: 'give --profile after the release of edk2 that the firmware was built from',
  });
}

async function hashInitrd(
  io: Io,
  file: string,
): Promise<{ readonly sha384: Uint8Array; readonly sha256: string; readonly bytes: number }> {
  const [sha384, sha256] = [createHash('sha384'), createHash('sha256')];
  const take = (piece: Uint8Array) => {
    sha384.update(piece);
    sha256.update(piece);
  };
  const bytes = await streamInput(io, file, take, MOST_INITRD_BYTES);
  return { sha384: sha384.digest(), sha256: sha256.digest('hex'), bytes };
}

type Read = (role: string, file: string, limit: number) => Promise<Uint8Array>;

async function namedFiles(given: readonly string[], read: Read): Promise<BootVariables> {
  const variables = new Map<string, Uint8Array>();
  for (const text of given) {
    const [, name, file] = /^(BootOrder|Boot[0-9A-F]{4})=(.+)$/s.exec(text) ?? [];
    if (name === undefined || file === undefined || variables.has(name)) {
      const why = name === undefined ? 'is no BootOrder=FILE or Boot0001=FILE' : 'is given twice';
      throw new BootsealError('usage', `--boot-variable ${JSON.stringify(text.slice(0, 64))} ${why}`, {
        hint: 'name each variable once, its number in four digits, capitals from A to F',
      });
    }
    variables.set(name, await read(name, file, MOST_VARIABLE_BYTES));
  }
  return variables;
}
