/**
 * @module Causes between two plans of TDX guests. Both say which files they were made of, so a cause is named where the files, orders
 * or profiles show it; what they do not show has no cause.
 */
import type { MrtdOrder } from '../measurement/mrtd.ts';
import { MEASURED_FILES } from '../rtmr/fw-cfg.ts';
import type { Cause, CauseName, CauseRule } from './cause.ts';
import type { Comparison } from './compare-launches.ts';
import { isTdx } from './compare-tdx.ts';
import { type Difference, hexNumber } from './difference.ts';
import { isOfMemoryList, MEMORY_LIST, TDX_BOOT_RULES } from './tdx-boot-causes.ts';

/** Whether a guest of TDX is compared with one of another platform. */
export const isOneTdx = ({ expected, found }: Comparison): boolean => isTdx(expected) !== isTdx(found);

/** Whether one of the guests is of TDX. */
export const isOfTdx = ({ expected, found }: Comparison): boolean => isTdx(expected) || isTdx(found);

/** Makes one cause of some differences, or none of none. */
function tdxCause(
  name: CauseName,
  explains: readonly Difference[],
  because: string,
  attempt: string,
): readonly Cause[] {
  return explains.length === 0 ? [] : [{ name, because, attempt, explains }];
}

/** docs/measure.md has where each was read. */
const HOSTS: Readonly<Record<MrtdOrder, string>> = {
  'page-wise': 'as KVM in Linux with QEMU and Google Compute Engine measure',
  'two-pass': 'as Canonical’s TDX stack from before TDX was in Linux measures',
};

const order: CauseRule = (left, { expected, found }) => {
  const explains = left.filter(({ kind }) => kind === 'mrtd-order');
  const [own, other] = [expected.tdx?.order, found.tdx?.order];
  if (own === undefined || other === undefined) return [];
  const because = `the pages are measured in another order: ${own} was expected, ${HOSTS[own]}, and ${other} was found, ${HOSTS[other]}`;
  return tdxCause('tdx-order', explains, because, `--order ${other}`);
};

/** Events that come of the image alone: its variable store, and that a build measures fw_cfg and SMBIOS tables at all. */
const STORED: readonly string[] = [
  'CFV',
  ...['SecureBoot', 'PK', 'KEK', 'db', 'dbx', 'dbt'].map((name) => `variable ${name}`),
];
const BUILT: readonly string[] = ['BootMenu', 'SMBIOS', ...MEASURED_FILES];

function isOfImage({ kind, name, rtmr }: Difference, { differences }: Comparison): boolean {
  if (kind === 'firmware' || kind.startsWith('step-')) return true;
  if (rtmr !== 0) return false;
  if (name === MEMORY_LIST) return differences.some(isOfMemoryList);
  return STORED.includes(name) || (kind !== 'event-digest' && BUILT.includes(name));
}

const firmware: CauseRule = (left, comparison) => {
  const { expected, found } = comparison;
  const [own, other] = [expected.tdx?.inputs.get('firmware'), found.tdx?.inputs.get('firmware')];
  if (own === undefined || other === undefined || own === other) return [];
  const explains = left.filter((one) => isOfImage(one, comparison));
  const because = `the firmware is another file, ${other.slice(0, 12)}, and ${own.slice(0, 12)} was expected: ${whatIsOther(explains, comparison)}`;
  const attempt = 'give --firmware the very file that the host loads (sha256sum)';
  return tdxCause('tdx-firmware', explains, because, attempt);
};

/** Each digest tells of all that was measured before it, so of two orders none shows which page is the first that differs. */
function whatIsOther(explains: readonly Difference[], { first, differences }: Comparison): string {
  const build = 'another build, or a file that was changed';
  if (differences.some(({ kind }) => kind === 'mrtd-order')) {
    return `${build}: which of its pages differ shows only in two plans of the same order`;
  }
  const step = explains.find(({ kind }) => kind.startsWith('step-'));
  if (step === undefined) return `MRTD does not show it, and ${explains[0]?.name} in RTMR0 does`;
  const { name, gpa } = first?.expected ?? first?.found ?? step;
  return `${build}, ${name}${gpa === undefined ? '' : ` at ${hexNumber(gpa)}`} is the first that differs`;
}

/** The rules between two plans of TDX guests. */
export const TDX_RULES: readonly CauseRule[] = [order, ...TDX_BOOT_RULES, firmware];
