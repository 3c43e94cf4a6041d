/** @module A log, which its quote bears out, against the events that were predicted: which is as it should be, and which is not. */
import type { CcelEvent } from '../attestation/ccel.ts';
import { bytesToHex } from '../hex.ts';
import { align } from './align.ts';
import { PREDICTED_RTMRS, type PredictedEvent, type Rtmr } from './events.ts';

/**
 * What is found of one event of a log: it is as `predicted`, `differs`, is `extra` in a register of which every event is predicted,
 * or `unknown`: nothing can be said of it.
 */
export type EventVerdict = 'predicted' | 'differs' | 'extra' | 'unknown';

/** One event of a log. */
export interface ComparedEvent {
  readonly event: CcelEvent;
  readonly verdict: EventVerdict;
  /** The predicted event that stands in its place, if one does. */
  readonly prediction: PredictedEvent | undefined;
}

/** What is found of a whole log. */
export interface LogComparison {
  /** In the order of the log. */
  readonly events: readonly ComparedEvent[];
  /** Events that were predicted, also without a digest, and that the log does not have. */
  readonly absent: readonly PredictedEvent[];
}

/** Compares register by register; events stand in for each other by digest, or else by type, in their order. */
export function compareLog(log: readonly CcelEvent[], predicted: readonly PredictedEvent[]): LogComparison {
  const compared = new Map<CcelEvent, ComparedEvent>();
  const absent: PredictedEvent[] = [];
  for (const rtmr of PREDICTED_RTMRS) {
    const expected = predicted.filter((event) => event.rtmr === rtmr);
    const complete = expected.every(({ digest }) => digest !== undefined);
    const pairs = align(
      expected,
      log.filter((event) => event.rtmr === rtmr),
      weightOf,
    );
    for (const [prediction, event] of pairs) {
      if (event !== undefined)
        compared.set(event, { event, prediction, verdict: verdictOf(event, prediction, complete) });
      else if (prediction !== undefined) absent.push(prediction);
    }
  }
  const events = log.map(
    (event) => compared.get(event) ?? { event, prediction: undefined, verdict: 'unknown' as const },
  );
  return { events, absent };
}

/** Whether everything that is known of the log is as predicted. */
export function agreesWithPrediction({ events, absent }: LogComparison): boolean {
  return (
    absent.every(({ digest }) => digest === undefined) &&
    events.every(({ verdict }) => verdict === 'predicted' || verdict === 'unknown')
  );
}

/** Registers of which not every event is known, in the log or missing from it, so that their values prove nothing. */
export function unknownRegisters({ events, absent }: LogComparison): readonly Rtmr[] {
  return PREDICTED_RTMRS.filter(
    (rtmr) =>
      events.some(({ event, verdict }) => event.rtmr === rtmr && verdict === 'unknown') ||
      absent.some((event) => event.rtmr === rtmr && event.digest === undefined),
  );
}

function verdictOf(event: CcelEvent, prediction: PredictedEvent | undefined, complete: boolean): EventVerdict {
  if (prediction === undefined) return complete ? 'extra' : 'unknown';
  if (prediction.digest === undefined) return 'unknown';
  return isSame(prediction.digest, event.digest) ? 'predicted' : 'differs';
}

const isSame = (a: Uint8Array, b: Uint8Array) => bytesToHex(a) === bytesToHex(b);

/** An equal digest outweighs several places in which only the types agree. */
const WEIGHT = { digest: 4, type: 1 } as const;

function weightOf(prediction: PredictedEvent, event: CcelEvent): number {
  if (prediction.digest !== undefined && isSame(prediction.digest, event.digest)) return WEIGHT.digest;
  return prediction.type === event.type ? WEIGHT.type : 0;
}
