import { describe, expect, it } from 'vitest';
import { base64ToBytes, bytesToBase64 } from '../../../src/core/base64.ts';
import { concat } from '../../../src/core/bytes.ts';
import { bytesToHex, hexToBytes } from '../../../src/core/hex.ts';
import {
  computeLaunchMeasurement,
  LaunchMeasurementBlob,
  LegacyMeasureMessage,
  type MeasureInput,
  MeasureMessage,
  parseLaunchMeasurement,
  parseLaunchMeasurementText,
} from '../../../src/core/measurement/launch-measurement.ts';
import { verifyLaunchMeasurement } from '../../../src/core/measurement/verify-launch.ts';
import { fixture, vectors } from '../../fixtures.ts';
import { api as apiOf, platformMeasurement } from '../../launch-record.ts';

/** test/vectors/measurement.json, group launch_measure: sevctl, sev-tool. */
interface Entry {
  readonly id: string;
  readonly inputs: {
    readonly tik?: string;
    readonly tik_hex?: string;
    readonly api_major: number;
    readonly api_minor: number;
    readonly build_id: number;
    readonly policy: number;
    readonly nonce?: string;
    readonly nonce_hex?: string;
    readonly launch_digest_hex: string;
  };
  readonly expected: { readonly measure_hex: string; readonly blob_base64?: string };
}

/** test/vectors/secret.json, launch_measurements: sevctl, real machines of aleph.im and virtee. */
interface OtherEntry {
  readonly id: string;
  readonly tik: string;
  readonly api_major: number;
  readonly api_minor: number;
  readonly build: number;
  readonly policy: number;
  readonly ld: string;
  readonly mnonce: string;
  readonly launch_measure_blob_b64: string;
}

const first = vectors<{ groups: { launch_measure: Entry[] } }>('measurement.json').groups.launch_measure;
const second = vectors<{ launch_measurements: OtherEntry[] }>('secret.json').launch_measurements;

const known: { id: string; input: MeasureInput; measure: string; blob: string | undefined }[] = [
  ...first.map(({ id, inputs, expected }) => ({
    id,
    input: {
      tik: inputs.tik === undefined ? hexToBytes(inputs.tik_hex ?? '') : fixture(inputs.tik),
      api: { major: inputs.api_major, minor: inputs.api_minor, build: inputs.build_id },
      policy: inputs.policy,
      digest: hexToBytes(inputs.launch_digest_hex),
      nonce: inputs.nonce === undefined ? hexToBytes(inputs.nonce_hex ?? '') : base64ToBytes(inputs.nonce),
    },
    measure: expected.measure_hex,
    blob: expected.blob_base64,
  })),
  ...second.map((entry) => ({
    id: `other ${entry.id}`,
    input: {
      tik: hexToBytes(entry.tik),
      api: { major: entry.api_major, minor: entry.api_minor, build: entry.build },
      policy: entry.policy,
      digest: hexToBytes(entry.ld),
      nonce: hexToBytes(entry.mnonce),
    },
    measure: bytesToHex(base64ToBytes(entry.launch_measure_blob_b64).subarray(0, 32)),
    blob: entry.launch_measure_blob_b64,
  })),
];

describe('known launch measurements', () => {
  it('has not lost entries', () => {
    expect(first.length).toBe(5);
    expect(second.length).toBe(6);
  });

  it.each(known)('$id', ({ input, measure, blob }) => {
    expect(bytesToHex(computeLaunchMeasurement(input))).toBe(measure);
    const reported = parseLaunchMeasurementText(blob ?? bytesToBase64(concat(hexToBytes(measure), input.nonce)));
    expect(bytesToHex(reported.measure)).toBe(measure);
    expect(reported.nonce).toEqual(input.nonce);
    const digest = bytesToHex(input.digest);
    expect(verifyLaunchMeasurement({ ...input, expected: [{ digest }] }, reported)).toMatchObject({
      expected: { digest },
      api: input.api,
    });
  });
});

describe('computeLaunchMeasurement', () => {
  const input: MeasureInput = {
    tik: new Uint8Array(16).fill(1),
    api: { major: 1, minor: 55, build: 24 },
    policy: 0x11000005,
    digest: new Uint8Array(32).fill(2),
    nonce: new Uint8Array(16).fill(3),
  };
  const platform = (api: MeasureInput['api']) =>
    bytesToHex(platformMeasurement({ ...input, digest: bytesToHex(input.digest), api }).subarray(0, 32));

  it('declares the messages in the order and with the sizes of the specification', () => {
    expect(MeasureMessage.size).toBe(56);
    expect(MeasureMessage.offset).toEqual({
      command: 0,
      major: 1,
      minor: 2,
      build: 3,
      policy: 4,
      digest: 8,
      nonce: 40,
    });
    expect(LegacyMeasureMessage.size).toBe(52);
    expect(LegacyMeasureMessage.offset).toEqual({ policy: 0, digest: 4, nonce: 36 });
    expect(LaunchMeasurementBlob.offset).toEqual({ measure: 0, nonce: 32 });
  });

  it.each(['0.0.0', '0.16.255', '0.17.0', '1.0.0', '255.255.255'])('agrees with the platform: %s', (version) => {
    const api = apiOf(version);
    expect(bytesToHex(computeLaunchMeasurement({ ...input, api }))).toBe(platform(api));
  });

  it.each([
    ['usage', 'API minor 300', { api: { major: 1, minor: 300, build: 0 } }],
    ['usage', 'API major -1', { api: { major: -1, minor: 0, build: 0 } }],
    ['usage', 'API build 1.5', { api: { major: 1, minor: 0, build: 1.5 } }],
    ['format', 'TIK: needs 16 bytes, got 32', { tik: new Uint8Array(32) }],
    ['format', 'policy', { policy: 2 ** 32 }],
    ['format', 'digest', { digest: new Uint8Array(48) }],
    ['format', 'nonce', { nonce: new Uint8Array(15) }],
  ])('refuses as %s: %s', (kind, message, over) => {
    expect(() => computeLaunchMeasurement({ ...input, ...over })).toThrow(
      expect.objectContaining({ kind, message: expect.stringContaining(message) }),
    );
  });
});

describe('parseLaunchMeasurement', () => {
  it('splits 48 bytes without keeping a hold on them', () => {
    const blob = Buffer.from(Uint8Array.from({ length: 48 }, (_, i) => i));
    const { measure, nonce } = parseLaunchMeasurement(blob);
    blob.fill(0xff);
    expect(bytesToHex(measure)).toBe('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
    expect(bytesToHex(nonce)).toBe('202122232425262728292a2b2c2d2e2f');
  });

  it.each([
    [0, 'got 0 (there is nothing in it)'],
    [16, 'got 16 (probably a bare nonce or a transport key)'],
    [32, 'got 32 (probably a bare measure without its nonce'],
    [47, /got 47$/],
    [49, /got 49$/],
    [64, 'got 64 (probably its base64 text'],
    [65, 'got 65 (probably its base64 text'],
    [96, 'got 96 (probably hexadecimal text'],
    [1184, 'got 1184 (probably an SNP attestation report)'],
  ])('says what %i bytes probably are', (length, message) => {
    expect(() => parseLaunchMeasurement(new Uint8Array(length))).toThrow(
      expect.objectContaining({
        kind: 'format',
        hint: expect.stringContaining('query-sev-launch-measure'),
        message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
      }),
    );
  });
});

describe('parseLaunchMeasurementText', () => {
  const blob = Uint8Array.from({ length: 48 }, (_, i) => 0xff - i);

  it('ignores blanks around the text', () => {
    expect(LaunchMeasurementBlob.pack(parseLaunchMeasurementText(` \t${bytesToBase64(blob)}\r\n`))).toEqual(blob);
  });

  it.each([
    ['', 'got 0 (there is nothing in it)'],
    ['\n', 'got 0 (there is nothing in it)'],
    [bytesToBase64(blob.subarray(0, 32)), 'got 32 (probably a bare measure'],
    [bytesToHex(blob), 'got 48 (probably an SNP launch digest, in hexadecimal digits)'],
    [`0x${bytesToHex(blob).toUpperCase()}`, 'probably an SNP launch digest'],
    [bytesToHex(blob.subarray(0, 32)), 'got 32 (probably a launch digest, in hexadecimal digits)'],
    ['AAAA', /got 3$/],
    [`--${bytesToHex(blob)}`, '98 characters that are not base64'],
    [`${bytesToHex(blob)}--`, '98 characters that are not base64'],
    ['not base64!', '11 characters that are not base64'],
    [bytesToBase64(blob).slice(0, -1), '63 characters that are not base64'],
    [`${bytesToBase64(blob)} ${bytesToBase64(blob)}`, 'that are not base64'],
  ])('refuses %j', (text, message) => {
    expect(() => parseLaunchMeasurementText(text)).toThrow(
      expect.objectContaining({
        kind: 'format',
        hint: expect.stringContaining('domlaunchsecinfo'),
        message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
      }),
    );
  });
});
