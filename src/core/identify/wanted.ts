/** @module What is looked for, as plain data that every thread of a search gets, and the test for it. */
import { equalInConstantTime } from '../bytes.ts';
import type { ApiVersion } from '../measurement/api-version.ts';
import { computeLaunchMeasurement } from '../measurement/launch-measurement.ts';

/** A digest itself, or a launch measurement that was made of one (AMD SEV API 55766, section 6.5.1). */
export type Wanted =
  | { readonly kind: 'digest'; readonly digest: Uint8Array }
  | {
      readonly kind: 'measurement';
      /** Transport integrity key, 16 bytes. */
      readonly tik: Uint8Array;
      readonly measure: Uint8Array;
      readonly nonce: Uint8Array;
      readonly policy: number;
      readonly api: ApiVersion;
    };

/** Returns the test of digests: 32 bytes for SEV and SEV-ES, 48 for SNP. */
export function matcher(wanted: Wanted): (digest: Uint8Array) => boolean {
  if (wanted.kind === 'digest') return (digest) => equalInConstantTime(digest, wanted.digest);
  const { measure, ...inputs } = wanted;
  return (digest) => equalInConstantTime(computeLaunchMeasurement({ ...inputs, digest }), measure);
}
