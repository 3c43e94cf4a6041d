import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat } from '../../src/core/bytes.ts';
import { readGuestTable, requireShown } from '../../src/core/guest/table.ts';
import { guidFromBytes, guidToBytes, NULL_GUID } from '../../src/core/guid.ts';
import { hexToBytes } from '../../src/core/hex.ts';
import {
  LaunchMeasurementBlob,
  parseLaunchMeasurement,
  parseLaunchMeasurementText,
} from '../../src/core/measurement/launch-measurement.ts';
import { verifyAgainstRecord } from '../../src/core/measurement/verify-launch.ts';
import { sealPacket } from '../../src/core/secret/packet.ts';
import { openPacket } from '../../src/core/secret/packet-cipher.ts';
import {
  buildSecretTable,
  MAX_ENTRIES,
  type OwnerSecret,
  parseSecretTable,
  TABLE_HEADER_GUID,
} from '../../src/core/secret/table.ts';
import { failure, HINT, hinted, typedOrValue } from '../failure.ts';
import { fixture, vectors } from '../fixtures.ts';
import { launchRecord, platformMeasurement } from '../launch-record.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const guid = bytes(16)
  .map((raw) => guidFromBytes(raw))
  .filter((text) => text !== NULL_GUID && text !== TABLE_HEADER_GUID);

const secrets = fc.uniqueArray(
  fc.record({
    guid,
    value: fc.uint8Array({ minLength: 1, maxLength: 60 }),
    form: fc.constantFrom('raw' as const, 'nul' as const),
  }),
  { minLength: 1, maxLength: MAX_ENTRIES, selector: (secret) => secret.guid },
);

const written = ({ value, form }: OwnerSecret) => (form === 'nul' ? Uint8Array.of(...value, 0) : value);

/** Runs a parser on anything: it returns or throws the one deliberate error. */
function survives(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    expect(hinted(error).kind).toBe('format');
  }
}

const realTables = [
  ...vectors<{ linux_efi_secret_conformance: { cases: { area: string }[] } }>('secret.json')
    .linux_efi_secret_conformance.cases.map(({ area }) => hexToBytes(area))
    .filter((area) => area.length < 512),
  fixture('sevctl/secret/secret1.txt'),
];

/** A real table with some bytes changed and perhaps cut short. */
const mutated = fc
  .tuple(
    fc.constantFrom(...realTables),
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
    fc.nat(),
  )
  .map(([table, changes, cut]) => {
    const copy = table.slice(0, cut % 4 === 0 ? cut % (table.length + 1) : table.length);
    for (const [at, value] of changes) if (copy.length > 0) copy[at % copy.length] = value;
    return copy;
  });

describe('the secret table', () => {
  it('is read as it was built', () => {
    fc.assert(
      fc.property(secrets, fc.boolean(), (given, pad) => {
        const usable = given.filter(({ value, form }) => form === 'raw' || !value.includes(0));
        fc.pre(usable.length > 0);
        const table = buildSecretTable(usable, { room: 8192, pad });
        expect(table.length % 16).toBe(0);
        expect(parseSecretTable(table).entries).toEqual(
          usable.map((secret) => ({ guid: secret.guid, value: written(secret) })),
        );
      }),
    );
  });

  it('survives random bytes, also behind a right header', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(400), (tail, length) => {
        survives(() => parseSecretTable(tail));
        const header = concat(guidToBytes(TABLE_HEADER_GUID), new Uint8Array(4));
        header[16] = length & 255;
        header[17] = length >> 8;
        survives(() => parseSecretTable(concat(header, tail)));
      }),
      { numRuns: 500 },
    );
  });

  it('survives real tables with changed bytes, and what it accepts adds up', () => {
    fc.assert(
      fc.property(mutated, (area) => {
        survives(() => {
          const { entries, length, deleted } = parseSecretTable(area);
          const sum = entries.reduce((total, { value }) => total + 20 + value.length, 20);
          expect(sum).toBeLessThanOrEqual(length);
          if (deleted === 0) expect(length - sum).toBeLessThan(20);
          expect(length).toBeLessThanOrEqual(area.length);
          expect(new Set(entries.map((entry) => entry.guid)).size).toBe(entries.length);
        });
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the secret table of a guest', () => {
  it('is read whatever it is, and nothing is shown that the owner could not have meant', () => {
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 100 })), (area) => {
        const table = readGuestTable(area);
        const { shown, readable, refusal, length } = table;
        expect(shown).toEqual(refusal === null ? readable.slice(0, MAX_ENTRIES) : []);
        if (refusal !== null) expect(failure(() => requireShown(table))).toMatchObject({ kind: 'format', hint: HINT });
        for (const { guid, at, value } of readable) {
          expect(guid).not.toBe(NULL_GUID);
          expect(guidFromBytes(area, at)).toBe(guid);
          expect(new Uint8Array(area.subarray(at + 20, at + 20 + value.length))).toEqual(value);
          expect(at + 20 + value.length).toBeLessThanOrEqual(Math.min(length, area.length));
        }
        // The owner's parser differs from Linux in one point only.
        const owner = typedOrValue(() => parseSecretTable(area));
        if (refusal !== null) expect(owner).toBe(undefined);
        else if (readable.length <= MAX_ENTRIES) {
          expect(owner?.entries).toEqual(shown.map(({ guid, value }) => ({ guid, value })));
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the launch measurement', () => {
  it('survives random bytes and text', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.string({ maxLength: 100 }), (raw, text) => {
        survives(() => parseLaunchMeasurement(raw));
        survives(() => parseLaunchMeasurementText(text));
        survives(() => parseLaunchMeasurementText(Buffer.from(raw).toString('base64')));
        survives(() => parseLaunchMeasurementText(Buffer.from(raw).toString('hex')));
      }),
    );
  });

  it('is the same as bytes and as text', () => {
    fc.assert(
      fc.property(bytes(48), (blob) => {
        const fromText = parseLaunchMeasurementText(Buffer.from(blob).toString('base64'));
        expect(fromText).toEqual(parseLaunchMeasurement(blob));
        expect(LaunchMeasurementBlob.pack(fromText)).toEqual(blob);
      }),
    );
  });
});

const launches = fc.record({
  tik: bytes(16),
  tek: bytes(16),
  iv: bytes(16),
  nonce: bytes(16),
  policy: fc.integer({ min: 0, max: 0xffffffff }),
  digest: bytes(32).map((raw) => Buffer.from(raw).toString('hex')),
  api: fc.record({
    major: fc.constant(1),
    minor: fc.integer({ min: 0, max: 255 }),
    build: fc.integer({ min: 0, max: 255 }),
  }),
});

describe('a launch', () => {
  it('that a platform measured is verified, and its packet opens for that platform', () => {
    fc.assert(
      fc.property(launches, secrets, ({ tek, iv, ...platform }, given) => {
        const usable = given.filter(({ value, form }) => form === 'raw' || !value.includes(0));
        fc.pre(usable.length > 0);
        const record = launchRecord({ policy: platform.policy, expected: [{ digest: platform.digest }] });
        const reported = parseLaunchMeasurement(platformMeasurement(platform));
        const launch = verifyAgainstRecord(record, platform.tik, reported, platform.api);
        const table = buildSecretTable(usable, { room: 8192 });
        const keys = { tek, tik: platform.tik };
        const packet = sealPacket({ launch, table, keys, iv });
        expect(openPacket(packet, keys, reported.measure)).toEqual(table);
        expect(packet.payload).not.toEqual(table);
      }),
    );
  });

  it('is no other launch: any changed bit of key, policy, digest, version or nonce is a mismatch', () => {
    fc.assert(
      fc.property(launches, fc.nat(), (platform, which) => {
        const record = launchRecord({ policy: platform.policy, expected: [{ digest: platform.digest }] });
        const flip = (raw: Uint8Array) =>
          raw.map((byte, i) => (i === which % raw.length ? byte ^ (1 << (which % 8)) : byte));
        const others = [
          { ...platform, tik: flip(platform.tik) },
          { ...platform, policy: (platform.policy ^ (1 << (which % 32))) >>> 0 },
          { ...platform, digest: Buffer.from(flip(hexToBytes(platform.digest))).toString('hex') },
          { ...platform, api: { ...platform.api, minor: platform.api.minor ^ 1 } },
          { ...platform, api: { ...platform.api, build: platform.api.build ^ 1 } },
        ];
        for (const other of others) {
          const reported = parseLaunchMeasurement(platformMeasurement(other));
          expect(() => verifyAgainstRecord(record, platform.tik, reported, platform.api)).toThrow(
            expect.objectContaining({ kind: 'mismatch' }),
          );
        }
        const blob = platformMeasurement(platform);
        const reported = parseLaunchMeasurement(Uint8Array.of(...blob.subarray(0, 32), ...flip(blob.subarray(32))));
        expect(() => verifyAgainstRecord(record, platform.tik, reported, platform.api)).toThrow(
          expect.objectContaining({ kind: 'mismatch' }),
        );
      }),
    );
  });
});
