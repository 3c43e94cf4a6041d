import { describe, expect, it } from 'vitest';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { parseCertificate } from '../../../src/core/session/certificate.ts';
import { trustUnverified } from '../../../src/core/session/chain.ts';
import { createRecord, expectedDigest, type RecordInputs } from '../../../src/core/session/create-record.ts';
import {
  type LaunchRecord,
  parseRecord,
  printConfiguration,
  printProfile,
  printRecord,
} from '../../../src/core/session/record.ts';
import { failure } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

const RECORD: LaunchRecord = {
  format: 'bootseal-record-1',
  platform: 'sev-es',
  created: '2026-11-23T07:00:00.000Z',
  policy: 0xffff003f,
  minimumApi: { major: 255, minor: 255, build: 255 },
  expected: [
    { digest: '01'.repeat(32) },
    { digest: 'ef'.repeat(32), profile: 'qemu', profileVersion: 1, vcpus: 4, cpu: 'EPYC-v4', vmsaFeatures: '0x0' },
  ],
  firmware: { sha256: 'cd'.repeat(32), bytes: 4096, lint: 'enforcing', secretArea: { base: 0xffffffff, size: 0 } },
  kernelHashes: true,
  platformKey: { pdhSha256: 'ab'.repeat(32), verified: true, root: 'milan' },
  used: { at: '2026-11-23T08:00:00.000Z', measurement: 'AAAA' },
};

/** Returns the text of RECORD with the value at `path` replaced, or removed when it is undefined. */
function changed(path: string, value: unknown): string {
  const copy = structuredClone(RECORD) as unknown as Record<string, unknown>;
  const keys = path.split('.');
  const last = keys.pop() ?? '';
  const holder = keys.reduce<Record<string, unknown>>((at, key) => at[key] as Record<string, unknown>, copy);
  if (value === undefined) delete holder[last];
  else holder[last] = value;
  return JSON.stringify(copy);
}

describe('parseRecord', () => {
  it('reads back what was printed', () => {
    const text = printRecord(RECORD);
    expect(text.endsWith('}\n')).toBe(true);
    expect(parseRecord(text)).toEqual(RECORD);
  });

  it('takes what may be null', () => {
    expect(parseRecord(changed('used', null)).used).toBeNull();
    expect(parseRecord(changed('firmware.secretArea', null)).firmware.secretArea).toBeNull();
    expect(parseRecord(changed('platformKey.root', null)).platformKey.root).toBeNull();
    expect(parseRecord(printRecord({ ...RECORD, platform: 'sev', policy: 3 })).platform).toBe('sev');
  });

  const required = [
    'format',
    'platform',
    'created',
    'policy',
    'minimumApi',
    'minimumApi.major',
    'minimumApi.minor',
    'minimumApi.build',
    'expected',
    'expected.0.digest',
    'expected.1.profile',
    'expected.1.profileVersion',
    'firmware',
    'firmware.sha256',
    'firmware.bytes',
    'firmware.lint',
    'firmware.secretArea',
    'firmware.secretArea.base',
    'firmware.secretArea.size',
    'kernelHashes',
    'platformKey',
    'platformKey.pdhSha256',
    'platformKey.verified',
    'platformKey.root',
    'used',
    'used.at',
    'used.measurement',
  ];
  /** How messages name the place. */
  const place = (path: string) => `record.${path.replace(/\.(\d+)/g, '[$1]')}`;

  it.each(required)('wants %s', (path) => {
    expect(failure(() => parseRecord(changed(path, undefined)))).toMatchObject({
      kind: 'format',
      message: `${place(path)}: missing or of the wrong form`,
    });
  });

  it.each([
    ['format', 'bootseal-record-2'],
    ['platform', 'snp'],
    ['created', 5],
    ['policy', -1],
    ['policy', 2 ** 32],
    ['policy', 1.5],
    ['policy', '5'],
    ['minimumApi', []],
    ['minimumApi', null],
    ['minimumApi.major', 256],
    ['minimumApi.minor', -1],
    ['minimumApi.build', '0'],
    ['expected', []],
    ['expected', { 0: RECORD.expected[0] }],
    ['expected.1', 'text'],
    ['expected.1.digest', 'EF'.repeat(32)],
    ['expected.1.digest', 'ef'.repeat(31)],
    ['expected.1.digest', 'ef'.repeat(48)],
    ['expected.1.profile', 1],
    ['expected.1.profileVersion', '1'],
    ['expected.1.profileVersion', 0],
    ['expected.1.profileVersion', 1.5],
    ['expected.1.profileVersion', 2 ** 32],
    ['expected.1.cpu', null],
    ['expected.1.vmsaFeatures', 0],
    ['expected.1.vcpus', '4'],
    ['expected.1.vcpus', 2 ** 32],
    ['firmware.sha256', `${'cd'.repeat(32)}\n`],
    ['firmware.bytes', -1],
    ['firmware.lint', null],
    ['firmware.secretArea', 0],
    ['firmware.secretArea.base', 2 ** 32],
    ['firmware.secretArea.size', 0.5],
    ['kernelHashes', null],
    ['kernelHashes', 1],
    ['platformKey.pdhSha256', 'ab'],
    ['platformKey.verified', 1],
    ['platformKey.root', 'lab'],
    ['platformKey.root', 7],
    ['used', true],
  ])('refuses %s = %j', (path, value) => {
    expect(failure(() => parseRecord(changed(path, value)))).toMatchObject({
      kind: 'format',
      message: `${place(path)}: missing or of the wrong form`,
    });
  });

  it.each([
    ['sev', 5, 'policy 0x5 is for sev-es, not for sev'],
    ['sev-es', 1, 'policy 0x1 is for sev, not for sev-es'],
    ['sev', 0x41, 'policy 0x41 sets reserved bits'],
    ['sev', 0x8001, 'policy 0x8001 sets reserved bits'],
    ['sev-es', 0xffc5, 'policy 0xffc5 sets reserved bits'],
  ])('refuses a record of %s with the policy %i, which no session is made with', (platform, policy, message) => {
    const text = printRecord({ ...RECORD, platform: platform as LaunchRecord['platform'], policy });
    expect(failure(() => parseRecord(text))).toMatchObject({ kind: 'format', message: `record.policy: ${message}` });
  });

  it.each([
    ['used.at', 5],
    ['used.measurement', 5],
  ])('refuses %s = %j', (path, value) => {
    expect(failure(() => parseRecord(changed(path, value)))).toMatchObject({
      kind: 'format',
      message: 'record.used: missing or of the wrong form',
    });
  });

  it.each([
    ['extra', 'record'],
    ['minimumApi.extra', 'record.minimumApi'],
    ['expected.1.extra', 'record.expected[1]'],
    ['firmware.extra', 'record.firmware'],
    ['firmware.secretArea.extra', 'record.firmware.secretArea'],
    ['platformKey.extra', 'record.platformKey'],
    ['used.extra', 'record.used'],
  ])('refuses a key it does not know: %s', (path, where) => {
    expect(failure(() => parseRecord(changed(path, 1)))).toMatchObject({
      kind: 'format',
      message: `${where}: unknown key "extra"`,
    });
  });

  it('is not taken in by keys that objects have anyway', () => {
    const text = printRecord(RECORD).replace('"used"', '"__proto__": {}, "used"');
    expect(failure(() => parseRecord(text))).toMatchObject({ message: 'record: unknown key "__proto__"' });
    const bare = printRecord(RECORD).replace('"verified": true,', '');
    expect(failure(() => parseRecord(bare))).toMatchObject({ kind: 'format' });
  });

  it.each(['', '{', '[', 'null', '[]', '"record"', '[['.repeat(100_000)])('refuses what is no object', (text) => {
    expect(failure(() => parseRecord(text))).toMatchObject({
      kind: 'format',
      message: expect.stringMatching(/^record: /),
    });
  });
});

describe('printProfile', () => {
  it('names the profile and its version, as measure does', () => {
    const [plain, qemu] = RECORD.expected;
    expect(plain && printProfile(plain)).toBeUndefined();
    expect(qemu && printProfile(qemu)).toBe('qemu/1');
  });
});

describe('the guest that a digest is of', () => {
  it('is named with all that was measured of it, and is nothing for SEV', () => {
    const digest = '11'.repeat(32);
    expect(printConfiguration({ digest })).toBe('');
    expect(
      printConfiguration({ digest, profile: 'qemu', profileVersion: 1, vcpus: 2, cpu: 'EPYC', vmsaFeatures: '0x20' }),
    ).toBe('profile=qemu/1 vcpus=2 cpu=EPYC features=0x20');
  });
});

describe('createRecord', () => {
  const pdh = parseCertificate(fixture('sev-crate/rome/pdh.cert'), 'pdh');
  const pek = parseCertificate(fixture('sev-crate/rome/pek.cert'), 'pek');
  const inputs: RecordInputs = {
    platform: 'sev-es',
    policy: 5,
    minimumApi: { major: 0, minor: 22, build: 3 },
    expected: RECORD.expected,
    firmware: RECORD.firmware,
    kernelHashes: false,
    created: new Date('2026-11-23T07:00:00.000Z'),
    platformKey: { pdh, pek, verified: true, root: 'rome' },
  };

  it('keeps what the owner decided, and the PDH by its fingerprint', () => {
    expect(createRecord(inputs)).toEqual({
      format: 'bootseal-record-1',
      platform: 'sev-es',
      created: '2026-11-23T07:00:00.000Z',
      policy: 5,
      minimumApi: { major: 0, minor: 22, build: 3 },
      expected: RECORD.expected,
      firmware: RECORD.firmware,
      kernelHashes: false,
      platformKey: {
        // sha256sum of the fixture
        pdhSha256: '62147c9375cb6cee32dbbf957d1b427e660c6dab2e6637c5f6c0e2c8f3345eed',
        verified: true,
        root: 'rome',
      },
      used: null,
    });
  });

  it('remembers a PDH that nobody verified', () => {
    expect(createRecord({ ...inputs, platformKey: trustUnverified(pdh) }).platformKey).toMatchObject({
      verified: false,
      root: null,
    });
  });

  it('refuses more digests than are read again', () => {
    const [digest] = RECORD.expected;
    const many = (count: number) => Array.from({ length: count }, () => ({ ...digest, digest: '11'.repeat(32) }));
    const each =
      printRecord({ ...RECORD, expected: many(2) }).length - printRecord({ ...RECORD, expected: many(1) }).length;
    const most = Math.floor(((1 << 20) - 2048) / each);
    expect(createRecord({ ...inputs, expected: many(most) }).expected).toHaveLength(most);
    expect(failure(() => createRecord({ ...inputs, expected: many(most + 20) }))).toMatchObject({
      kind: 'usage',
      message: expect.stringMatching(
        /^a record of [0-9]+ expected digests has 10[0-9]{5} bytes, more than the 1047552/,
      ),
      hint: expect.stringContaining('name the few'),
    });
  });

  it('refuses what could not be read back, and what contradicts itself', () => {
    expect(failure(() => createRecord({ ...inputs, expected: [] }))).toMatchObject({ kind: 'format' });
    expect(failure(() => createRecord({ ...inputs, policy: 1 }))).toMatchObject({ kind: 'usage' });
    expect(failure(() => createRecord({ ...inputs, created: new Date(Number.NaN) }))).toMatchObject({
      kind: 'usage',
      message: 'record.created: not a date',
    });
  });

  // The fixtures were made by API 0.22: keys of firmware with known holes may be in the hands of the host.
  it.each([
    ['0.22.0', true],
    ['0.22.255', true],
    ['0.21.255', true],
    ['0.23.0', false],
    ['1.0.0', false],
  ])('holds the keys against the minimum API %s: %s', (text, accepted) => {
    const [major = 0, minor = 0, build = 0] = text.split('.').map(Number);
    const minimumApi = { major, minor, build };
    for (const [key, platformKey] of [
      ['PDH', inputs.platformKey],
      ['PDH', trustUnverified(pdh)],
      ['PEK', { ...inputs.platformKey, pdh: { ...pdh, api: { major: 9, minor: 0 } } }],
    ] as const) {
      const create = () => createRecord({ ...inputs, minimumApi, platformKey });
      if (accepted) expect(create().minimumApi).toEqual(minimumApi);
      else {
        expect(failure(create)).toEqual({
          kind: 'mismatch',
          message: `the platform's ${key} was made by firmware of API 0.22, the session accepts ${text} and newer`,
          hint: expect.stringContaining('sevctl reset'),
        });
      }
    }
  });
});

describe('expectedDigest', () => {
  const measured = {
    platform: 'sev-es',
    profile: findProfile('qemu-legacy'),
    vcpus: 4,
    cpu: { name: 'EPYC-v4', signature: 0x800f12 },
    features: 0x20n,
    digest: new Uint8Array(32).fill(0xab),
    plan: undefined,
  } as const;

  it('keeps what the digest is of', () => {
    expect(expectedDigest(measured)).toEqual({
      digest: 'ab'.repeat(32),
      profile: 'qemu-legacy',
      profileVersion: 1,
      vcpus: 4,
      cpu: 'EPYC-v4',
      vmsaFeatures: '0x20',
    });
    expect(expectedDigest({ ...measured, cpu: { signature: 0x800f12 } }).cpu).toBe('0x800f12');
  });

  it('leaves out what was not measured', () => {
    const nothing = { profile: undefined, vcpus: undefined, cpu: undefined, features: undefined };
    expect(Object.keys(expectedDigest({ ...measured, platform: 'sev', ...nothing }))).toEqual(['digest']);
  });
});
