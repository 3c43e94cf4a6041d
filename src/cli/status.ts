/** @module Exit statuses: one for each kind of failure, the same for every command. */
import type { ErrorKind } from '../core/errors.ts';

/** Exit status of each kind of failure. */
export const STATUS = { mismatch: 1, usage: 2, format: 3, key: 4, io: 5, tool: 6 } as const satisfies Record<
  ErrorKind,
  number
>;

/** Exit status of a mistake in bootseal itself. */
export const STATUS_BUG = 70;

/** What each status tells the caller, in numerical order; printed in the man pages. */
export const STATUS_MEANINGS: readonly (readonly [status: string, meaning: string])[] = [
  ['0', 'done, or it matches'],
  [`${STATUS.mismatch}`, 'a mismatch: the input is well formed and not what it should be; do not trust it'],
  [`${STATUS.usage}`, 'the request makes no sense'],
  [`${STATUS.format}`, 'the bytes of an input are not what their format says'],
  [`${STATUS.key}`, 'no key opens this'],
  [`${STATUS.io}`, 'a file could not be read or written'],
  [`${STATUS.tool}`, 'an external program is missing or failed'],
  [`${STATUS_BUG}`, 'a mistake in bootseal: please report it'],
  ['130, 131, 143', 'interrupted, quit or terminated'],
];
