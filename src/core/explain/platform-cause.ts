/**
 * @module Guests of two platforms: steps of SNP are others than those of SEV, and SNP_ACTIVE is set in its guests only. Whether the
 * host measures a kernel is another question, which is answered besides: on every platform it decides who chooses what is booted.
 */
import type { LaunchAccount } from './account.ts';
import { KERNEL_HASHES_ON } from './boot-causes.ts';
import type { Cause, CauseRule } from './cause.ts';
import type { Difference } from './difference.ts';
import { hasTable } from './kernel-table.ts';

/** Explains what comes of another platform. */
export const platformCause: CauseRule = (left, { expected, found }) => {
  const one = left.find(({ kind }) => kind === 'platform');
  if (one === undefined) return [];
  const both = [one.expected, one.found];
  const betweenSnp = both.includes('snp') && !both.includes('tdx');
  const table = betweenSnp ? tableCause(left, expected, found) : [];
  const isOfTable = (other: Difference) => table.some(({ explains }) => explains.includes(other));
  const comesOfIt = ({ kind }: Difference) => kind.startsWith('step-') || kind === 'vmsa-address';
  const explains = left.filter(
    (other) => other === one || (betweenSnp && !isOfTable(other) && (comesOfIt(other) || isSnpActive(other))),
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
  kind === 'vmsa-field' && name === 'sev_features' && xor(expected, found) === 1n;

const xor = (one: string | undefined, other: string | undefined) =>
  one === undefined || other === undefined ? undefined : BigInt(one) ^ BigInt(other);

/** Where the other one alone measures a kernel; that it measures none has been said before (no-table-cause.ts). */
function tableCause(left: readonly Difference[], expected: LaunchAccount, found: LaunchAccount): readonly Cause[] {
  if (hasTable(expected) !== false || hasTable(found) !== true) return [];
  return [{ ...KERNEL_HASHES_ON, explains: left.filter(isTable).slice(0, 1) }];
}

const isTable = ({ kind, name, found }: Difference) =>
  kind === 'step-added' ? /^(?:data|normal)/.test(found ?? '') : kind === 'step-type' && isFilled(found, name);

const isFilled = (found: string | undefined, name: string) =>
  name !== 'firmware' && (found === 'data' || found === 'normal');
