/**
 * @module Guests of two platforms: steps of SNP are others than those of SEV, and SNP_ACTIVE is set in its guests only. Whether the
 * host measures a kernel is another question, which is answered besides: on every platform it decides who chooses what is booted.
 */
import { HASH_TABLE_SIZE } from '../measurement/hash-table.ts';
import { PAGE_SIZE } from '../measurement/snp.ts';
import type { AccountStep, LaunchAccount } from './account.ts';
import { KERNEL_HASHES_OFF, KERNEL_HASHES_ON } from './boot-causes.ts';
import type { Cause, CauseRule } from './cause.ts';
import { HASH_STEPS } from './compare-launches.ts';
import type { Difference } from './difference.ts';

/** Explains what comes of another platform. */
export const platformCause: CauseRule = (left, { expected, found }) => {
  const one = left.find(({ kind }) => kind === 'platform');
  if (one === undefined) return [];
  const both = [one.expected, one.found];
  const betweenSnp = both.includes('snp') && !both.includes('tdx');
  const table = betweenSnp ? tableCause(left, expected, found) : [];
  const isTable = (other: Difference) => table.some(({ explains }) => explains.includes(other));
  const comesOfIt = ({ kind }: Difference) => kind.startsWith('step-') || kind === 'vmsa-address';
  const explains = left.filter(
    (other) => other === one || (betweenSnp && !isTable(other) && (comesOfIt(other) || isSnpActive(other))),
  );
  return [
    {
      name: 'platform',
      because: `${one.expected} was expected, and the guest was started as ${one.found}`,
      attempt: `bootseal measure ${one.found}; on the host look at the confidential-guest-support object`,
      explains,
    },
    ...table,
  ];
};

const isSnpActive = ({ kind, name, expected, found }: Difference) =>
  kind === 'vmsa-field' && name === 'sev_features' && (BigInt(expected ?? 0) ^ BigInt(found ?? 0)) === 1n;

/** Where one of the two measures a kernel, and the other does not. */
function tableCause(left: readonly Difference[], expected: LaunchAccount, found: LaunchAccount): readonly Cause[] {
  const [own, other] = [hasTable(expected), hasTable(found)];
  if (own === undefined || other === undefined || own === other) return [];
  const explains = left.filter((one) => isOfTable(one, own)).slice(0, 1);
  return [{ ...(own ? KERNEL_HASHES_OFF : KERNEL_HASHES_ON), explains }];
}

/** Whether a step is the table of kernel hashes; undefined where the account does not tell, or tells a part that has none. */
function hasTable({ steps, cut }: LaunchAccount): boolean | undefined {
  if (steps === undefined) return undefined;
  return steps.some(isTableStep) || (cut === undefined ? false : undefined);
}

/** Logs name nothing; no other step of either platform has contents of that length. */
function isTableStep({ name, type, length }: AccountStep): boolean {
  if (name !== undefined) return HASH_STEPS.includes(name) && type !== 'zero';
  return (type === 'data' && length === HASH_TABLE_SIZE) || (type === 'normal' && length === PAGE_SIZE);
}

function isOfTable({ kind, name, found }: Difference, expected: boolean): boolean {
  if (expected) return HASH_STEPS.includes(name) && (kind === 'step-missing' || kind === 'step-type');
  return kind === 'step-added' ? /^(?:data|normal)/.test(found ?? '') : kind === 'step-type' && isFilled(found, name);
}

const isFilled = (found: string | undefined, name: string) =>
  name !== 'firmware' && (found === 'data' || found === 'normal');
