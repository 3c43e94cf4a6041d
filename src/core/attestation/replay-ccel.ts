/** @module The event log of a TDX guest against its quote: what the RTMRs must be after all events, and which one is not. */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import { bytesToHex } from '../hex.ts';
import type { CcelEvent } from './ccel.ts';
import type { TdxQuote } from './tdx-quote.ts';

/** The values of one RTMR: 48 zeros, and what it was after each of its events. */
interface Register {
  readonly values: readonly Uint8Array[];
  /** The number of each event in the log, from 1. */
  readonly numbers: readonly number[];
}

/** Returns RTMR0 to RTMR3 (48 bytes each) after all events: SHA-384 of the old value and the digest, from zeros. */
export function replayCcel(events: readonly CcelEvent[], hashes: Pick<Hashes, 'sha384'>): readonly Uint8Array[] {
  return registers(events, hashes).map(({ values }) => last(values));
}

/** The register that firmware and loader leave to the guest's software, which seldom writes into the CCEL what it extends. */
const RUNTIME_RTMR = 3;

const ALL_RTMRS: readonly number[] = [0, 1, 2, 3];

/**
 * Holds a log against the RTMRs of a quote (all of them, or those in `rtmrs`), which must have been verified before. Returns those that
 * hold what the log does not tell of: RTMR3 or none, and only where the log has no event of it. Throws `mismatch` that names the first
 * RTMR that differs otherwise, and the event after which the log had its value, if there is one.
 */
export function checkCcel(
  events: readonly CcelEvent[],
  quote: TdxQuote,
  hashes: Pick<Hashes, 'sha384'>,
  rtmrs: readonly number[] = ALL_RTMRS,
): readonly number[] {
  const untold: number[] = [];
  for (const [rtmr, register] of registers(events, hashes).entries()) {
    if (!rtmrs.includes(rtmr)) continue;
    const quoted = bytesToHex(quote.rtmrs[rtmr] ?? new Uint8Array());
    const replayed = bytesToHex(last(register.values));
    if (quoted === replayed) continue;
    if (rtmr !== RUNTIME_RTMR || register.numbers.length > 0) throw mismatch(rtmr, quoted, replayed, register);
    untold.push(rtmr);
  }
  return untold;
}

function registers(events: readonly CcelEvent[], { sha384 }: Pick<Hashes, 'sha384'>): readonly Register[] {
  return ALL_RTMRS.map((rtmr) => {
    const values = [new Uint8Array(48)];
    const numbers: number[] = [];
    for (const [i, event] of events.entries()) {
      if (event.rtmr !== rtmr) continue;
      const both = new Uint8Array(96);
      both.set(last(values));
      both.set(event.digest, 48);
      values.push(new Uint8Array(sha384(both)));
      numbers.push(i + 1);
    }
    return { values, numbers };
  });
}

const last = (values: readonly Uint8Array[]) => values.at(-1) ?? new Uint8Array();

function mismatch(rtmr: number, quoted: string, replayed: string, { values, numbers }: Register): BootsealError {
  const known = values.findIndex((value) => bytesToHex(value) === quoted);
  const what = `RTMR${rtmr}: the quote has ${quoted}, the log replays to ${replayed}`;
  if (known === -1) {
    const reason = numbers.length === 0 ? ' without any event' : '';
    return new BootsealError('mismatch', `${what}${reason}`, {
      hint: 'the log was changed, is of another guest or boot, or lacks events, such as those that software in the guest extends later; read log and quote in one boot',
    });
  }
  const when = known === 0 ? 'before its first event' : `after event ${numbers[known - 1]}`;
  return new BootsealError('mismatch', `${what}; the log had the value of the quote ${when}`, {
    hint: `event ${numbers[known]} and what follows was not extended when the quote was made: ask for a newer quote, or do not believe them`,
  });
}
