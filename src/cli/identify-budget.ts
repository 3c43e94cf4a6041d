/** @module How long `identify` may take, from the start of the command on. */
import { BootsealError } from '../core/errors.ts';

/** A time that ends by itself. */
export interface Budget {
  /** Undefined for as long as it takes. */
  readonly seconds: number | undefined;
  /** Aborted when the time is over. */
  readonly spent: AbortSignal;
}

/** Timers take 31 bits of milliseconds; seconds. */
const MOST_SECONDS = 2_000_000;

/** Calls `use` with the budget in `text`, which begins now. Throws `usage` when it is no positive number, and what `use` throws. */
export async function withBudget(text: string | undefined, use: (budget: Budget) => Promise<void>): Promise<void> {
  const seconds = text === undefined ? undefined : parseSeconds(text);
  const over = new AbortController();
  const timer = seconds === undefined ? undefined : setTimeout(() => over.abort(), 1000 * seconds);
  try {
    await use({ seconds, spent: over.signal });
  } finally {
    clearTimeout(timer);
  }
}

function parseSeconds(text: string): number {
  const seconds = /^[0-9]+(\.[0-9]+)?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds > 0 && seconds <= MOST_SECONDS) return seconds;
  throw new BootsealError('usage', `--budget ${text}: it is a number of seconds above 0, at most ${MOST_SECONDS}`, {
    hint: 'give for example --budget 60, or leave it out to search to the end',
  });
}

/** Returns the error for a search that the budget has ended: neither a match nor a completed search. */
export function budgetSpent(seconds: number): BootsealError {
  return new BootsealError('usage', `the budget of ${seconds} s was used up before all launches were tried`, {
    hint: 'give a larger --budget, or make the search shorter with --cpu, --vcpus, --profile or fewer files',
  });
}
