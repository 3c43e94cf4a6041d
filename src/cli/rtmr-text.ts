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
export function remarkOnRtmrs(io: Io, boot: PredictedBoot): void {
  const { profile, kernelHeader, rtmrs } = boot;
  const stub = boot.silentRelease === undefined ? '; RTMR2 as Linux 6.9 and later extend it' : '';
  remark(io, 'note', `RTMRs of profile=${profile.name}/${profile.version} kernel-header=${kernelHeader}${stub}`);
  remarkOnSilence(io, boot);
  for (const { rtmr, missing } of rtmrs) {
    for (const what of missing) remark(io, 'note', `RTMR${rtmr} is not predicted: ${what}`);
  }
}

/** Warns of a kernel whose stub extends nothing: a true RTMR2 then says nothing of what was booted. */
export function remarkOnSilence(io: Io, { silentRelease }: PredictedBoot): void {
  if (silentRelease === undefined) return;
  const what = `the kernel is Linux ${silentRelease}, whose EFI stub extends nothing (that came with 6.9)`;
  remark(io, 'warning', `${what}: RTMR2 is zeros whatever command line and initrd are, which are not measured at all`);
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
    silentRelease: boot.silentRelease ?? null,
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
