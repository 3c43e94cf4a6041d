/** @module The search for the API version and digest that a launch measurement was made with. */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { equalInConstantTime } from '../bytes.ts';
import { hexToBytes } from '../hex.ts';
import type { ExpectedDigest } from '../session/record.ts';
import { type ApiVersion, FIRST_BOUND_API, isBelow, rank } from './api-version.ts';
import {
  checkTransportKey,
  type LaunchMeasurement,
  LegacyMeasureMessage,
  MeasureMessage,
} from './launch-measurement.ts';

/** The last version that is looked for: AMD has published 0.x and 1.x. */
export const LAST_API: ApiVersion = { major: 1, minor: 255, build: 255 };

/** Minor versions of 1.x that run on machines today; tried first, so that a match is found in milliseconds. */
export const COMMON_MINORS = { from: 40, to: 63 } as const;

/** What is looked for. */
export interface ApiQuestion {
  readonly tik: Uint8Array;
  readonly reported: LaunchMeasurement;
  readonly policy: number;
  readonly minimumApi: ApiVersion;
  readonly expected: readonly ExpectedDigest[];
}

/** A digest and version that fit; the version is absent when the legacy formula fitted, which covers none. */
export interface ApiAnswer {
  readonly expected: ExpectedDigest;
  readonly api: ApiVersion | undefined;
}

/** Is told how many of how many tries are done: versions times digests. */
export type OnTries = (done: number, total: number) => void;

/** How many tries lie between two calls of {@link OnTries}: about a quarter of a second. */
const TRIES_BETWEEN = 2 ** 16;

/** Returns the digest and version that give the reported measure, or undefined; throws `format` when the TIK has not 16 bytes. */
export function searchApi(question: ApiQuestion, onTries?: OnTries): ApiAnswer | undefined {
  const { reported, policy, expected, minimumApi } = question;
  const fits = comparison(question.tik, reported.measure);
  const nonce = reported.nonce;
  const digests = expected.map((entry) => ({ entry, digest: hexToBytes(entry.digest) }));
  if (isBelow(minimumApi, FIRST_BOUND_API)) {
    for (const { entry, digest } of digests) {
      if (fits(LegacyMeasureMessage.pack({ policy, digest, nonce }))) return { expected: entry, api: undefined };
    }
  }
  const first = isBelow(minimumApi, FIRST_BOUND_API) ? FIRST_BOUND_API : minimumApi;
  const messages = digests.map(({ entry, digest }) => ({
    entry,
    message: MeasureMessage.pack({ major: 0, minor: 0, build: 0, policy, digest, nonce }),
  }));
  const total = (rank(LAST_API) - rank(first) + 1) * messages.length;
  let tries = 0;
  for (const [major, minor] of families()) {
    for (const { entry, message } of messages) {
      message[MeasureMessage.offset.major] = major;
      message[MeasureMessage.offset.minor] = minor;
      for (let build = 0; build <= 255; build++) {
        const api = { major, minor, build };
        if (isBelow(api, first)) continue;
        message[MeasureMessage.offset.build] = build;
        if (fits(message)) return { expected: entry, api };
        if (++tries % TRIES_BETWEEN === 0) onTries?.(tries, total);
      }
    }
  }
  return undefined;
}

/** Returns all (major, minor), the common ones first. */
function families(): (readonly [number, number])[] {
  const all = Array.from({ length: 2 * 256 }, (_, i) => [1 - (i >> 8), i & 255] as const);
  const common = ([major, minor]: readonly [number, number]) =>
    major === 1 && minor >= COMMON_MINORS.from && minor <= COMMON_MINORS.to;
  return [...all.filter(common), ...all.filter((family) => !common(family))];
}

/** Returns a test of messages against `measure`; the keyed state is computed once and copied, which halves the work. */
export function comparison(tik: Uint8Array, measure: Uint8Array): (message: Uint8Array) => boolean {
  const keyed = hmac.create(sha256, checkTransportKey('TIK', tik));
  const state = keyed.clone();
  const computed = new Uint8Array(32);
  return (message) => {
    keyed._cloneInto(state);
    state.update(message);
    state.digestInto(computed);
    return equalInConstantTime(computed, measure);
  };
}
