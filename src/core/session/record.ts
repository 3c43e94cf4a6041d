/**
 * @module The launch record: what the owner remembers about one launch. It is made by the owner, never by the host, and
 * everything that is checked later is bound from it.
 */
import { BootsealError } from '../errors.ts';
import { isObject, type JsonFields } from '../json-fields.ts';
import { checkPolicyPlatform, checkReservedBits } from './policy.ts';

/** A record of some thousand expected digests stays below this; larger ones are not read; bytes. */
export const RECORD_LIMIT: number = 1 << 20;

/** An expected launch digest and the configuration that it belongs to. */
export interface ExpectedDigest {
  /** 64 hexadecimal digits: SEV and SEV-ES digests are SHA-256. */
  readonly digest: string;
  /** Absent for plain SEV, where no CPU state is measured. */
  readonly profile?: string;
  /** The version of the profile's description, from 1; present exactly when `profile` is. */
  readonly profileVersion?: number;
  readonly vcpus?: number;
  readonly cpu?: string;
  readonly vmsaFeatures?: string;
}

/** SEV firmware versions the owner accepts at least; a build counts only when major and minor are equal to the minimum. */
export interface MinimumApi {
  readonly major: number;
  readonly minor: number;
  readonly build: number;
}

/** The JSON object in `record.json`. Key material is never in it: the transport keys lie beside it in `tk`. */
export interface LaunchRecord {
  readonly format: 'bootseal-record-1';
  readonly platform: 'sev' | 'sev-es';
  /** ISO 8601, UTC. */
  readonly created: string;
  /** 32-bit guest policy that the session was made with. */
  readonly policy: number;
  readonly minimumApi: MinimumApi;
  readonly expected: readonly ExpectedDigest[];
  readonly firmware: {
    /** 64 hexadecimal digits, SHA-256 of the image. */
    readonly sha256: string;
    /** Bytes. */
    readonly bytes: number;
    /** What `firmware lint` said of it. */
    readonly lint: string;
    /** Where the launch secret goes in guest memory, bytes; null when the firmware has no secret area. */
    readonly secretArea: { readonly base: number; readonly size: number } | null;
  };
  /** False when no kernel was measured: the digests then cover the firmware only, and any kernel starts. */
  readonly kernelHashes: boolean;
  readonly platformKey: {
    /** 64 hexadecimal digits, SHA-256 of the platform's PDH certificate. */
    readonly pdhSha256: string;
    /** False when the owner chose to trust a PDH without its chain. */
    readonly verified: boolean;
    /** The AMD root that the chain ends in, such as `milan`; `lab` for a platform of bootseal's lab; null without a chain. */
    readonly root: string | null;
  };
  /** Null until a packet was made; a record is good for one launch. */
  readonly used: { readonly at: string; readonly measurement: string } | null;
}

/** Returns the profile and its version as every output names them, such as `qemu/1`; undefined where none was measured. */
export function printProfile({ profile, profileVersion }: ExpectedDigest): string | undefined {
  return profile === undefined ? undefined : `${profile}/${profileVersion}`;
}

/** Returns the guest that a digest is of, such as `profile=qemu/1 vcpus=2`; empty for SEV, which measures none of it. */
export function printConfiguration(entry: ExpectedDigest): string {
  const { vcpus, cpu, vmsaFeatures } = entry;
  return Object.entries({ profile: printProfile(entry), vcpus, cpu, features: vmsaFeatures })
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]))
    .join(' ');
}

const HINT =
  'take record.json as session create or launch prepare wrote it: a record is not edited, a new session makes a new one';
const HEX64 = /^[0-9a-f]{64}$/;

/** Returns the record as the text of `record.json`. */
export function printRecord(record: LaunchRecord): string {
  return `${JSON.stringify(record, null, 2)}\n`;
}

/**
 * Reads `record.json`; throws `format` and names the key when anything is missing, unknown or of the wrong type, or when policy
 * and platform disagree.
 */
export function parseRecord(text: string): LaunchRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BootsealError('format', 'record: not JSON', { hint: HINT, cause });
  }
  const record = object(value, 'record', [
    'format',
    'platform',
    'created',
    'policy',
    'minimumApi',
    'expected',
    'firmware',
    'kernelHashes',
    'platformKey',
    'used',
  ]);
  check(record['format'] === 'bootseal-record-1', 'record.format');
  check(record['platform'] === 'sev' || record['platform'] === 'sev-es', 'record.platform');
  check(isText(record['created']), 'record.created');
  checkPolicy(record['policy'], record['platform']);
  const api = object(record['minimumApi'], 'record.minimumApi', ['major', 'minor', 'build']);
  for (const key of ['major', 'minor', 'build']) check(isUnsigned(api[key], 255), `record.minimumApi.${key}`);
  checkExpected(record['expected']);
  checkFirmware(record['firmware']);
  check(typeof record['kernelHashes'] === 'boolean', 'record.kernelHashes');
  const key = object(record['platformKey'], 'record.platformKey', ['pdhSha256', 'verified', 'root']);
  check(isText(key['pdhSha256']) && HEX64.test(key['pdhSha256']), 'record.platformKey.pdhSha256');
  check(typeof key['verified'] === 'boolean', 'record.platformKey.verified');
  check(key['root'] === null || isText(key['root']), 'record.platformKey.root');
  check(key['root'] !== 'lab' || key['verified'] === false, 'record.platformKey.root');
  if (record['used'] !== null) {
    const used = object(record['used'], 'record.used', ['at', 'measurement']);
    check(isText(used['at']) && isText(used['measurement']), 'record.used');
  }
  return value as LaunchRecord;
}

const CONFIGURATION = ['profile', 'profileVersion', 'vcpus', 'cpu', 'vmsaFeatures'] as const;

function checkExpected(value: unknown): void {
  check(Array.isArray(value) && value.length > 0, 'record.expected');
  (value as unknown[]).forEach((item, i) => {
    const where = `record.expected[${i}]`;
    const entry = object(item, where, ['digest'], [...CONFIGURATION]);
    check(isText(entry['digest']) && HEX64.test(entry['digest']), `${where}.digest`);
    for (const key of ['profile', 'cpu', 'vmsaFeatures']) {
      check(!(key in entry) || isText(entry[key]), `${where}.${key}`);
    }
    const version = entry['profileVersion'];
    check('profile' in entry || version === undefined, `${where}.profile`);
    check(!('profile' in entry) || (isUnsigned(version, 0xffffffff) && version > 0), `${where}.profileVersion`);
    check(!('vcpus' in entry) || isUnsigned(entry['vcpus'], 0xffffffff), `${where}.vcpus`);
  });
}

/** A record with another policy than sessions are made with was changed, or is not ours. */
function checkPolicy(policy: unknown, platform: 'sev' | 'sev-es'): void {
  check(isUnsigned(policy, 0xffffffff), 'record.policy');
  try {
    checkReservedBits(policy, `0x${policy.toString(16)}`);
    checkPolicyPlatform(policy, platform);
  } catch (cause) {
    if (!(cause instanceof BootsealError)) throw cause;
    throw new BootsealError('format', `record.policy: ${cause.message}`, { hint: HINT, cause });
  }
}

function checkFirmware(value: unknown): void {
  const firmware = object(value, 'record.firmware', ['sha256', 'bytes', 'lint', 'secretArea']);
  check(isText(firmware['sha256']) && HEX64.test(firmware['sha256']), 'record.firmware.sha256');
  check(isUnsigned(firmware['bytes'], Number.MAX_SAFE_INTEGER), 'record.firmware.bytes');
  check(isText(firmware['lint']), 'record.firmware.lint');
  if (firmware['secretArea'] === null) return;
  const area = object(firmware['secretArea'], 'record.firmware.secretArea', ['base', 'size']);
  for (const key of ['base', 'size']) check(isUnsigned(area[key], 0xffffffff), `record.firmware.secretArea.${key}`);
}

function object(
  value: unknown,
  where: string,
  required: readonly string[],
  optional: readonly string[] = [],
): JsonFields {
  check(isObject(value), where);
  for (const key of required) check(Object.hasOwn(value, key), `${where}.${key}`);
  for (const key of Object.keys(value)) {
    if (!required.includes(key) && !optional.includes(key)) {
      throw new BootsealError('format', `${where}: unknown key ${JSON.stringify(key.slice(0, 64))}`, { hint: HINT });
    }
  }
  return value;
}

function check(holds: boolean, where: string): asserts holds {
  if (!holds) throw new BootsealError('format', `${where}: missing or of the wrong form`, { hint: HINT });
}

const isText = (value: unknown): value is string => typeof value === 'string';
const isUnsigned = (value: unknown, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;
