/** @module Launches to explain: their accounts, and the logs that a host would write of them, in the forms of QEMU and Linux. */

import { stepJson } from '../src/cli/plan-text.ts';
import { rtmrJson } from '../src/cli/rtmr-text.ts';
import { accountOf, type LaunchAccount } from '../src/core/explain/account.ts';
import type { CauseName } from '../src/core/explain/cause.ts';
import { type Explanation, explainLaunch } from '../src/core/explain/explain.ts';
import { parsePlanDocument } from '../src/core/explain/plan-document.ts';
import { parseFirmware } from '../src/core/firmware/firmware.ts';
import { bytesToHex } from '../src/core/hex.ts';
import { parseIgvm } from '../src/core/igvm/file.ts';
import type { KernelHashes } from '../src/core/measurement/hash-table.ts';
import { type IgvmRequest, measureIgvm } from '../src/core/measurement/igvm.ts';
import { launchContents } from '../src/core/measurement/launch-contents.ts';
import { firmwareOf, type MeasureRequest, measure } from '../src/core/measurement/measure.ts';
import { type MrtdOrder, type MrtdStep, mrtd } from '../src/core/measurement/mrtd.ts';
import { findProfile } from '../src/core/measurement/profiles.ts';
import { usableTdxSections } from '../src/core/measurement/tdx-sections.ts';
import { nonZeroFields } from '../src/core/measurement/vmsa-fields.ts';
import { type DirectBoot, directBootEvents } from '../src/core/rtmr/direct-boot.ts';
import { silentRelease } from '../src/core/rtmr/efi-stub.ts';
import { extendAll } from '../src/core/rtmr/events.ts';
import { findBootProfile, type KernelHeader } from '../src/core/rtmr/profiles.ts';
import { nodeHashes } from '../src/host/node-hashes.ts';
import { AMDSEV, join, lastPage, type Tables } from './firmware-image.ts';
import { fixture } from './fixtures.ts';
import { type IgvmRecipe, igvmImage } from './igvm-image.ts';
import { kernelHashes } from './measurement-vectors.ts';

/** A firmware of `size` bytes that ends in these tables. */
export function firmwareWith(tables: Tables = AMDSEV, size = 0x10000, filling = 0): Uint8Array {
  return join(new Uint8Array(size - 4096).fill(filling), lastPage(tables));
}

export const MILAN = 0xa00f11;
export const GENOA = 0xa10f10;
export const kernel: KernelHashes = kernelHashes(Buffer.from('kernel'), Buffer.from('initrd'), 'quiet');

/** An SNP guest with two vCPUs and a kernel. */
export function requestWith(over: Partial<MeasureRequest> = {}): MeasureRequest {
  return {
    platform: 'snp',
    firmware: firmwareOf(firmwareWith()),
    kernel,
    profile: findProfile('qemu'),
    vcpus: [2],
    cpus: [{ signature: MILAN }],
    features: over.platform === 'sev-es' ? 0n : 1n,
    plan: true,
    ...over,
  };
}

/** What an owner expects of it. */
export function accountWith(over: Partial<MeasureRequest> = {}): LaunchAccount {
  const request = requestWith(over);
  const [measured] = measure(request, nodeHashes);
  if (measured === undefined) throw new Error('nothing was measured');
  return accountOf(measured, launchContents(request, measured.cpu, measured.vcpus));
}

/** What `measure igvm --plan --json` prints of an IGVM file, read back. */
export function igvmAccountOf(recipe: IgvmRecipe, over: Partial<IgvmRequest> = {}): LaunchAccount {
  const bytes = igvmImage(recipe);
  const { platform, loader, digest, plan, vmsas, differences, others } = measureIgvm(
    { file: parseIgvm(bytes), plan: true, ...over },
    nodeHashes,
  );
  const [bsp, ap] = vmsas;
  const result = {
    platform,
    as: loader,
    profile: null,
    digest: bytesToHex(digest),
    plan: plan?.map(({ name, type, gpa, length, digest: after }) => ({
      name,
      type,
      gpa: gpa === undefined ? null : `0x${gpa.toString(16)}`,
      bytes: length,
      digest: bytesToHex(after),
    })),
    kernelHashes: null,
    differences,
    others: others.map(({ loader: as, stops = null }) => ({ as, stops })),
    vmsas: bsp === undefined ? null : { bsp: nonZeroFields(bsp), ap: ap === undefined ? null : nonZeroFields(ap) },
  };
  const inputs = { igvm: { sha256: bytesToHex(nodeHashes.sha256(bytes)), bytes: bytes.length } };
  return parsePlanDocument(JSON.stringify({ results: [result], inputs }));
}

/** What `measure tdx` gets. */
export interface TdxRecipe {
  readonly image?: Uint8Array;
  readonly order?: MrtdOrder;
  readonly kernel?: Uint8Array;
  readonly kernelHeader?: KernelHeader;
  readonly profile?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly memory?: number;
  /** Contents of etc/acpi/tables. */
  readonly tables?: string;
  /** etc/table-loader; only with `tables`. */
  readonly loader?: Uint8Array;
  readonly smbios?: Uint8Array;
  /** Contents by name. */
  readonly items?: Readonly<Record<string, string>>;
  readonly bootMenu?: boolean;
  readonly bootVariables?: Readonly<Record<string, string>>;
  readonly build?: Partial<DirectBoot['build']>;
}

export const TDVF: Uint8Array = fixture('debian-ovmf/OVMF_2025.02-8+deb13u1.fd');
const utf8 = (text: string) => new Uint8Array(Buffer.from(text));
const hashedFile = (bytes: Uint8Array) => ({ sha256: bytesToHex(nodeHashes.sha256(bytes)), bytes: bytes.length });

/** What `measure tdx --plan --json` prints, with the events of a boot where the recipe has a kernel. */
export function tdxDocument({ image = TDVF, order = 'page-wise', ...recipe }: TdxRecipe = {}): string {
  const steps: MrtdStep[] = [];
  const digest = mrtd(image, parseFirmware(image), order, nodeHashes, (step) => void steps.push(step));
  const plan = steps.map((step) => stepJson(step, 'hex'));
  const { rtmrs = {}, inputs = {} } = recipe.kernel === undefined ? {} : tdxBoot(image, recipe.kernel, recipe);
  const result = { platform: 'tdx', order, digest: bytesToHex(digest), plan, ...rtmrs };
  return JSON.stringify({ results: [result], inputs: { firmware: hashedFile(image), ...inputs } });
}

function tdxBoot(image: Uint8Array, kernel: Uint8Array, recipe: TdxRecipe) {
  const { initrd, cmdline = 'quiet', memory, tables, smbios, items, bootMenu = false, bootVariables = {} } = recipe;
  const profile = findBootProfile(recipe.profile ?? 'edk2-202502');
  const kernelHeader = recipe.kernelHeader ?? profile.kernelHeader;
  const { loader = fixture('tdx-boot/table-loader.bin') } = recipe;
  const rsdp = utf8('RSD PTR 0123456789ab');
  const files = (texts: Readonly<Record<string, string>>) =>
    new Map(Object.entries(texts).map(([name, text]) => [name, utf8(text)]));
  const events = directBootEvents(
    {
      image,
      sections: usableTdxSections(parseFirmware(image)),
      build: {
        profiles: [],
        measures: true,
        secureBoot: false,
        onlyUiApp: true,
        fwCfg: false,
        smbios: false,
        ...recipe.build,
      },
      profile,
      kernelHeader,
      kernel,
      initrd: initrd === undefined ? undefined : { bytes: initrd.length, sha384: nodeHashes.sha384(utf8(initrd)) },
      cmdline: utf8(cmdline),
      memory,
      acpi: tables === undefined ? undefined : { loader, rsdp, tables: utf8(tables) },
      fwCfg: items === undefined ? undefined : { files: files(items), bootMenu },
      smbios,
      bootVariables: files(bootVariables),
    },
    nodeHashes,
  );
  const inputs = {
    kernel: hashedFile(kernel),
    cmdline: hashedFile(utf8(cmdline)),
    ...(initrd === undefined ? {} : { initrd: hashedFile(utf8(initrd)) }),
    ...(tables === undefined
      ? {}
      : { acpiLoader: hashedFile(loader), acpiRsdp: hashedFile(rsdp), acpiTables: hashedFile(utf8(tables)) }),
    ...(smbios === undefined ? {} : { smbios: hashedFile(smbios) }),
    ...Object.fromEntries([...files({ ...items, ...bootVariables })].map(([name, file]) => [name, hashedFile(file)])),
  };
  const boot = {
    profile,
    kernelHeader,
    silentRelease: silentRelease(kernel),
    events,
    rtmrs: extendAll(events, nodeHashes),
    inputs,
  };
  return { rtmrs: rtmrJson(boot, 'hex'), inputs };
}

/** Such a plan, read back. */
export const tdxAccountOf = (recipe: TdxRecipe = {}): LaunchAccount => parsePlanDocument(tdxDocument(recipe));

/** Explains, and returns the names of the causes in place of the causes. */
export function explained(
  expected: LaunchAccount,
  found: LaunchAccount,
): Explanation & { readonly names: readonly CauseName[] } {
  const explanation = explainLaunch(expected, found);
  return { ...explanation, names: explanation.causes.map(({ name }) => name) };
}

/** What QEMU prints of a launch with -trace 'kvm_sev*'. */
export function traceOf({ platform, steps = [] }: LaunchAccount): string {
  const lines = steps.map(({ type, gpa = 0n, length = 0 }) =>
    platform === 'snp'
      ? `kvm_sev_snp_launch_update src 0x7f0000000000 gpa 0x${gpa.toString(16)} len 0x${length.toString(16)} (${type.charAt(0).toUpperCase()}${type.slice(1)} page)`
      : `kvm_sev_launch_update_data addr 0x7f0000000000 len 0x${length.toString(16)}`,
  );
  const ends =
    platform === 'snp'
      ? [
          'kvm_sev_snp_launch_start policy 0x30000 gosvw (null)',
          'kvm_sev_snp_launch_finish id_block (null) id_auth (null) host_data (null)',
        ]
      : [
          `kvm_sev_launch_start policy 0x${platform === 'sev' ? 1 : 5} session (nil) pdh (nil)`,
          'kvm_sev_launch_finish ',
        ];
  return `${[ends[0], ...lines, ends[1]].join('\n')}\n`;
}

/** What KVM prints of vCPUs: `size` bytes of each. */
export function dmesgOf(pages: readonly Uint8Array[], size = 0x670, prefix = '[  123.456789] '): string {
  const lines = pages.flatMap((page) => {
    const rows = Array.from({ length: Math.ceil(size / 16) }, (_, i) =>
      Array.from(page.subarray(16 * i, Math.min(size, 16 * i + 16)), (byte) => byte.toString(16).padStart(2, '0')).join(
        ' ',
      ),
    );
    return [`${prefix}kvm_amd: Virtual Machine Save Area (VMSA):`, ...rows.map((row) => prefix + row)];
  });
  return `${lines.join('\n')}\n`;
}
