/** @module Causes of events that differ between two plans of TDX guests: what the files and profiles that the plans name bear out. */
import { BOOT_PROFILES } from '../rtmr/profiles.ts';
import type { Cause, CauseName, CauseRule } from './cause.ts';
import type { Difference } from './difference.ts';
import type { TdxAccount, TdxBoot } from './tdx-account.ts';

/** The differences that are left, and both accounts with their boots. */
interface Boots {
  readonly left: readonly Difference[];
  readonly expected: TdxAccount & { readonly boot: TdxBoot };
  readonly found: TdxAccount & { readonly boot: TdxBoot };
  readonly all: readonly Difference[];
}

type BootRule = (boots: Boots) => Cause | undefined;

function ruleOf(rule: BootRule): CauseRule {
  return (left, { expected, found, differences: all }) => {
    const [own, other] = [withBoot(expected.tdx), withBoot(found.tdx)];
    if (own === undefined || other === undefined) return [];
    const cause = rule({ left, expected: own, found: other, all });
    return cause === undefined || cause.explains.length === 0 ? [] : [cause];
  };
}

function withBoot(account: TdxAccount | undefined): Boots['expected'] | undefined {
  return account?.boot === undefined ? undefined : { ...account, boot: account.boot };
}

const causeOf = (name: CauseName, explains: readonly Difference[], because: string, attempt: string): Cause => ({
  name,
  because,
  attempt,
  explains,
});

const isEvent =
  (rtmr: Difference['rtmr'], ...names: readonly string[]) =>
  (one: Difference) =>
    one.kind.startsWith('event-') && one.rtmr === rtmr && names.includes(one.name);
const isLoadOptions = isEvent(2, 'load options');
const isInitrd = isEvent(2, 'initrd');

const isOther = ({ expected, found }: Boots, role: string) => expected.inputs.get(role) !== found.inputs.get(role);

/** Whether the files of this role are given on both sides, and differ. */
const areTwo = (boots: Boots, role: string) =>
  boots.expected.inputs.has(role) && boots.found.inputs.has(role) && isOther(boots, role);

const kernel: BootRule = (boots) => {
  const explains = boots.left.filter(isEvent(1, 'kernel'));
  if (isOther(boots, 'kernel')) {
    const unsaid = isSilent(boots.expected) === isSilent(boots.found) ? [] : boots.left.filter(isOfStub);
    const because = `the kernel is another file${unsaid.length === 0 ? '' : ', and one of the two extends nothing into RTMR2'}`;
    return causeOf('tdx-kernel', [...explains, ...unsaid], because, 'sha256sum of what the host gives as -kernel');
  }
  const [own, other] = [boots.expected.boot.kernelHeader, boots.found.boot.kernelHeader];
  if (own !== other) {
    const because = `the kernel is the same file, with its header ${other} where ${own} was expected: QEMU before 10.2 fills it in, unless the firmware takes the kernel from etc/boot/kernel`;
    return causeOf('tdx-kernel-header', explains, because, `--kernel-header ${other}`);
  }
  const parts = own === 'changed' ? headerParts(boots) : [];
  if (parts.length === 0) return undefined;
  const because = `the kernel is the same file, and QEMU fills in its header otherwise: ${parts.join(', ')}`;
  return causeOf('tdx-kernel-header', explains, because, 'the same --initrd and --memory on both sides');
};

const isOfStub = (one: Difference) => isLoadOptions(one) || isInitrd(one);

/** Whether the stub extends nothing (rtmr/efi-stub.ts): there is an initrd or a command line, and no event of either. */
function isSilent({ inputs, boot }: Boots['expected']): boolean {
  const cmdline = inputs.get('cmdline');
  const isGiven = (boot.initrdBytes ?? 0) > 0 || (cmdline !== undefined && cmdline !== EMPTY);
  return isGiven && !boot.events.some(({ rtmr }) => rtmr === 2);
}

/** SHA-256 of nothing (FIPS 180-4). */
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** What of the launches QEMU writes into a header otherwise (measurement/setup-header.ts): no more than where an initrd is, and how long. */
function headerParts(boots: Boots): readonly string[] {
  const sides = [boots.expected, boots.found];
  const isOneLength = sides.every(hasInitrd) && !isOtherLength(boots);
  const parts = isOneLength || !sides.some(hasInitrd) ? [] : ['another length of the initrd'];
  if (sides.every(hasInitrd) && boots.all.some(isEvent(0, MEMORY_LIST))) parts.push('another size of memory');
  return parts;
}

const hasInitrd = ({ inputs }: TdxAccount) => inputs.has('initrd');

function isOtherLength(boots: Boots): boolean {
  const [own, other] = [boots.expected.boot.initrdBytes, boots.found.boot.initrdBytes];
  return own === undefined || other === undefined ? isOther(boots, 'initrd') : own !== other;
}

/** The firmware puts initrd=initrd into the load options where there is one. */
const cmdline: BootRule = (boots) => {
  if (!isOther(boots, 'cmdline')) return undefined;
  const because = 'the command line is another one (a newline at its end counts, and words that the host adds)';
  return causeOf('tdx-cmdline', boots.left.filter(isLoadOptions), because, '--cmdline as QEMU gets it with -append');
};

const initrd: BootRule = (boots) => {
  const own = boots.left.filter(isInitrd);
  const [first] = own;
  if (first === undefined || !isOther(boots, 'initrd')) return undefined;
  const attempt = '--initrd with the file that the host gives as -initrd (sha256sum)';
  if (first.kind === 'event-digest') return causeOf('tdx-initrd', own, 'the initrd is another file', attempt);
  const because =
    first.kind === 'event-missing'
      ? 'no initrd, or an empty one, is booted'
      : 'an initrd is booted, and none was expected';
  return causeOf(
    'tdx-initrd',
    boots.left.filter((one) => isInitrd(one) || isLoadOptions(one)),
    because,
    attempt,
  );
};

/** The profile says where the separator and the word initrd=initrd stand; a plan of another version may name one that is not known here. */
const profile: BootRule = ({ left, expected, found }) => {
  const [own, other] = [expected, found].map(({ boot }) => BOOT_PROFILES.find(({ name }) => name === boot.profile));
  if (own === undefined || other === undefined) return undefined;
  const isSeparator = ({ kind, name, rtmr }: Difference) =>
    name === 'separator' &&
    own.separator !== other.separator &&
    ((kind === 'event-missing' && rtmr === own.separator) || (kind === 'event-added' && rtmr === other.separator));
  const isWord = (one: Difference) =>
    isLoadOptions(one) && own.initrdWord !== other.initrdWord && [expected, found].every(bootsInitrd);
  const explains = left.filter((one) => isSeparator(one) || isWord(one));
  const what = [...(explains.some(isSeparator) ? ['the separator'] : []), ...(explains.some(isWord) ? [WORD] : [])];
  const because = `the firmware is one of profile ${other.name}, and ${own.name} was expected: where it puts ${what.join(' and ')} is another place`;
  return causeOf('tdx-profile', explains, because, `--profile ${other.name}, or the firmware that is expected`);
};

const WORD = 'initrd=initrd';
const bootsInitrd = ({ boot }: Boots['expected']) =>
  boot.events.some(({ rtmr, name }) => rtmr === 2 && name === 'initrd');

/** The event of the list of memory, which is made of the size and of two kinds of the firmware's sections alone (core/rtmr/td-hob.ts). */
export const MEMORY_LIST = 'TD HOB';

/** Whether a section that stands in the list of memory differs. */
export const isOfMemoryList = ({ kind, name }: Difference): boolean =>
  kind.startsWith('step-') && kind !== 'step-contents' && ['TD_HOB', 'TEMP_MEM'].includes(name);

const memory: BootRule = ({ left, all }) => {
  if (all.some(isOfMemoryList)) return undefined;
  const explains = left.filter((one) => one.kind === 'event-digest' && isEvent(0, MEMORY_LIST)(one));
  const because = 'the guest has another size of memory: the firmware’s sections in the list of memory are the same';
  return causeOf('tdx-memory', explains, because, '--memory as QEMU gets it with -m');
};

/** The roles of files that QEMU hands to the firmware; which ACPI files are loaded stands in the loader's. */
const ROLES: ReadonlyMap<string, readonly string[]> = new Map([
  ['etc/table-loader', ['acpiLoader']],
  ['etc/acpi/rsdp', ['acpiRsdp', 'acpiLoader']],
  ['etc/acpi/tables', ['acpiTables', 'acpiLoader']],
  ['SMBIOS', ['smbios']],
]);

const hostFiles: BootRule = (boots) => {
  const explains = boots.left.filter((one) => one.rtmr === 0 && isOfHost(one, boots));
  const names = explains.map(({ name }) => name).join(', ');
  const because = `what QEMU hands to the firmware is other: ${names.length > 120 ? `${names.slice(0, 120)}…` : names} (its version, the number of vCPUs, the machine and every device count)`;
  return causeOf(
    'tdx-host-files',
    explains,
    because,
    '--fw-cfg, --smbios and --boot-variable out of a guest of the same QEMU with the same options',
  );
};

function isOfHost({ kind, name }: Difference, boots: Boots): boolean {
  // Whether SMBIOS tables are measured at all is the firmware's doing.
  if (name === 'SMBIOS' && kind !== 'event-digest') return false;
  const roles = ROLES.get(name);
  if (roles !== undefined) return roles.some((role) => areTwo(boots, role));
  const [, variable] = /^variable (BootOrder|Boot[0-9A-F]{4})$/.exec(name) ?? [];
  if (variable !== undefined) return [variable, 'BootOrder'].some((role) => isOther(boots, role));
  // It is no file but an option of QEMU, and always there where items are measured and known.
  if (name === 'BootMenu') return kind === 'event-digest';
  return isOther(boots, name) && [boots.expected, boots.found].every(hasItems);
}

const hasItems = ({ boot }: Boots['expected']) => boot.events.some(({ name }) => name === 'BootMenu');

/** The rules for events. */
export const TDX_BOOT_RULES: readonly CauseRule[] = [kernel, cmdline, initrd, profile, memory, hostFiles].map(ruleOf);
