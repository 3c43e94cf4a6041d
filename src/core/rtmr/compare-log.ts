/** @module A log, which its quote bears out, against the events that were predicted: which is as it should be, and which is not. */
import type { CcelEvent } from '../attestation/ccel.ts';
import { bytesToHex } from '../hex.ts';
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
  /** Events that were predicted with their digests and that the log does not have. */
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
    );
    for (const [prediction, event] of pairs) {
      if (event !== undefined)
        compared.set(event, { event, prediction, verdict: verdictOf(event, prediction, complete) });
      else if (prediction?.digest !== undefined) absent.push(prediction);
    }
  }
  const events = log.map(
    (event) => compared.get(event) ?? { event, prediction: undefined, verdict: 'unknown' as const },
  );
  return { events, absent };
}

/** Whether everything that is known of the log is as predicted. */
export function agreesWithPrediction({ events, absent }: LogComparison): boolean {
  return absent.length === 0 && events.every(({ verdict }) => verdict === 'predicted' || verdict === 'unknown');
}

/** Registers that hold what is not known, so that their values prove nothing. */
export function unknownRegisters({ events }: LogComparison): readonly Rtmr[] {
  return PREDICTED_RTMRS.filter((rtmr) =>
    events.some(({ event, verdict }) => event.rtmr === rtmr && verdict === 'unknown'),
  );
}

function verdictOf(event: CcelEvent, prediction: PredictedEvent | undefined, complete: boolean): EventVerdict {
  if (prediction === undefined) return complete ? 'extra' : 'unknown';
  if (prediction.digest === undefined) return 'unknown';
  return isSame(prediction.digest, event.digest) ? 'predicted' : 'differs';
}

const isSame = (a: Uint8Array, b: Uint8Array) => bytesToHex(a) === bytesToHex(b);

type Pair = readonly [PredictedEvent | undefined, CcelEvent | undefined];

/** An equal digest outweighs several places in which only the types agree. */
const WEIGHT = { digest: 4, type: 1 } as const;

function weightOf(prediction: PredictedEvent, event: CcelEvent): number {
  if (prediction.digest !== undefined && isSame(prediction.digest, event.digest)) return WEIGHT.digest;
  return prediction.type === event.type ? WEIGHT.type : 0;
}

/** The heaviest way to pair two rows without crossing (S. B. Needleman and C. D. Wunsch, 1970), gaps weighing nothing. */
function align(expected: readonly PredictedEvent[], found: readonly CcelEvent[]): readonly Pair[] {
  const width = found.length + 1;
  const best = new Uint32Array((expected.length + 1) * width);
  const at = (i: number, j: number) => best[i * width + j] ?? 0;
  const pairing = expected.map((prediction) => Uint8Array.from(found, (event) => weightOf(prediction, event)));
  for (let i = expected.length - 1; i >= 0; i--) {
    for (let j = found.length - 1; j >= 0; j--) {
      const weight = pairing[i]?.[j] ?? 0;
      const paired = weight === 0 ? 0 : weight + at(i + 1, j + 1);
      best[i * width + j] = Math.max(paired, at(i + 1, j), at(i, j + 1));
    }
  }
  const pairs: Pair[] = [];
  let [i, j] = [0, 0];
  while (i < expected.length || j < found.length) {
    const weight = pairing[i]?.[j] ?? 0;
    if (weight > 0 && at(i, j) === weight + at(i + 1, j + 1)) pairs.push([expected[i++], found[j++]]);
    else if (j < found.length && (i === expected.length || at(i, j) === at(i, j + 1)))
      pairs.push([undefined, found[j++]]);
    else pairs.push([expected[i++], undefined]);
  }
  return pairs;
}
