/** @module Verification of a launch measurement: the only way to a {@link VerifiedLaunch}, which sealing a secret asks for. */
import { equalInConstantTime } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { hexToBytes } from '../hex.ts';
import { describePolicy } from '../session/policy.ts';
import { type ExpectedDigest, type LaunchRecord, printConfiguration } from '../session/record.ts';
import { LAST_API, type OnTries, searchApi } from './api-search.ts';
import { type ApiVersion, checkApi, isBelow, isLegacy, printApi } from './api-version.ts';
import { computeLaunchMeasurement, type LaunchMeasurement, LaunchMeasurementBlob } from './launch-measurement.ts';

/** Stays in this file: who could call it could seal secrets to anything. */
let verified: (expected: ExpectedDigest, api: ApiVersion | undefined, measure: Uint8Array) => VerifiedLaunch;

/** A launch whose measurement was found right. Only the functions of this file make one. */
export class VerifiedLaunch {
  /** The expected digest that matched. */
  readonly expected: ExpectedDigest;
  /** The version that the measurement authenticates; undefined when it is legacy and authenticates none. */
  readonly api: ApiVersion | undefined;
  readonly #measure: Uint8Array;

  private constructor(expected: ExpectedDigest, api: ApiVersion | undefined, measure: Uint8Array) {
    this.expected = expected;
    this.api = api;
    this.#measure = new Uint8Array(measure);
  }

  /** What a packet for this launch must be bound to: the 32-byte measure, or nothing for a legacy API. Throws `usage` for an imitation. */
  static boundMeasure(launch: VerifiedLaunch): Uint8Array | undefined {
    if (!(#measure in launch))
      throw new BootsealError('usage', 'a secret is sealed only to a verified launch', {
        hint: 'verify the launch measurement first, with verifyAgainstRecord or verifyLaunchMeasurement',
      });
    return launch.api === undefined ? undefined : new Uint8Array(launch.#measure);
  }

  static {
    verified = (expected, api, measure) =>
      new VerifiedLaunch(expected, api === undefined || isLegacy(api) ? undefined : api, measure);
  }
}

/** What the owner says a launch must be, for scripts that keep no record. */
export interface ExpectedLaunch {
  /** Transport integrity key, 16 bytes. */
  readonly tik: Uint8Array;
  readonly api: ApiVersion;
  /** 32-bit guest policy. */
  readonly policy: number;
  /** Digests, any of which is right. */
  readonly expected: readonly ExpectedDigest[];
}

/**
 * Compares with every expected digest, in constant time. Throws `mismatch` when none fits, `usage` when `api` is no version or there is
 * no digest, `format` for a key, digest, measure or nonce of another length.
 */
export function verifyLaunchMeasurement(
  launch: ExpectedLaunch,
  reported: LaunchMeasurement,
  alsoCompared: readonly string[] = [],
): VerifiedLaunch {
  const { tik, api, policy, expected } = launch;
  checkComparable(expected, reported);
  const found = expected.find((entry) => {
    const digest = hexToBytes(entry.digest);
    const measure = computeLaunchMeasurement({ tik, api, policy, digest, nonce: reported.nonce });
    return equalInConstantTime(measure, reported.measure);
  });
  if (found === undefined) throw mismatch(launch, [`API ${printApi(api)}`, ...alsoCompared]);
  return verified(found, api, reported.measure);
}

/**
 * Compares with every digest of `record`. Without `api`, the version that the platform reports, all versions from the record's
 * minimum on are tried, which is safe because the measurement authenticates its version. The legacy formula, which does not, is
 * tried only when the record's minimum allows it: a host cannot ask for it. `onTries` is told now and then how far that is.
 *
 * @throws `mismatch` when nothing fits or `api` is below the record's minimum, `usage` when `api` is no version, `format` for a TIK, measure or nonce of another length
 */
export function verifyAgainstRecord(
  record: LaunchRecord,
  tik: Uint8Array,
  reported: LaunchMeasurement,
  api?: ApiVersion,
  onTries?: OnTries,
): VerifiedLaunch {
  if (api !== undefined && isBelow(checkApi(api), record.minimumApi)) {
    throw new BootsealError(
      'mismatch',
      `the platform reports API ${printApi(api)}, the record accepts ${printApi(record.minimumApi)} and newer`,
      { hint: 'older platform firmware is not trusted with this launch: update it, do not lower the record' },
    );
  }
  checkComparable(record.expected, reported);
  const firmware = `firmware with SHA-256 ${record.firmware.sha256}`;
  if (api !== undefined) return verifyLaunchMeasurement({ ...record, tik, api }, reported, [firmware]);
  const found = searchApi({ ...record, tik, reported }, onTries);
  if (found === undefined) {
    throw mismatch(record, [`API ${printApi(record.minimumApi)} to ${printApi(LAST_API)}`, firmware]);
  }
  return verified(found.expected, found.api, reported.measure);
}

/** What cannot be compared is bad input and no mismatch. */
function checkComparable(expected: readonly ExpectedDigest[], reported: LaunchMeasurement): void {
  LaunchMeasurementBlob.pack(reported);
  if (expected.length > 0) return;
  throw new BootsealError('usage', 'there is no digest to compare a launch measurement with', {
    hint: 'give at least one digest that the launch may have, as measure predicts it',
  });
}

/** More digests than these are counted instead of printed. */
const PRINTED_DIGESTS = 4;

function printExpected(entry: ExpectedDigest): string {
  const configuration = printConfiguration(entry);
  return configuration === '' ? entry.digest : `${entry.digest} (${configuration})`;
}

function mismatch(
  { policy, expected }: Pick<ExpectedLaunch, 'policy' | 'expected'>,
  more: readonly string[],
): BootsealError {
  const digests = expected.slice(0, PRINTED_DIGESTS).map(printExpected);
  const unprinted = expected.length - digests.length;
  const compared = [
    `policy 0x${policy.toString(16)} (${describePolicy(policy)})`,
    `${expected.length === 1 ? 'digest' : 'digests'} ${digests.join(' ')}${unprinted > 0 ? ` and ${unprinted} more` : ''}`,
    ...more,
  ];
  return new BootsealError(
    'mismatch',
    `the launch measurement is not the expected one; compared with ${compared.join(', ')}`,
    {
      hint: 'send no secret: the host started another firmware, kernel, initrd, command line, CPU or policy, or another session, or reports another API version than it has',
    },
  );
}
