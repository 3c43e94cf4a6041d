/** @module What `identify` found, in words and as the commands that give the same digest. */
import { SEV_SECTION_NAMES } from '../core/firmware/sev-metadata.ts';
import { bytesToHex } from '../core/hex.ts';
import { SLIP_TEXTS } from '../core/identify/boots.ts';
import { type FirmwareCandidate, firmwareSlips } from '../core/identify/firmware-candidates.ts';
import type { FoundLaunch } from '../core/identify/identify.ts';
import type { HeaderChange } from '../core/identify/kernel-header.ts';
import { ORDER_TEXTS } from '../core/identify/section-order.ts';
import { signedWith, type Wanted } from '../core/identify/wanted.ts';
import { modelsOfSignature } from '../core/measurement/cpu-models.ts';
import { featureNames } from '../core/measurement/features.ts';
import { SNP_MEASURE_SVSM } from '../core/measurement/profiles.ts';
import { describePolicy } from '../core/session/policy.ts';
import { printfBytes, printfText, shellWord } from './shell-words.ts';

/** Returns each difference from what the owner believes, one sentence each. */
export function differences({ firmware, boot, vcpu }: FoundLaunch): readonly string[] {
  const code =
    firmware.leftOut === 0
      ? []
      : [`only the code part of ${firmware.name} is measured, without its ${firmware.leftOut} bytes of variable store`];
  const order =
    firmware.reordering === undefined
      ? []
      : [`the sections of the SEV metadata come in another order, ${ORDER_TEXTS[firmware.reordering.order]}`];
  const missing = firmware.svsmMissing === true ? ['no SVSM runs below the firmware'] : [];
  const unreal = vcpu?.profile === SNP_MEASURE_SVSM ? [NO_HOST] : [];
  return [...code, ...order, ...missing, ...unreal, ...boot.slips.map((slip) => SLIP_TEXTS[slip])];
}

const NO_HOST =
  'no host does this: the digest is a prediction of sev-snp-measure up to 0.0.13 in its mode snp:svsm, which loses half of the floating-point state';

/** Returns the launch in one line. */
export function describeFinding({ platform, vcpu }: FoundLaunch): string {
  if (vcpu === undefined) return platform;
  const { profile, cpu, features, count } = vcpu;
  const parts = [
    `${platform}, profile ${profile.name}/${profile.version}`,
    `${count} ${count === 1 ? 'vCPU' : 'vCPUs'}`,
  ];
  if (cpu !== undefined) parts.push(`CPU signature ${hex(cpu.signature)}${modelsText(cpu.signature)}`);
  return [...parts, `features ${hex(features)}${inBrackets(featureNames(features))}`].join(', ');
}

function modelsText(signature: number): string {
  const [first, ...others] = modelsOfSignature(signature);
  if (first === undefined) return '';
  return others.length === 0 ? ` (${first})` : ` (${first}; so have ${others.join(', ')})`;
}

function inBrackets(names: readonly string[]): string {
  return names.length === 0 ? '' : ` (${names.join(', ')})`;
}

/** Lines of shell that make files, and the names for these: `free` changes those that are taken. */
interface Preparation {
  readonly lines: string[];
  readonly free: (name: string) => string;
}

/** Returns the lines of shell that print the digest; the last is the `measure` command. They make files with the names that `free` returns. */
export function reproduction(
  { platform, firmware, boot, vcpu }: FoundLaunch,
  free: (name: string) => string,
): readonly string[] {
  const preparation: Preparation = { lines: [], free };
  const words = ['bootseal', 'measure', platform, '--firmware', firmwareFile(firmware, preparation)];
  if (firmware.svsm !== undefined) {
    words.push('--svsm', fileWord(firmware.svsm.name, preparation), '--vars-size', `${firmware.svsm.varsSize}`);
  }
  if (platform === 'snp' && hasUnknownSections(firmware)) words.push('--unknown-sections', 'zero');
  if (boot.kernel !== undefined) words.push('--kernel', kernelFile(boot.kernel, boot.kernelChange, preparation));
  if (boot.initrd !== undefined) words.push('--initrd', fileWord(boot.initrd, preparation));
  if (boot.cmdline !== undefined && boot.cmdline.length > 0) words.push(...cmdlineWords(boot.cmdline, preparation));
  if (vcpu !== undefined) {
    const { profile, cpu, features, count } = vcpu;
    words.push('--profile', profile.name, '--vcpus', `${count}`);
    if (cpu?.name !== undefined) words.push('--cpu', cpu.name);
    else if (cpu !== undefined) words.push('--cpu-signature', hex(cpu.signature));
    words.push('--vmsa-features', hex(features));
  }
  // What follows a line that failed would measure something else.
  return [...preparation.lines.map((line) => `${line} &&`), words.join(' ')];
}

/** Tells whether the lines read standard input. */
export function readsStdin(finding: FoundLaunch): boolean {
  return inputsOf(finding).includes(STDIN);
}

/** Returns those inputs that the lines name and that nobody can read again: a shell's `<(command)` is gone by then. */
export function spentInputs(finding: FoundLaunch): readonly string[] {
  return inputsOf(finding).filter((name) => /^\/(?:dev|proc\/[^/]+)\/fd\//.test(name));
}

const inputsOf = ({ firmware, boot }: FoundLaunch): readonly string[] =>
  [firmware.name, firmware.svsm?.name, boot.kernel, boot.initrd].flatMap((name) => name ?? []);

const STDIN = '-';

/** No name is taken for an option. */
function fileWord(name: string, { lines }: Preparation): string {
  const file = name.startsWith('-') && name !== STDIN ? `./${name}` : name;
  if (!file.endsWith('\n')) return shellWord(file);
  const variable = `name${lines.length}`;
  // $(…) takes newlines off the end.
  lines.push(`${variable}=$(printf '${printfText(file)}.') && ${variable}=\${${variable}%.}`);
  return `"$${variable}"`;
}

const copy = (name: string, file: string, preparation: Preparation): string =>
  name === STDIN ? `cat > ${file}` : `cp ${fileWord(name, preparation)} ${file}`;

function copyBehind(name: string, bytes: number, file: string, preparation: Preparation): string {
  const from = name === STDIN ? '' : ` ${fileWord(name, preparation)}`;
  return `tail -c +${bytes + 1}${from} > ${file}`;
}

/** `measure` refuses them unless it is told what to make of them. */
function hasUnknownSections({ measured, svsm }: FirmwareCandidate): boolean {
  const { sevSections = [] } = svsm?.firmware ?? measured.firmware;
  return sevSections.some(({ type }) => SEV_SECTION_NAMES[type] === undefined);
}

/** What is measured of the file goes into a new one first: without the variable store, or with the metadata in the other order. */
function firmwareFile({ name, leftOut, reordering }: FirmwareCandidate, preparation: Preparation): string {
  const { lines, free } = preparation;
  if (leftOut === 0 && reordering === undefined) return fileWord(name, preparation);
  const file = free(leftOut === 0 ? 'reordered.fd' : 'code.fd');
  lines.push(leftOut === 0 ? copy(name, file, preparation) : copyBehind(name, leftOut, file, preparation));
  if (reordering !== undefined) {
    const { at, bytes } = reordering;
    lines.push(writeAt(file, at, bytes));
  }
  return file;
}

function kernelFile(name: string, change: HeaderChange | undefined, preparation: Preparation): string {
  if (change === undefined) return fileWord(name, preparation);
  const file = preparation.free('kernel.changed');
  preparation.lines.push(copy(name, file, preparation), writeAt(file, change.at, change.bytes));
  return file;
}

const writeAt = (file: string, at: number, bytes: Uint8Array): string =>
  `printf '${printfBytes(bytes)}' | dd of=${file} bs=1 seek=${at} conv=notrunc 2>/dev/null`;

/** What a shell cannot be given readably in a word goes through a file. */
function cmdlineWords(cmdline: Uint8Array, { lines, free }: Preparation): readonly string[] {
  const plain = cmdline.every((byte) => byte >= 0x20 && byte <= 0x7e);
  if (plain) return ['--cmdline', shellWord(Buffer.from(cmdline).toString('latin1'))];
  const file = free('cmdline.bin');
  lines.push(`printf '${printfBytes(cmdline)}' > ${file}`);
  return ['--cmdline-file', file];
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;

const signedOf = ({ digest, platform }: FoundLaunch, wanted: Wanted) =>
  wanted.kind === 'measurement' ? signedWith(wanted, digest, platform) : undefined;

/** Returns what else the platform signed, and the digest, which the measurement does not show. */
export function signedLines(finding: FoundLaunch, wanted: Wanted): readonly string[] {
  const signed = signedOf(finding, wanted);
  if (signed === undefined) return [];
  const { api, policy } = signed;
  return [
    `digest     ${bytesToHex(finding.digest)}`,
    `signed     API ${api.major}.${api.minor}, build ${api.build}, policy ${hex(policy)} (${describePolicy(policy)})`,
  ];
}

/** Returns the finding as JSON; keys are those of `measure --json`. */
export function findingJson(finding: FoundLaunch, wanted: Wanted): unknown {
  const signed = signedOf(finding, wanted);
  const { platform, firmware, boot, vcpu } = finding;
  return {
    platform,
    digest: bytesToHex(finding.digest),
    signed: signed === undefined ? null : { ...signed.api, policy: hex(signed.policy) },
    profile: vcpu?.profile.name ?? null,
    profileVersion: vcpu?.profile.version ?? null,
    vcpus: vcpu?.count ?? null,
    cpu: vcpu?.cpu?.name ?? null,
    cpuSignature: vcpu?.cpu === undefined ? null : hex(vcpu.cpu.signature),
    vmsaFeatures: vcpu === undefined ? null : hex(vcpu.features),
    ...firmwareJson(firmware),
    kernel: boot.kernel ?? null,
    initrd: boot.initrd ?? null,
    cmdline: boot.cmdline === undefined ? null : bytesToHex(boot.cmdline),
    slips: [...firmwareSlips(firmware), ...boot.slips],
  };
}

/** Returns a firmware as JSON, and what runs below it. */
export function firmwareJson({ name, leftOut, reordering, svsm }: FirmwareCandidate): object {
  return {
    firmware: { file: name, leftOut, sectionOrder: reordering?.order ?? null },
    svsm: svsm === undefined ? null : { file: svsm.name, varsSize: svsm.varsSize },
  };
}

/** Returns a firmware in words. */
export function firmwareText({ name, leftOut, reordering, svsm }: FirmwareCandidate): string {
  const parts = [
    ...(leftOut === 0 ? [] : ['code part']),
    ...(reordering === undefined ? [] : ['other order of sections']),
    ...(svsm === undefined ? [] : [`${svsm.name} below it, with ${svsm.varsSize} bytes of variable store`]),
  ];
  return parts.length === 0 ? name : `${name} (${parts.join('; ')})`;
}
