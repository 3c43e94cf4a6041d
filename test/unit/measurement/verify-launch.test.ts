import { describe, expect, it } from 'vitest';
import type { BootsealError } from '../../../src/core/errors.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { parseLaunchMeasurement } from '../../../src/core/measurement/launch-measurement.ts';
import {
  VerifiedLaunch,
  verifyAgainstRecord,
  verifyLaunchMeasurement,
} from '../../../src/core/measurement/verify-launch.ts';
import type { ExpectedDigest, LaunchRecord } from '../../../src/core/session/record.ts';
import { api, launchRecord, type Platform, platformMeasurement, transportKeys } from '../../launch-record.ts';

const { tik } = transportKeys(0);
const record = launchRecord();
/** Leaves little to search, for refusals; what a record accepts in general is tested where it accepts. */
const narrow = launchRecord({ minimumApi: api('1.254.0') });
const newest = api('1.254.9');
const honest: Platform = { tik, api: api('1.55.24'), policy: 3, digest: '22'.repeat(32) };
const report = (over: Partial<Platform> = {}) => parseLaunchMeasurement(platformMeasurement({ ...honest, ...over }));
const minimum = (text: string): LaunchRecord =>
  launchRecord({ minimumApi: api(text), expected: [{ digest: honest.digest }] });

function refusal(verify: () => unknown): BootsealError {
  try {
    verify();
  } catch (error) {
    return error as BootsealError;
  }
  throw new Error('it was accepted');
}

describe('what cannot be compared', () => {
  const { measure, nonce } = report();
  const launch = { tik, api: api('1.55.24'), policy: 3, expected: [{ digest: honest.digest }] };
  it.each([
    ['a measure of 31 bytes', { measure: measure.subarray(1), nonce }],
    ['no measure', { measure: new Uint8Array(0), nonce }],
    ['a measure of 48 bytes', { measure: new Uint8Array(48), nonce }],
    ['a nonce of 15 bytes', { measure, nonce: nonce.subarray(1) }],
  ])('is bad input and no mismatch: %s', (_, reported) => {
    expect(refusal(() => verifyLaunchMeasurement(launch, reported))).toMatchObject({ kind: 'format' });
    expect(refusal(() => verifyAgainstRecord(narrow, tik, reported))).toMatchObject({ kind: 'format' });
    expect(refusal(() => verifyAgainstRecord(record, tik, reported, api('1.55.24')))).toMatchObject({ kind: 'format' });
  });

  it('is a request when no digest is expected', () => {
    expect(refusal(() => verifyLaunchMeasurement({ ...launch, expected: [] }, report()))).toMatchObject({
      kind: 'usage',
      message: 'there is no digest to compare a launch measurement with',
    });
  });
});

describe('verifyAgainstRecord', () => {
  it('tells how many tries are done, of as many as there are', () => {
    const told: [number, number][] = [];
    const least = minimum('0.255.0');
    const wrong = report({ digest: '33'.repeat(32) });
    refusal(() => verifyAgainstRecord(least, tik, wrong, undefined, (...step) => told.push(step)));
    expect(told).toEqual([[65536, 65536 + 256]]);
    told.length = 0;
    refusal(() => verifyAgainstRecord(least, tik, wrong, newest, (...step) => told.push(step)));
    expect(told).toEqual([]);
  });

  it.each(['11', '22'])('accepts every expected digest and says which: %s', (byte) => {
    const launch = verifyAgainstRecord(record, tik, report({ digest: byte.repeat(32) }));
    expect(launch.expected).toBe(record.expected[byte === '11' ? 0 : 1]);
    expect(launch.api).toEqual({ major: 1, minor: 55, build: 24 });
  });

  it.each([
    ['0.17.0', '0.17.0'],
    ['1.0.0', '1.0.0'],
    ['1.39.0', '1.39.255'],
    ['1.0.0', '1.40.0'],
    ['1.0.0', '1.63.255'],
    ['1.64.0', '1.64.0'],
    ['1.250.0', '1.255.255'],
  ])('from %s on, finds the version %s by itself', (least, version) => {
    const launch = verifyAgainstRecord(minimum(least), tik, report({ api: api(version) }));
    expect(launch.api).toEqual(api(version));
    expect(VerifiedLaunch.boundMeasure(launch)).toEqual(report({ api: api(version) }).measure);
  });

  it.each([
    ['1.250.24', '1.250.23', false],
    ['1.250.24', '1.250.24', true],
    ['1.250.24', '1.249.255', false],
    ['1.250.24', '1.251.0', true],
  ])('with the minimum %s, searched %s is accepted: %s', (least, version, accepted) => {
    const verify = () => verifyAgainstRecord(minimum(least), tik, report({ api: api(version) }));
    if (accepted) expect(verify().api).toEqual(api(version));
    else expect(refusal(verify).kind).toBe('mismatch');
  });

  it('says what was compared, and no key', () => {
    const error = refusal(() => verifyAgainstRecord(narrow, tik, report({ policy: 2, api: newest })));
    expect(error.kind).toBe('mismatch');
    expect(error.message).toBe(
      'the launch measurement is not the expected one; compared with policy 0x3 (nodbg,noks), ' +
        `digests ${'11'.repeat(32)} ${'22'.repeat(32)}, API 1.254.0 to 1.255.255, firmware with SHA-256 ${'fd'.repeat(32)}`,
    );
    expect(error.hint).toMatch(/^send no secret: /);
    expect(`${error.message}${error.hint}`).not.toContain(bytesToHex(tik).slice(0, 8));
  });

  it('prints four digests and counts the others', () => {
    const expected: ExpectedDigest[] = Array.from({ length: 6 }, (_, i) => ({ digest: `0${i}`.repeat(32) }));
    const given = api('1.2.3');
    const text = (count: number) =>
      refusal(() => verifyAgainstRecord(launchRecord({ expected: expected.slice(0, count) }), tik, report(), given))
        .message;
    expect(text(6)).toContain(`${'03'.repeat(32)} and 2 more, API 1.2.3,`);
    expect(text(4)).toContain(`${'03'.repeat(32)}, API 1.2.3,`);
    expect(text(1)).toContain(`digest ${'00'.repeat(32)}, API`);
  });

  it('with a reported version, tries that version only', () => {
    expect(verifyAgainstRecord(record, tik, report(), honest.api).api).toEqual(honest.api);
    for (const other of ['1.55.25', '1.54.24', '0.55.24']) {
      expect(refusal(() => verifyAgainstRecord(record, tik, report(), api(other))).message).toContain(
        `API ${other}, firmware`,
      );
    }
  });

  it('refuses impossible versions and keys as bad input, not as a mismatch', () => {
    expect(refusal(() => verifyAgainstRecord(record, tik, report(), api('1.300.0'))).kind).toBe('usage');
    expect(refusal(() => verifyAgainstRecord(record, new Uint8Array(32), report())).message).toMatch(/^TIK: needs 16/);
    expect(refusal(() => verifyAgainstRecord(record, new Uint8Array(15), report(), honest.api)).kind).toBe('format');
  });
});

describe('a hostile host', () => {
  it('cannot replay the measurement of another launch', () => {
    const other = transportKeys(1);
    expect(verifyAgainstRecord(narrow, tik, report({ api: newest })).api).toEqual(newest);
    expect(refusal(() => verifyAgainstRecord(narrow, tik, report({ tik: other.tik, api: newest }))).kind).toBe(
      'mismatch',
    );
    expect(refusal(() => verifyAgainstRecord(narrow, other.tik, report({ api: newest }))).kind).toBe('mismatch');
    expect(refusal(() => verifyAgainstRecord(record, other.tik, report(), honest.api)).kind).toBe('mismatch');
  });

  it('cannot start the guest with another policy or digest', () => {
    for (const over of [{ policy: 0 }, { digest: '23'.repeat(32) }]) {
      expect(refusal(() => verifyAgainstRecord(narrow, tik, report({ ...over, api: newest }))).kind).toBe('mismatch');
      expect(refusal(() => verifyAgainstRecord(record, tik, report(over), honest.api)).kind).toBe('mismatch');
    }
  });

  it('cannot downgrade the API: a legacy measurement is no match for a record that wants 0.17', () => {
    const legacy = report({ api: api('0.16.0') });
    expect(refusal(() => verifyAgainstRecord(minimum('0.17.0'), tik, legacy)).kind).toBe('mismatch');
    const claimed = refusal(() => verifyAgainstRecord(record, tik, legacy, api('0.16.0')));
    expect(claimed.kind).toBe('mismatch');
    expect(claimed.message).toBe('the platform reports API 0.16.0, the record accepts 0.17.0 and newer');
    expect(claimed.hint).toContain('do not lower the record');
    expect(refusal(() => verifyAgainstRecord(record, tik, legacy, api('0.17.0'))).kind).toBe('mismatch');
  });

  it('cannot report a version below the minimum, although the measurement is right', () => {
    const least = minimum('1.55.24');
    expect(verifyAgainstRecord(least, tik, report(), api('1.55.24')).api).toEqual(api('1.55.24'));
    const old = report({ api: api('1.55.23') });
    expect(refusal(() => verifyAgainstRecord(least, tik, old, api('1.55.23'))).message).toContain(
      'reports API 1.55.23',
    );
  });

  it('cannot change any bit', () => {
    const blob = platformMeasurement(honest);
    for (let bit = 0; bit < 48 * 8; bit++) {
      const changed = Uint8Array.from(blob);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const reported = parseLaunchMeasurement(changed);
      expect(refusal(() => verifyAgainstRecord(record, tik, reported, honest.api)).kind).toBe('mismatch');
    }
  });
});

describe('a legacy platform', () => {
  const old = minimum('0.14.0');
  const legacy = report({ api: api('0.16.0') });

  it('is accepted by a record that allows it, and binds packets to nothing', () => {
    for (const launch of [
      verifyAgainstRecord(old, tik, legacy),
      verifyAgainstRecord(old, tik, legacy, api('0.16.3')),
      verifyLaunchMeasurement({ ...record, tik, api: api('0.1.0') }, legacy),
    ]) {
      expect(launch.api).toBeUndefined();
      expect(launch.expected.digest).toBe('22'.repeat(32));
      expect(VerifiedLaunch.boundMeasure(launch)).toBeUndefined();
    }
  });

  it('is still compared with the policy and the digests', () => {
    expect(
      refusal(() => verifyAgainstRecord(old, tik, report({ api: api('0.16.0'), policy: 1 }), api('0.16.0'))).kind,
    ).toBe('mismatch');
    expect(refusal(() => verifyAgainstRecord(old, tik, legacy, api('0.13.0'))).message).toContain('accepts 0.14.0');
  });

  it('does not keep a newer one from being found and bound', () => {
    const launch = verifyAgainstRecord(old, tik, report({ api: api('0.17.0') }));
    expect(launch.api).toEqual(api('0.17.0'));
    expect(VerifiedLaunch.boundMeasure(launch)).toEqual(report({ api: api('0.17.0') }).measure);
    expect(verifyAgainstRecord(old, tik, report()).api).toEqual(honest.api);
  });
});

describe('VerifiedLaunch', () => {
  it('is not imitated by an object of the same form', () => {
    const launch = verifyAgainstRecord(record, tik, report(), honest.api);
    const imitation = { expected: launch.expected, api: launch.api, measure: report().measure };
    for (const fake of [imitation, Object.create(VerifiedLaunch.prototype), platformMeasurement(honest)]) {
      expect(refusal(() => VerifiedLaunch.boundMeasure(fake as unknown as VerifiedLaunch))).toMatchObject({
        kind: 'usage',
        message: 'a secret is sealed only to a verified launch',
      });
    }
  });

  it('keeps its own copy of the measure', () => {
    const reported = report();
    const launch = verifyLaunchMeasurement({ ...record, tik, api: honest.api }, reported);
    reported.measure.fill(0);
    VerifiedLaunch.boundMeasure(launch)?.fill(0);
    expect(VerifiedLaunch.boundMeasure(launch)).toEqual(report().measure);
  });

  it('names the digest and version of a mismatch without a record', () => {
    const wrong = { ...record, tik, api: api('1.2.3') };
    expect(refusal(() => verifyLaunchMeasurement(wrong, report())).message).toMatch(/^the launch .* \S+, API 1\.2\.3$/);
  });
});
