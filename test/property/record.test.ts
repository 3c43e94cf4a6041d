/** @module What an owner's own files may turn into: records, policies, keys and packets that were changed on the way. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BootsealError, type ErrorKind } from '../../src/core/errors.ts';
import { encryptPacket, openPacket, PacketHeader } from '../../src/core/secret/packet-cipher.ts';
import { checkPolicyPlatform, describePolicy, POLICY_FLAGS, parsePolicy } from '../../src/core/session/policy.ts';
import { parseRecord, printRecord } from '../../src/core/session/record.ts';
import { encodeTk, parseTk } from '../../src/core/session/transport-keys.ts';
import { launchRecord } from '../launch-record.ts';

/** Runs a parser: what it accepts goes to `accepted`, what it refuses it refuses with one of `kinds`. */
function parses<T>(parse: () => T, kinds: readonly ErrorKind[], accepted: (value: T) => void = () => undefined): void {
  let value: T;
  try {
    value = parse();
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    expect(kinds).toContain(error.kind);
    return;
  }
  accepted(value);
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const RECORD = launchRecord({
  platform: 'sev-es',
  policy: 0x1100000f,
  expected: [
    { digest: '11'.repeat(32), profile: 'qemu', profileVersion: 1, vcpus: 4, cpu: 'EPYC-v4', vmsaFeatures: '0x0' },
  ],
  used: { at: '2026-11-23T08:00:00.000Z', measurement: 'AAAA' },
});
const TEXT = printRecord(RECORD);

type Json = { [key: string]: Json } | Json[] | string | number | boolean | null;

/** All places in a JSON value, as lists of keys. */
function places(value: Json, at: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [at];
  return [at, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...at, key]))];
}

const PLACES = places(JSON.parse(TEXT) as Json).slice(1);

/** The record with the value at one place replaced, or without it. */
function replaced(place: readonly string[], value: Json | undefined): string {
  const copy = JSON.parse(TEXT) as Record<string, Json>;
  const holder = place.slice(0, -1).reduce<Record<string, Json>>((at, key) => at[key] as Record<string, Json>, copy);
  const last = place.at(-1) ?? '';
  if (value === undefined) delete holder[last];
  else holder[last] = value;
  return JSON.stringify(copy);
}

const nearValues = fc.constantFrom<Json>(null, '', 'sev', 0, -1, 0.5, 1, 5, 255, 256, 2 ** 32, 1e300, [], {}, true);

const hostileRecords = fc.oneof(
  fc.string(),
  fc.json(),
  fc
    .tuple(fc.constantFrom(...PLACES), fc.option(fc.oneof(nearValues, fc.jsonValue() as fc.Arbitrary<Json>)))
    .map(([place, value]) => replaced(place, value ?? undefined)),
  fc
    .tuple(fc.nat(TEXT.length - 1), fc.string({ maxLength: 3 }), fc.nat(8))
    .map(([at, text, gone]) => TEXT.slice(0, at) + text + TEXT.slice(at + gone)),
);

describe('parseRecord', () => {
  it('returns or refuses whatever it is given, and accepts only what hangs together', () => {
    let accepted = 0;
    fc.assert(
      fc.property(hostileRecords, (text) => {
        parses(
          () => parseRecord(text),
          ['format'],
          (record) => {
            accepted += 1;
            expect(parseRecord(printRecord(record))).toEqual(record);
            expect(parsePolicy(String(record.policy))).toBe(record.policy);
            checkPolicyPlatform(record.policy, record.platform);
            for (const { digest } of record.expected) expect(digest).toMatch(/^[0-9a-f]{64}$/);
          },
        );
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(0);
  });
});

describe('parsePolicy', () => {
  const words = fc
    .array(
      fc.constantFrom('nodbg', 'NOKS', 'es', 'nosend', 'domain', 'sev', '', 'constructor', '__proto__', '0x1', ' es'),
    )
    .map((names) => names.join(','));
  const numbers = fc.oneof(
    fc.nat(0xffffffff).map((value) => `0x${value.toString(16)}`),
    fc.bigInt({ min: 0n, max: 1n << 40n }).map(String),
  );

  it('returns or refuses any text, and accepts only 32 bits with none reserved', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), words, numbers), (text) => {
        parses(
          () => parsePolicy(text),
          ['usage'],
          (policy) => {
            expect(Number.isInteger(policy) && policy >= 0 && policy <= 0xffffffff).toBe(true);
            expect(policy & 0xffc0).toBe(0);
            expect(parsePolicy(`0x${policy.toString(16)}`)).toBe(policy);
            if (!/^[0-9]/.test(text)) {
              for (const name of text.toLowerCase().split(',')) expect(Object.keys(POLICY_FLAGS)).toContain(name);
            }
            const [flags = ''] = describePolicy(policy).split(/[ :]/);
            if (flags !== 'none') expect(parsePolicy(flags)).toBe(policy & 0xffff);
          },
        );
      }),
      { numRuns: 1000 },
    );
  });
});

describe('parseTk', () => {
  it('returns the keys of any 32 bytes, in memory of their own, and refuses every other length', () => {
    fc.assert(
      fc.property(fc.oneof(bytes(32), fc.uint8Array({ maxLength: 80 })), (raw) => {
        parses(
          () => parseTk(raw),
          ['format'],
          (keys) => {
            expect(encodeTk(keys)).toEqual(raw);
            raw.fill(0);
            keys.tek.fill(1);
            expect(raw).toEqual(new Uint8Array(32));
          },
        );
        if (raw.length !== 32) expect(() => parseTk(raw)).toThrow('32 bytes');
      }),
    );
  });
});

describe('openPacket', () => {
  const sealed = fc
    .record({
      tek: bytes(16),
      tik: bytes(16),
      iv: bytes(16),
      measure: fc.option(bytes(32)),
      blocks: fc.integer({ min: 1, max: 8 }),
    })
    .map(({ tek, tik, iv, measure, blocks }) => {
      const table = new Uint8Array(16 * blocks).map((_, i) => i);
      const keys = { tek, tik };
      return {
        keys,
        table,
        measure: measure ?? undefined,
        packet: encryptPacket(table, keys, iv, measure ?? undefined),
      };
    });

  it('returns or refuses any bytes; random ones never open', () => {
    const parts = fc.record({
      header: fc.oneof(bytes(PacketHeader.size), fc.uint8Array({ maxLength: 60 })),
      payload: fc.oneof(bytes(16), bytes(48), fc.uint8Array({ maxLength: 100 })),
    });
    fc.assert(
      fc.property(
        parts,
        bytes(16),
        bytes(16),
        fc.option(fc.uint8Array({ maxLength: 40 })),
        (packet, tek, tik, measure) => {
          let opened = false;
          parses(
            () => openPacket(packet, { tek, tik }, measure ?? undefined),
            ['format', 'mismatch'],
            () => {
              opened = true;
            },
          );
          expect(opened).toBe(false);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('opens what was sealed, and nothing in which a bit of header, payload, TIK or measure changed', () => {
    const part = fc.constantFrom('header', 'payload', 'tik', 'measure' as const);
    fc.assert(
      fc.property(sealed, part, fc.nat(), ({ keys, table, measure, packet }, changedPart, which) => {
        expect(openPacket(packet, keys, measure)).toEqual(table);
        const flip = (raw: Uint8Array) =>
          raw.map((byte, i) => (i === which % raw.length ? byte ^ (1 << (which % 8)) : byte));
        const change = (name: string, raw: Uint8Array) => (name === changedPart ? flip(raw) : raw);
        const changed = { header: change('header', packet.header), payload: change('payload', packet.payload) };
        const otherKeys = { ...keys, tik: change('tik', keys.tik) };
        // A packet for a legacy API is bound to no measure; for one that is, it must not open.
        const otherMeasure = changedPart === 'measure' ? flip(measure ?? new Uint8Array(32)) : measure;
        expect(() => openPacket(changed, otherKeys, otherMeasure)).toThrow(
          expect.objectContaining({ kind: 'mismatch' }),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('refuses a packet that is cut or longer, whatever is missing', () => {
    fc.assert(
      fc.property(
        sealed,
        fc.nat(),
        fc.uint8Array({ minLength: 1, maxLength: 40 }),
        ({ keys, measure, packet }, cut, more) => {
          const { header, payload } = packet;
          const shorter = payload.subarray(0, cut % payload.length);
          const longer = Uint8Array.of(...payload, ...more);
          for (const [h, p] of [
            [header, shorter],
            [header, longer],
            [header.subarray(0, cut % 52), payload],
          ] as const) {
            parses(
              () => openPacket({ header: h, payload: p }, keys, measure),
              ['format', 'mismatch'],
              () => expect.unreachable('it opened'),
            );
          }
        },
      ),
    );
  });
});
