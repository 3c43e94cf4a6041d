/** @module How predicted RTMRs and their events are printed. */
import { eventName } from '../core/attestation/event-names.ts';
import type { PredictedEvent } from '../core/rtmr/events.ts';
import { type Io, remark } from './io.ts';
import { type DigestFormat, digestText } from './plan-text.ts';
import type { PredictedBoot } from './tdx-boot.ts';

/** Returns a line for each register that is predicted. */
export function rtmrLines({ rtmrs }: PredictedBoot, format: DigestFormat): readonly string[] {
  return rtmrs.flatMap(({ rtmr, value }) => (value === undefined ? [] : [`RTMR${rtmr} ${digestText(value, format)}`]));
}

/** Says what the values are of, and which are not predicted, and why. */
export function remarkOnRtmrs(io: Io, { profile, kernelHeader, rtmrs }: PredictedBoot): void {
  remark(
    io,
    'note',
    `RTMRs of profile=${profile.name}/${profile.version} kernel-header=${kernelHeader}; RTMR2 as Linux 6.9 and later extend it`,
  );
  for (const { rtmr, missing } of rtmrs) {
    // An input makes the others known; nothing makes this one known.
    const level = rtmr === 2 ? 'warning' : 'note';
    for (const what of missing) remark(io, level, `RTMR${rtmr} is not predicted: ${what}`);
  }
}

/** Returns an event in one line for people. */
export function eventLine({ rtmr, type, name, digest, missing }: PredictedEvent, format: DigestFormat): string {
  const value = digest === undefined ? `- (${missing})` : digestText(digest, format);
  return `RTMR${rtmr} ${eventName(type).padEnd(32)} ${name.padEnd(40)} ${value}`;
}

/** Returns what --json says of a prediction; docs/measure.md documents its keys. */
export function rtmrJson(boot: PredictedBoot, format: DigestFormat): object {
  return {
    profile: boot.profile.name,
    profileVersion: boot.profile.version,
    kernelHeader: boot.kernelHeader,
    rtmrs: boot.rtmrs.map(({ value, missing }) => ({
      value: value === undefined ? null : digestText(value, format),
      missing,
    })),
    events: boot.events.map(({ rtmr, type, name, digest, missing }) => ({
      rtmr,
      type: eventName(type),
      name,
      digest: digest === undefined ? null : digestText(digest, format),
      missing: missing ?? null,
    })),
  };
}
