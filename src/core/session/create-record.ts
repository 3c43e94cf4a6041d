/** @module How a launch record comes to be: from what the owner measured, chose and verified. */
import { sha256 } from '@noble/hashes/sha2.js';
import { BootsealError } from '../errors.ts';
import { bytesToHex } from '../hex.ts';
import type { Measured } from '../measurement/measure.ts';
import type { PlatformKey } from './chain.ts';
import { checkPlatformApi } from './minimum-api.ts';
import { checkPolicyPlatform } from './policy.ts';
import { type ExpectedDigest, type LaunchRecord, parseRecord, printRecord, RECORD_LIMIT } from './record.ts';

/** What a record is made of. */
export interface RecordInputs
  extends Pick<LaunchRecord, 'platform' | 'policy' | 'minimumApi' | 'expected' | 'firmware' | 'kernelHashes'> {
  readonly created: Date;
  readonly platformKey: PlatformKey;
}

/**
 * Returns the record of a launch that has not happened. Throws `usage` when policy and platform disagree or there are too many digests, `mismatch`
 * when the platform's keys were made by firmware below the minimum, `format` when a part
 * has not the form that records have.
 */
export function createRecord(inputs: RecordInputs): LaunchRecord {
  const { platform, policy, minimumApi, expected, firmware, kernelHashes, created, platformKey } = inputs;
  checkPolicyPlatform(policy, platform);
  checkPlatformApi(platformKey, minimumApi);
  if (Number.isNaN(created.getTime()))
    throw new BootsealError('usage', 'record.created: not a date', { hint: 'give the time as a Date that is valid' });
  const record: LaunchRecord = {
    format: 'bootseal-record-1',
    platform,
    created: created.toISOString(),
    policy,
    minimumApi,
    expected,
    firmware,
    kernelHashes,
    platformKey: {
      pdhSha256: bytesToHex(sha256(platformKey.pdh.bytes)),
      verified: platformKey.verified,
      root: platformKey.root,
    },
    used: null,
  };
  const text = printRecord(record);
  // What cannot be read back later must not be written now.
  if (text.length > RECORD_LIMIT - MARK) throw tooManyDigests(expected.length, text.length);
  return parseRecord(text);
}

/** Room for the mark of a used record, bytes. */
const MARK = 1024;

function tooManyDigests(digests: number, size: number): BootsealError {
  return new BootsealError(
    'usage',
    `a record of ${digests} expected digests has ${size} bytes, more than the ${RECORD_LIMIT - MARK} that are read again`,
    { hint: 'a launch has one CPU model and one number of vCPUs: name the few that the host may choose from' },
  );
}

/** Returns a measured digest as a record keeps it. */
export function expectedDigest({ digest, profile, vcpus, cpu, features }: Measured): ExpectedDigest {
  return {
    digest: bytesToHex(digest),
    ...(profile === undefined ? {} : { profile: profile.name, profileVersion: profile.version }),
    ...(vcpus === undefined ? {} : { vcpus }),
    ...(cpu === undefined ? {} : { cpu: cpu.name ?? `0x${cpu.signature.toString(16)}` }),
    ...(features === undefined ? {} : { vmsaFeatures: `0x${features.toString(16)}` }),
  };
}
