/** @module Causes in what is booted directly: whether the host measures it at all, and which of kernel, initrd and command line differs. */
import { SLIP_TEXTS } from '../identify/boots.ts';
import { HASH_TABLE_SIZE } from '../measurement/hash-table.ts';
import { PAGE_SIZE } from '../measurement/snp.ts';
import type { LaunchAccount } from './account.ts';
import type { Cause, CauseName, CauseRule } from './cause.ts';
import { HASH_STEPS } from './compare-launches.ts';
import { type Difference, hexNumber } from './difference.ts';
import { hasTable } from './kernel-table.ts';

/** SHA-256 of nothing: no initrd, or an empty one. */
const NO_INITRD = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
/** SHA-256 of one NUL: no command line, or an empty one. */
const NO_CMDLINE = '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d';

/** Explains differences in the hash table and in whether there is one. */
export const bootCauses: CauseRule = (left, { expected, found }) => {
  const entries = left.filter(({ kind }) => kind === 'kernel-hash');
  return [...tableCauses(left, expected, found.cut), ...entryCauses(entries, expected.cmdlineSlips)];
};

/** That a launch which is told from end to end has none, no-table-cause.ts has said before. */
function tableCauses(
  left: readonly Difference[],
  expected: LaunchAccount,
  cut: LaunchAccount['cut'],
): readonly Cause[] {
  const { steps = [] } = expected;
  const isExpected = hasTable(expected) === true;
  if (isExpected && cut === undefined) return [];
  // A plan with an SVSM has no sections of the firmware, of which the table is the only one that is filled.
  const added = steps.some(({ name }) => name === 'svsm') ? [TABLE, TABLE_PAGE] : [TABLE];
  const isOfTable = ({ kind, name, found }: Difference) =>
    HASH_STEPS.includes(name) || (kind === 'step-added' && added.includes(found ?? ''));
  const mayBeElsewhere = elsewhere(left);
  const ofTable = left.filter((one) => isOfTable(one) && !mayBeElsewhere(one));
  const explains = ofTable.filter(isExpected ? isOff : isOn);
  return explains.length === 0 ? [] : [{ ...(isExpected ? KERNEL_HASHES_OFF : KERNEL_HASHES_ON), explains }];
}

const isOff = ({ kind, expected, found }: Difference) =>
  (kind === 'step-missing' && !isZero(expected)) || (kind === 'step-type' && found === 'zero');

const isOn = ({ kind, expected, found }: Difference) =>
  (kind === 'step-added' && !isZero(found)) || (kind === 'step-type' && expected === 'zero');

/** The host lets anything boot. */
export const KERNEL_HASHES_OFF: Omit<Cause, 'explains'> = {
  name: 'kernel-hashes-off',
  because:
    'the host measures no kernel: kernel-hashes=on or -kernel is missing, and it can boot any kernel, initrd and command line',
  attempt: 'have the host set kernel-hashes=on on its sev-guest or sev-snp-guest object, and give -kernel',
};

/** The owner did not say what boots. */
export const KERNEL_HASHES_ON: Omit<Cause, 'explains'> = {
  name: 'kernel-hashes-on',
  because: 'the host measures a kernel that it boots directly, and none was expected',
  attempt: 'give --kernel, --initrd and --cmdline',
};

/** A section without a table in it is one like others. */
const isZero = (what: string | undefined) => what?.startsWith('zero') === true;

/** In a firmware with another layout the table may stand in another page, and another section where it would be. */
function elsewhere(left: readonly Difference[]): (one: Difference) => boolean {
  const steps = left.filter(({ kind, name }) => kind.startsWith('step-') && name !== 'firmware');
  const lengths = steps.filter(({ kind }) => kind === 'step-length');
  const filled = steps.filter(({ kind, found }) => kind !== 'step-length' && found?.startsWith('normal') === true);
  // Two of each tell whether there is one besides the difference itself, of which a plan may have tens of thousands.
  const firstTwo = new Map<bigint | undefined, readonly Difference[]>();
  for (const one of lengths) firstTwo.set(one.gpa, [...(firstTwo.get(one.gpa) ?? []).slice(0, 1), one]);
  return (one) => [...filled.slice(0, 2), ...(firstTwo.get(one.gpa) ?? [])].some((other) => other !== one);
}

/** A log does not name the table; nothing else that is added to a SEV guest has its length. */
const TABLE = `data, ${hexNumber(HASH_TABLE_SIZE)} bytes`;
/** The same of an SNP guest. */
const TABLE_PAGE = `normal, ${hexNumber(PAGE_SIZE)} bytes`;

type Texts = readonly [name: CauseName, because: string, attempt: string];

function entryCauses(entries: readonly Difference[], slips: LaunchAccount['cmdlineSlips']): readonly Cause[] {
  const swapped = swappedFiles(entries);
  const others = entries.filter((one) => !swapped.includes(one)).map((one) => entryCause(one, slips));
  if (swapped.length === 0) return others;
  const because = SLIP_TEXTS['kernel-and-initrd-swapped'];
  const attempt = 'exchange what --kernel and --initrd are given, or have the host do so with -kernel and -initrd';
  return [{ name: 'kernel-and-initrd-swapped', because, attempt, explains: swapped }, ...others];
}

/** Both entries, where each has the hash of the other. */
function swappedFiles(entries: readonly Difference[]): readonly Difference[] {
  const [kernel, initrd] = ['kernel', 'initrd'].map((name) => entries.find((one) => one.name === name));
  if (kernel === undefined || initrd === undefined) return [];
  return kernel.found === initrd.expected && initrd.found === kernel.expected ? [kernel, initrd] : [];
}

function entryCause(one: Difference, slips: LaunchAccount['cmdlineSlips']): Cause {
  const texts = one.name === 'kernel' ? KERNEL : one.name === 'initrd' ? initrdTexts(one) : cmdlineTexts(one, slips);
  const [name, because, attempt] = texts;
  return { name, because, attempt, explains: [one] };
}

const KERNEL: Texts = [
  'kernel',
  'another kernel is measured (QEMU 7.2.0 hashes it with a random seed behind it, some VMMs with a changed header)',
  'give --kernel the very file that the host passes to -kernel (sha256sum)',
];

function initrdTexts({ expected, found }: Difference): Texts {
  if (found === NO_INITRD) {
    const attempt = 'leave --initrd out, or have the host give -initrd';
    return ['initrd-missing', 'no initrd, or an empty one, is measured', attempt];
  }
  if (expected === NO_INITRD)
    return ['initrd-missing', 'an initrd is measured, and none was expected', 'give --initrd'];
  const attempt = 'give --initrd the very file that the host passes to -initrd (sha256sum)';
  return ['initrd', 'another initrd is measured', attempt];
}

function cmdlineTexts({ expected, found }: Difference, slips: LaunchAccount['cmdlineSlips']): Texts {
  if (found === NO_CMDLINE) {
    const attempt = 'leave --cmdline out, or have the host give -append';
    return ['cmdline-empty', 'an empty command line is measured', attempt];
  }
  if (expected === NO_CMDLINE) {
    return ['cmdline-empty', 'a command line is measured, and an empty one was expected', 'give --cmdline'];
  }
  const some = slips?.get(found ?? '');
  if (some !== undefined) {
    const because = some.map((slip) => SLIP_TEXTS[slip]).join('; ');
    return ['cmdline', because, 'measure the command line as the host has it, each byte'];
  }
  const attempt =
    'bootseal identify tries the usual slips, and with --kata the words of Kata Containers; libvirt passes on each byte of <cmdline>, newlines too';
  return ['cmdline', 'another command line is measured: each byte counts, and a newline at its end', attempt];
}
