/** @module Events that a boot is predicted to extend into the RTMRs of a TDX guest. */
import type { Hashes } from '../hash.ts';

/** Types of events that are predicted (TCG PC Client Platform Firmware Profile 1.06, table 27). */
export const EV = {
  separator: 4,
  eventTag: 6,
  platformConfigFlags: 10,
  variableDriverConfig: 0x80000001,
  variableBoot: 0x80000002,
  bootServicesApplication: 0x80000003,
  action: 0x80000007,
  handoffTables: 0x80000009,
  firmwareBlob2: 0x8000000a,
  handoffTables2: 0x8000000b,
  variableAuthority: 0x800000e0,
} as const;

/** Registers that are predicted; nothing but the guest's own software extends RTMR3. */
export const PREDICTED_RTMRS = [0, 1, 2] as const;

/** One of {@link PREDICTED_RTMRS}. */
export type Rtmr = (typeof PREDICTED_RTMRS)[number];

/** One event, whose digest is known, or else why not. */
export interface PredictedEvent {
  readonly rtmr: Rtmr;
  readonly type: number;
  /** What it is for a person, such as `kernel` or `variable PK`. */
  readonly name: string;
  /** The SHA-384 that is extended, 48 bytes. */
  readonly digest: Uint8Array | undefined;
  /** What is missing, as the rest of a sentence; absent with a digest. */
  readonly missing: string | undefined;
}

/** The value that a register has in the end. */
export interface PredictedRtmr {
  readonly rtmr: Rtmr;
  /** 48 bytes; undefined when a digest is missing. */
  readonly value: Uint8Array | undefined;
  /** What is missing, each once. */
  readonly missing: readonly string[];
}

/** Returns what the registers hold after the events: SHA-384 of the old value and the digest, from zeros. */
export function extendAll(
  events: readonly PredictedEvent[],
  { sha384 }: Pick<Hashes, 'sha384'>,
): readonly PredictedRtmr[] {
  return PREDICTED_RTMRS.map((rtmr) => {
    const own = events.filter((event) => event.rtmr === rtmr);
    const missing = [...new Set(own.flatMap((event) => event.missing ?? []))];
    if (missing.length > 0) return { rtmr, value: undefined, missing };
    const value = own.reduce<Uint8Array>(
      (old, { digest }) => extend(old, digest ?? new Uint8Array(), sha384),
      new Uint8Array(48),
    );
    return { rtmr, value, missing };
  });
}

function extend(old: Uint8Array, digest: Uint8Array, sha384: Hashes['sha384']): Uint8Array {
  const both = new Uint8Array(old.length + digest.length);
  both.set(old);
  both.set(digest, old.length);
  return new Uint8Array(sha384(both));
}
