/** @module RTMR3 in `bootseal verify ccel`: software in the guest extends it, and the log need not tell of that. */
import type { CcelEvent } from '../core/attestation/ccel.ts';
import { checkCcel } from '../core/attestation/replay-ccel.ts';
import type { TdxQuote } from '../core/attestation/tdx-quote.ts';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { type Io, remark } from './io.ts';

/** What is found of RTMR3. */
export interface FoundRtmr3 {
  /** Whether the log gives its value. */
  readonly replayed: boolean;
  /** Whether nothing was held against its value: the log has no event of it, and no value was expected. */
  readonly unexplained: boolean;
  /** Why it is not as it should be. */
  readonly failure: BootsealError | undefined;
}

/** Holds RTMR3 of the quote against the log, and against `expected` (hexadecimal) where that is given. */
export function findRtmr3(events: readonly CcelEvent[], quote: TdxQuote, expected: string | undefined): FoundRtmr3 {
  const quoted = quotedRtmr3(quote);
  try {
    const replayed = checkCcel(events, quote, nodeHashes, [3]).length === 0;
    const failure = expected === undefined || expected === quoted ? undefined : otherValue(quoted, expected);
    return { replayed, unexplained: !replayed && expected === undefined, failure };
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    return { replayed: false, unexplained: false, failure: error };
  }
}

/** Warns of an RTMR3 that nothing was held against. */
export function remarkOnRtmr3(io: Io, quote: TdxQuote, { unexplained }: FoundRtmr3): void {
  if (!unexplained) return;
  const what = `RTMR3 holds ${quotedRtmr3(quote)}, which this log does not tell of`;
  remark(io, 'warning', `${what}: only RTMR0 to RTMR2 were checked; --rtmr3 compares it with a value of yours`);
}

/** Returns what stands behind the value of RTMR3. */
export function rtmr3Text({ unexplained, failure }: FoundRtmr3): string {
  if (failure !== undefined) return ' DIFFERS';
  return unexplained ? ' NOT IN THE LOG' : '';
}

const quotedRtmr3 = ({ rtmrs }: TdxQuote) => bytesToHex(rtmrs[3] ?? new Uint8Array());

function otherValue(quoted: string, expected: string): BootsealError {
  return new BootsealError('mismatch', `RTMR3: the quote has ${quoted}, expected was ${expected}`, {
    hint: 'software in the guest has extended it with something else, or not at all when the quote was made',
  });
}
