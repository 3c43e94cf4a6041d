/**
 * @module An SVSM below the firmware, where the other side has none or another one: its pages, its own metadata in place of the
 * firmware's, and the state in which all vCPUs start in it. One of our own plans names it; a trace shows its place.
 */
import { findProfile, PROFILES } from '../measurement/profiles.ts';
import { svsmVcpuPages } from '../measurement/svsm.ts';
import { Vmsa } from '../measurement/vmsa.ts';
import { fieldText, VMSA_FIELDS } from '../measurement/vmsa-fields.ts';
import type { AccountStep, LaunchAccount } from './account.ts';
import type { CauseRule } from './cause.ts';
import { HASH_STEPS } from './compare-launches.ts';
import type { Difference } from './difference.ts';
import { alike } from './profile-cause.ts';

/** Where an SVSM lies, in bytes. */
interface Place {
  readonly gpa: bigint;
  readonly length: number;
}

const FOUR_GIB = 2n ** 32n;
/** From here up to 4 GiB no machine of QEMU has RAM (firmware/guest-memory.ts); flash and what stands below it lie there. */
const FLASH: Place = { gpa: 0xe000_0000n, length: 0x2000_0000 };

/** Explains what comes of an SVSM. Contents that the host adds besides, and kernel hashes where there is none, it leaves to others. */
export const svsmCause: CauseRule = (left, { expected, found }) => {
  const [own, other] = [svsmOf(expected, found), svsmOf(found, expected)];
  if (own === undefined && other === undefined) return [];
  const isSvsm = ({ kind, name, gpa }: Difference) =>
    kind.startsWith('step-') && (name === 'svsm' || (gpa !== undefined && gpa === other?.gpa));
  const isStart = (one: Difference) => one.kind === 'vmsa-field' && isStartOf(one, found, other);
  if (own !== undefined && other !== undefined && !left.some((one) => isSvsm(one) || isStart(one))) return [];
  const tables = other === undefined ? [] : left.filter(isUnfilledTable);
  const explains = left.filter((one) => isSvsm(one) || isStart(one) || isSection(one) || tables.includes(one));
  if (explains.length === 0) return [];
  return [{ name: 'svsm', ...(tables.length > 0 ? NO_TABLE : texts(own, other)), explains }];
};

const NO_TABLE = {
  because:
    'an SVSM below the firmware was found, and none was expected; nothing behind it measures a kernel: the host can boot any kernel, initrd and command line',
  attempt: 'have the host start no SVSM, or give --svsm with --vars-size, without --kernel',
};

/** Whether a table of kernel hashes was expected, and its page is not filled. */
const isUnfilledTable = ({ kind, name, found }: Difference) =>
  HASH_STEPS.includes(name) && (kind === 'step-missing' || (kind === 'step-type' && found !== 'normal'));

function texts(
  own: Place | undefined,
  other: Place | undefined,
): { readonly because: string; readonly attempt: string } {
  if (other === undefined) {
    const because = 'an SVSM below the firmware was expected, and there is none';
    return { because, attempt: 'leave --svsm out, or have the host start the SVSM' };
  }
  if (own === undefined) {
    const because = 'an SVSM below the firmware was found, and none was expected';
    return { because, attempt: 'give --svsm, with --vars-size' };
  }
  return {
    because: 'another SVSM is below the firmware, or it stands in another place',
    attempt: 'give --svsm the very file that the host loads, and --vars-size of its variable store',
  };
}

/** Returns the place of the SVSM; undefined where the account has none. */
export function svsmOf(account: LaunchAccount, counterpart: LaunchAccount): Place | undefined {
  const { steps, vmsas } = account;
  if (steps === undefined) return startsInFlash(vmsas?.pages[0]) ? FLASH : undefined;
  const [firmware, second] = steps;
  const named = steps.find(({ name }) => name === 'svsm');
  const step = named ?? (isBelow(firmware, second) && hasOwnMetadata(steps, counterpart) ? second : undefined);
  return step?.gpa === undefined ? undefined : { gpa: step.gpa, length: step.length ?? 0 };
}

/** Whether the second step of a trace has contents, and lies below the firmware where no RAM is. */
function isBelow(firmware: AccountStep | undefined, second: AccountStep | undefined): boolean {
  if (firmware?.gpa === undefined || second?.gpa === undefined || second.name !== undefined) return false;
  const end = ({ gpa = 0n, length = 0 }: AccountStep) => gpa + BigInt(length);
  const isThere = second.gpa >= FLASH.gpa && end(second) <= firmware.gpa && end(firmware) === FOUR_GIB;
  return isThere && second.type === 'normal';
}

/** Behind an SVSM the metadata of the firmware is not looked at: its secrets page is not filled. */
function hasOwnMetadata(steps: readonly AccountStep[], { steps: others = [] }: LaunchAccount): boolean {
  if (others.some(({ name }) => name === 'svsm')) return true;
  const secrets = others.filter(({ type }) => type === 'secrets').map(({ gpa }) => gpa);
  return !steps.some(({ type, gpa }) => type === 'secrets' && secrets.includes(gpa));
}

const SECTION_KINDS: readonly string[] = ['step-missing', 'step-added', 'step-type', 'step-length', 'step-order'];

function isSection({ kind, name, expected, found }: Difference): boolean {
  const isNormal = [expected, found].some((what) => what?.startsWith('normal'));
  return SECTION_KINDS.includes(kind) && name !== 'firmware' && !isNormal;
}

/** Fields of the 32-bit protected mode in which an SVSM starts. */
const isStartField = (name: string) => name === 'cr0' || name === 'rip' || /^(?:es|cs|ss|ds|fs)\./.test(name);

/** Whether a field is as an SVSM's vCPUs have it or, where none was found, as some host's have it without one. */
function isStartOf({ name, vcpu }: Difference, { vmsas }: LaunchAccount, svsm: Place | undefined): boolean {
  const [number, field] = [vcpu?.first ?? 0, VMSA_FIELDS.find((one) => one.name === name)];
  const page = vmsas?.pages[number];
  if (page === undefined || field === undefined || !isStartField(name)) return false;
  const isIn = (model: Uint8Array) => fieldText(model, field) === fieldText(page, field);
  if (svsm === undefined) return PROFILES.some((profile) => isIn(alike(profile, number, page)));
  const { rip } = Vmsa.unpack(page);
  return isWithin(rip, svsm) && isIn(svsmPage(rip));
}

const isWithin = (address: bigint, { gpa, length }: Place) => address >= gpa && address < gpa + BigInt(length);

const svsmPage = (entry: bigint) => svsmVcpuPages(findProfile('qemu'), { entry: Number(entry) }, 0, 0n).bsp;

/** A dump alone shows an SVSM by where its boot processor starts. */
function startsInFlash(page: Uint8Array | undefined): boolean {
  if (page === undefined) return false;
  const { rip } = Vmsa.unpack(page);
  const fields = VMSA_FIELDS.filter(({ name }) => isStartField(name));
  return isWithin(rip, FLASH) && fields.every((field) => fieldText(svsmPage(rip), field) === fieldText(page, field));
}
