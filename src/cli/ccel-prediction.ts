/** @module What `bootseal verify ccel` says of a log whose events were predicted. */
import type { CcelEvent } from '../core/attestation/ccel.ts';
import { eventName } from '../core/attestation/event-names.ts';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import { causeOf } from '../core/rtmr/causes.ts';
import {
  agreesWithPrediction,
  compareLog,
  type EventVerdict,
  type LogComparison,
  unknownRegisters,
} from '../core/rtmr/compare-log.ts';
import type { PredictedEvent } from '../core/rtmr/events.ts';
import { type Io, remark } from './io.ts';
import { remarkOnSilence, rtmrJson } from './rtmr-text.ts';
import type { PredictedBoot } from './tdx-boot.ts';

/** A log and the boot that it is compared with. */
export interface PredictedLog {
  readonly boot: PredictedBoot;
  readonly comparison: LogComparison;
}

/** Compares the events of a log with those of a boot. */
export function compareWithPrediction(log: readonly CcelEvent[], boot: PredictedBoot): PredictedLog {
  return { boot, comparison: compareLog(log, boot.events) };
}

/** Says what the prediction is of, and in which registers something is not known. */
export function remarkOnComparison(io: Io, { boot, comparison }: PredictedLog): void {
  const { profile, kernelHeader } = boot;
  remark(io, 'note', `compared with profile=${profile.name}/${profile.version} kernel-header=${kernelHeader}`);
  remarkOnSilence(io, boot);
  for (const rtmr of unknownRegisters(comparison)) {
    const reasons = boot.rtmrs.find((register) => register.rtmr === rtmr)?.missing ?? [];
    remark(io, 'warning', `not all events of RTMR${rtmr} are known, so it proves nothing: ${reasons.join('; ')}`);
  }
}

/** Returns what stands behind an event of the log. */
export function verdictText({ comparison }: PredictedLog, index: number): string {
  const { verdict, prediction } = comparison.events[index] ?? { verdict: 'unknown', prediction: undefined };
  const name = prediction === undefined ? '' : `: ${prediction.name}`;
  if (verdict === 'predicted') return `, as predicted${name}`;
  if (verdict === 'extra') return ', NOT PREDICTED';
  if (verdict === 'unknown' || prediction === undefined) return `, not known${name}`;
  return `, DIFFERS${name}, predicted is ${digestOf(prediction)} (${causeOf(prediction)})`;
}

/** Whether an event of the log is shown without being asked for: it is not as predicted. */
export function isRemarkable({ comparison }: PredictedLog, index: number): boolean {
  const verdict = comparison.events[index]?.verdict;
  return verdict === 'differs' || verdict === 'extra';
}

/** Returns a line for each event that the log lacks. */
export function absentLines({ comparison }: PredictedLog): readonly string[] {
  return comparison.absent.map((event) => {
    const what = event.digest === undefined ? 'MISSING, not known' : `${digestOf(event)} MISSING`;
    return `-     RTMR${event.rtmr} ${eventName(event.type).padEnd(34)} ${what}: ${event.name}`;
  });
}

/** Returns how many events of a register have which verdict. */
export function countText({ comparison }: PredictedLog, rtmr: number): string {
  const counts: Record<EventVerdict, number> = { predicted: 0, differs: 0, extra: 0, unknown: 0 };
  for (const { event, verdict } of comparison.events) if (event.rtmr === rtmr) counts[verdict]++;
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([verdict, count]) => ` ${verdict}=${count}`)
    .join('');
}

/** Returns the keys that a prediction adds to the JSON; docs/ccel.md documents them. */
export function comparisonJson({ boot, comparison }: PredictedLog): object {
  const absent = comparison.absent.map(({ rtmr, type, name, digest }) => ({
    rtmr,
    type: eventName(type),
    name,
    digest: digest === undefined ? null : bytesToHex(digest),
  }));
  return { prediction: { ...rtmrJson(boot, 'hex'), absent } };
}

/** Returns the keys that a prediction adds to an event. */
export function verdictJson({ comparison }: PredictedLog, index: number): object {
  const { verdict, prediction } = comparison.events[index] ?? { verdict: 'unknown', prediction: undefined };
  return { verdict, predicted: prediction?.name ?? null };
}

/** Throws `mismatch` that names the first event that is not as predicted. */
export function checkComparison({ comparison }: PredictedLog): void {
  if (agreesWithPrediction(comparison)) return;
  const at = comparison.events.findIndex(({ verdict }) => verdict === 'differs' || verdict === 'extra');
  const first = comparison.events[at];
  if (first === undefined) {
    const absent = comparison.absent.find(({ digest }) => digest !== undefined);
    throw mismatch(`the log lacks an event of RTMR${absent?.rtmr} that is predicted: ${absent?.name}`, absent);
  }
  const { event, prediction } = first;
  const what =
    prediction === undefined ? `${eventName(event.type)} is not predicted` : `${prediction.name} is not as predicted`;
  throw mismatch(`event ${at + 1}, RTMR${event.rtmr}: ${what}`, prediction);
}

function mismatch(message: string, event: PredictedEvent | undefined): BootsealError {
  const cause =
    event === undefined
      ? 'the guest booted otherwise than described: see --profile, and the list of events'
      : causeOf(event);
  return new BootsealError('mismatch', message, { hint: `most often: ${cause}` });
}

const digestOf = ({ digest }: PredictedEvent) => bytesToHex(digest ?? new Uint8Array());
