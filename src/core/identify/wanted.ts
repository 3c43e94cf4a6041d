/** @module What is looked for, as plain data that every thread of a search gets, and the test for it. */
import { equalInConstantTime } from '../bytes.ts';
import { comparison } from '../measurement/api-search.ts';
import { type ApiVersion, isLegacy } from '../measurement/api-version.ts';
import { LegacyMeasureMessage, MeasureMessage } from '../measurement/launch-measurement.ts';
import type { Platform } from '../measurement/measure.ts';
import { POLICY_FLAGS } from '../session/policy.ts';

/** What the platform may have signed with a digest: all combinations are looked at. */
export interface SignedScope {
  /** 32 bits each. */
  readonly policies: readonly number[];
  readonly majors: readonly number[];
  readonly minors: readonly number[];
  readonly builds: readonly number[];
}

/** What it did sign. */
export interface Signed {
  readonly policy: number;
  readonly api: ApiVersion;
}

/** A launch measurement, which was made of a digest (AMD SEV API 55766, section 6.5.1). */
export interface WantedMeasurement {
  readonly kind: 'measurement';
  /** Transport integrity key, 16 bytes. */
  readonly tik: Uint8Array;
  readonly measure: Uint8Array;
  readonly nonce: Uint8Array;
  readonly signed: SignedScope;
}

/** A digest itself, or a launch measurement. */
export type Wanted = { readonly kind: 'digest'; readonly digest: Uint8Array } | WantedMeasurement;

/** Tells whether a digest is the wanted one: 32 bytes for SEV and SEV-ES, 48 for SNP. */
export type Matches = (digest: Uint8Array, platform: Platform) => boolean;

/** Returns the test of digests. Throws `format` for a key that has not 16 bytes. */
export function matcher(wanted: Wanted): Matches {
  if (wanted.kind === 'digest') return (digest) => equalInConstantTime(digest, wanted.digest);
  const find = signedSearch(wanted);
  return (digest, platform) => find(digest, platform) !== undefined;
}

/** Returns what the platform signed with this digest; undefined when it is another. */
export function signedWith(wanted: WantedMeasurement, digest: Uint8Array, platform: Platform): Signed | undefined {
  return signedSearch(wanted)(digest, platform);
}

/** Returns how many comparisons one digest takes. */
export function effortOf(wanted: Wanted): number {
  if (wanted.kind === 'digest') return 1;
  const { policies, majors, minors, builds } = wanted.signed;
  return policies.length * majors.length * minors.length * builds.length;
}

/** Returns those policies under which a guest is one of the platform: bit 2 makes a guest of SEV one of SEV-ES. */
export function policiesOf(policies: readonly number[], platform: Platform): readonly number[] {
  return policies.filter((policy) => ((policy & POLICY_FLAGS.es) !== 0) === (platform === 'sev-es'));
}

function signedSearch({ tik, measure, nonce, signed }: WantedMeasurement) {
  const fits = comparison(tik, measure);
  return (digest: Uint8Array, platform: Platform): Signed | undefined => {
    for (const policy of policiesOf(signed.policies, platform)) {
      const message = MeasureMessage.pack({ major: 0, minor: 0, build: 0, policy, digest, nonce });
      for (const api of versionsOf(signed)) {
        message[MeasureMessage.offset.major] = api.major;
        message[MeasureMessage.offset.minor] = api.minor;
        message[MeasureMessage.offset.build] = api.build;
        if (fits(isLegacy(api) ? LegacyMeasureMessage.pack({ policy, digest, nonce }) : message))
          return { policy, api };
      }
    }
    return undefined;
  };
}

function* versionsOf({ majors, minors, builds }: SignedScope): Generator<ApiVersion> {
  for (const major of majors) for (const minor of minors) for (const build of builds) yield { major, minor, build };
}
