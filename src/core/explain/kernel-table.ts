/** @module Which step of a launch is the table of kernel hashes: by its name in a plan, in a log by what it looks like. */
import { HASH_TABLE_SIZE } from '../measurement/hash-table.ts';
import { PAGE_SIZE } from '../measurement/snp.ts';
import type { AccountStep, LaunchAccount } from './account.ts';
import { HASH_STEPS } from './compare-launches.ts';

/** Whether a step is the table, or may be it: logs name nothing, and no other step of either platform has contents of that length. */
export function isTableStep({ name, type, length }: AccountStep): boolean {
  if (name !== undefined) return HASH_STEPS.includes(name) && isFilled(type);
  return (type === 'data' && length === HASH_TABLE_SIZE) || (type === 'normal' && length === PAGE_SIZE);
}

const isFilled = (type: AccountStep['type']) => type === 'data' || type === 'normal';

/** Whether a step of the launch is the table; undefined where the account does not tell, or tells a part that has none. */
export function hasTable({ steps, cut }: LaunchAccount): boolean | undefined {
  if (steps === undefined) return undefined;
  return steps.some(isTableStep) || (cut === undefined ? false : undefined);
}
