/** @module What `identify` found, in words and as the commands that give the same digest. */
import { bytesToHex } from '../core/hex.ts';
import { SLIP_TEXTS } from '../core/identify/boots.ts';
import type { FirmwareCandidate } from '../core/identify/firmware-candidates.ts';
import type { FoundLaunch } from '../core/identify/identify.ts';
import { modelsOfSignature } from '../core/measurement/cpu-models.ts';
import { featureNames } from '../core/measurement/features.ts';

/** Returns each difference from what the owner believes, one sentence each. */
export function differences({ firmware, boot }: FoundLaunch): readonly string[] {
  const code =
    firmware.leftOut === 0
      ? []
      : [`only the code part of ${firmware.name} is measured, without its ${firmware.leftOut} bytes of variable store`];
  return [...code, ...boot.slips.map((slip) => SLIP_TEXTS[slip])];
}

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

/** Returns the lines of shell that print the digest; the last is the `measure` command. */
export function reproduction({ platform, firmware, boot, vcpu }: FoundLaunch): readonly string[] {
  const preparation: string[] = [];
  const words = ['bootseal', 'measure', platform, '--firmware', codeFile(firmware, preparation)];
  if (boot.kernel !== undefined) words.push('--kernel', boot.kernel);
  if (boot.initrd !== undefined) words.push('--initrd', boot.initrd);
  if (boot.cmdline !== undefined && boot.cmdline.length > 0) words.push(...cmdlineWords(boot.cmdline, preparation));
  if (vcpu !== undefined) {
    const { profile, cpu, features, count } = vcpu;
    words.push('--profile', profile.name, '--vcpus', `${count}`);
    if (cpu?.name !== undefined) words.push('--cpu', cpu.name);
    else if (cpu !== undefined) words.push('--cpu-signature', hex(cpu.signature));
    words.push('--vmsa-features', hex(features));
  }
  return [...preparation, words.map(quoted).join(' ')];
}

/** Without the variable store, the code part has to be cut out first. */
function codeFile({ name, leftOut }: FirmwareCandidate, preparation: string[]): string {
  if (leftOut === 0) return name;
  preparation.push(`tail -c +${leftOut + 1} ${quoted(name)} > code.fd`);
  return 'code.fd';
}

/** What a shell cannot be given readably in a word goes through a file. */
function cmdlineWords(cmdline: Uint8Array, preparation: string[]): readonly string[] {
  const plain = cmdline.every((byte) => byte >= 0x20 && byte <= 0x7e);
  if (plain) return ['--cmdline', Buffer.from(cmdline).toString('latin1')];
  const escaped = Array.from(cmdline, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
  preparation.push(`printf '${escaped}' > cmdline.bin`);
  return ['--cmdline-file', 'cmdline.bin'];
}

function quoted(word: string): string {
  return /^[A-Za-z0-9_./:=,+@%-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;

/** Returns the finding as JSON; keys are those of `measure --json`. */
export function findingJson(finding: FoundLaunch): unknown {
  const { platform, firmware, boot, vcpu } = finding;
  return {
    platform,
    profile: vcpu?.profile.name ?? null,
    profileVersion: vcpu?.profile.version ?? null,
    vcpus: vcpu?.count ?? null,
    cpu: vcpu?.cpu?.name ?? null,
    cpuSignature: vcpu?.cpu === undefined ? null : hex(vcpu.cpu.signature),
    vmsaFeatures: vcpu === undefined ? null : hex(vcpu.features),
    firmware: { file: firmware.name, leftOut: firmware.leftOut },
    kernel: boot.kernel ?? null,
    initrd: boot.initrd ?? null,
    cmdline: boot.cmdline === undefined ? null : bytesToHex(boot.cmdline),
    slips: [...(firmware.leftOut === 0 ? [] : ['firmware-code-only']), ...boot.slips],
  };
}
