/**
 * @module Launch records for tests, with the keys and the measurement that belong to them. The platform's side is computed here
 * with node:crypto, independently of src/core.
 */
import * as crypto from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { ApiVersion } from '../src/core/measurement/api-version.ts';
import { type LaunchRecord, printRecord } from '../src/core/session/record.ts';
import { encodeTk, type TransportKeys } from '../src/core/session/transport-keys.ts';

/** Returns the record of a launch that was not used yet. */
export function launchRecord(over: Partial<LaunchRecord> = {}): LaunchRecord {
  return {
    format: 'bootseal-record-1',
    platform: 'sev',
    created: '2026-11-23T08:00:00.000Z',
    policy: 3,
    minimumApi: { major: 0, minor: 17, build: 0 },
    expected: [{ digest: '11'.repeat(32) }, { digest: '22'.repeat(32) }],
    firmware: {
      sha256: 'fd'.repeat(32),
      bytes: 4194304,
      lint: 'enforcing',
      secretArea: { base: 0x810000, size: 0xc00 },
    },
    kernelHashes: true,
    platformKey: { pdhSha256: 'ab'.repeat(32), verified: true, root: 'milan' },
    used: null,
    ...over,
  };
}

/** Returns the transport keys of the session with this number. */
export function transportKeys(session: number): TransportKeys {
  return { tek: new Uint8Array(16).fill(0x40 + session), tik: new Uint8Array(16).fill(0x80 + session) };
}

/** What a platform measures. */
export interface Platform {
  readonly tik: Uint8Array;
  readonly api: ApiVersion;
  readonly policy: number;
  /** 64 hexadecimal digits. */
  readonly digest: string;
  readonly nonce?: Uint8Array;
}

/** Returns the 48 bytes that a platform answers to LAUNCH_MEASURE. */
export function platformMeasurement({
  tik,
  api,
  policy,
  digest,
  nonce = new Uint8Array(16).fill(9),
}: Platform): Buffer {
  const version = api.major === 0 && api.minor < 17 ? [] : [4, api.major, api.minor, api.build];
  const policyBytes = Buffer.alloc(4);
  policyBytes.writeUInt32LE(policy);
  const message = Buffer.concat([Uint8Array.from(version), policyBytes, Buffer.from(digest, 'hex'), nonce]);
  return Buffer.concat([crypto.createHmac('sha256', tik).update(message).digest(), nonce]);
}

/** Reads `major.minor.build`. */
export function api(text: string): ApiVersion {
  const [major = 0, minor = 0, build = 0] = text.split('.').map(Number);
  return { major, minor, build };
}

/**
 * Writes record.json, tk and measurement.b64 into a folder, from words of a script:
 *
 *     session=N                    which transport keys                 api=1.55.24   the platform's version
 *     policy=N digest=HEX          what the platform really measured    minimum=0.17.0, lint=TEXT, verified=false,
 *     area=BASE:SIZE or area=none  the record's secret area               platform=sev-es, kernel-hashes=false,
 *                                                                         record-policy=N   of the record
 */
export function writeLaunch(folder: string, words: readonly string[]): void {
  const given = new Map(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]));
  const base = launchRecord();
  const [areaBase, areaSize] = (given.get('area') ?? '0x810000:0xc00').split(':').map(Number);
  const record = launchRecord({
    platform: given.get('platform') === 'sev-es' ? 'sev-es' : 'sev',
    policy: Number(given.get('record-policy') ?? (given.get('platform') === 'sev-es' ? 0xf : 0xb)),
    kernelHashes: given.get('kernel-hashes') !== 'false',
    minimumApi: api(given.get('minimum') ?? '0.17.0'),
    firmware: {
      ...base.firmware,
      lint: given.get('lint') ?? 'enforcing',
      secretArea: given.get('area') === 'none' ? null : { base: areaBase ?? 0, size: areaSize ?? 0 },
    },
    platformKey: { ...base.platformKey, verified: given.get('verified') !== 'false' },
  });
  const keys = transportKeys(Number(given.get('session') ?? 0));
  const measurement = platformMeasurement({
    tik: keys.tik,
    api: api(given.get('api') ?? '1.55.24'),
    policy: Number(given.get('policy') ?? record.policy),
    digest: given.get('digest') ?? '22'.repeat(32),
  });
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'record.json'), printRecord(record), { mode: 0o600 });
  fs.writeFileSync(path.join(folder, 'tk'), encodeTk(keys), { mode: 0o600 });
  fs.writeFileSync(path.join(folder, 'measurement.b64'), `${measurement.toString('base64')}\n`);
}
