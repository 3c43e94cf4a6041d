import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64ToBytes, bytesToBase64 } from '../../src/core/base64.ts';
import { parseFirmware } from '../../src/core/firmware/firmware.ts';
import { guidFromBytes, guidToBytes } from '../../src/core/guid.ts';
import { bytesToHex, hexToBytes } from '../../src/core/hex.ts';
import { type MeasureRequest, measure } from '../../src/core/measurement/measure.ts';
import { MRTD_ORDERS, type MrtdOrder, mrtd } from '../../src/core/measurement/mrtd.ts';
import { PROFILES } from '../../src/core/measurement/profiles.ts';
import { nobleHashes } from '../../src/core/noble-hashes.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { typedOrValue } from '../failure.ts';
import { AMDSEV, firmwareImage, type Tables, TDVF, type TdxEntry } from '../firmware-image.ts';
import { fixture } from '../fixtures.ts';

const amdsev = fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin');
const svsm = fixture('sev-snp-measure/svsm.bin');
const hash32 = fc.uint8Array({ minLength: 32, maxLength: 32 });

const request = (image: Uint8Array, over: Partial<MeasureRequest> = {}): MeasureRequest => ({
  platform: 'snp',
  firmware: { image, firmware: parseFirmware(image), snpDigest: undefined },
  kernel: undefined,
  profile: PROFILES[0] as (typeof PROFILES)[number],
  vcpus: [1],
  cpus: [{ name: undefined, signature: 0x800f12 }],
  features: 1n,
  svsm: undefined,
  unknownSections: 'refuse',
  plan: false,
  ...over,
});

const first = (of: MeasureRequest) => bytesToHex(measure(of, nodeHashes)[0]?.digest ?? new Uint8Array());

describe('texts', () => {
  it('go both ways', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(hexToBytes(bytesToHex(bytes))).toEqual(bytes);
        expect(base64ToBytes(bytesToBase64(bytes))).toEqual(bytes);
        expect(bytesToBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        expect(guidToBytes(guidFromBytes(bytes))).toEqual(bytes);
      }),
    );
  });

  it('are refused with a typed error or read', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const read = typedOrValue(() => base64ToBytes(text));
        if (read !== undefined) expect(bytesToBase64(read)).toBe(text);
        typedOrValue(() => hexToBytes(text));
        typedOrValue(() => guidToBytes(text));
      }),
    );
  });
});

describe('hash functions', () => {
  it('are the same from @noble/hashes and from node:crypto', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 9000 }), (bytes) => {
        expect(bytesToHex(nodeHashes.sha256(bytes))).toBe(bytesToHex(nobleHashes.sha256(bytes)));
        expect(bytesToHex(nodeHashes.sha384(bytes))).toBe(bytesToHex(nobleHashes.sha384(bytes)));
        for (const start of ['startSha256', 'startSha384'] as const) {
          const digests = [nodeHashes, nobleHashes].map((hashes) => {
            const running = hashes[start]();
            running.update(bytes);
            const fork = running.copy();
            running.update(Uint8Array.of(1));
            return [bytesToHex(fork.digest()), bytesToHex(running.digest())];
          });
          expect(digests[0]).toEqual(digests[1]);
        }
      }),
    );
  });
});

describe('a digest', () => {
  it('changes with every bit of the firmware, kernel hashes, features and CPU', () => {
    const start = first(request(amdsev));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 * 4096 - 1 }), (bit) => {
        const image = amdsev.slice();
        image[bit >> 3] = (image[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const changed = typedOrValue(() => first(request(image)));
        expect(changed).not.toBe(start);
      }),
    );
    fc.assert(
      fc.property(hash32, hash32, hash32, fc.integer({ min: 0, max: 767 }), (kernel, initrd, cmdline, bit) => {
        const parts = [kernel, initrd, cmdline].map((part) => part.slice());
        const part = parts[bit >> 8] ?? kernel;
        const before = { kernel, initrd, cmdline };
        part[(bit & 255) >> 3] = (part[(bit & 255) >> 3] ?? 0) ^ (1 << (bit & 7));
        const after = { kernel: parts[0] ?? kernel, initrd: parts[1] ?? initrd, cmdline: parts[2] ?? cmdline };
        for (const platform of ['sev', 'snp'] as const) {
          expect(first(request(amdsev, { platform, kernel: before }))).not.toBe(
            first(request(amdsev, { platform, kernel: after })),
          );
        }
      }),
      { numRuns: 25 },
    );
    fc.assert(
      fc.property(fc.bigInt(1n, 2n ** 64n - 1n), fc.integer({ min: 0, max: 0x7fffffff }), (features, signature) => {
        const guest = request(amdsev, { features: features | 1n, cpus: [{ name: undefined, signature }] });
        expect(first(guest) === start).toBe(features === 1n && signature === 0x800f12);
      }),
      { numRuns: 25 },
    );
  });

  it('of hostile firmware is a typed error or a value, quickly', () => {
    const mutations = fc.array(fc.tuple(fc.nat(4095), fc.nat(255)), { minLength: 1, maxLength: 12 });
    const tables = fc.array(fc.tuple(fc.integer({ min: 2800, max: 4095 }), fc.nat(255)), {
      minLength: 1,
      maxLength: 12,
    });
    fc.assert(
      fc.property(fc.oneof(mutations, tables), fc.constantFrom(...PROFILES), (changes, profile) => {
        const image = amdsev.slice();
        for (const [at, byte] of changes) image[at] = byte;
        for (const platform of ['sev', 'sev-es', 'snp'] as const) {
          const kernel = { kernel: new Uint8Array(32), initrd: new Uint8Array(32), cmdline: new Uint8Array(32) };
          typedOrValue(() =>
            measure(
              request(image, { platform, profile, kernel, vcpus: [2], features: platform === 'snp' ? 1n : 0n }),
              nodeHashes,
            ),
          );
        }
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 5000 }), (image) => {
        typedOrValue(() => measure(request(image), nodeHashes));
      }),
    );
  });

  it('of a hostile SVSM is a typed error or a value', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        fc.nat(0x7fffffff),
        (changes, varsSize) => {
          const image = svsm.slice();
          for (const [back, byte] of changes) image[image.length - 1 - back] = byte;
          typedOrValue(() => measure(request(amdsev, { svsm: { image, varsSize } }), nodeHashes));
        },
      ),
      { numRuns: 30 },
    );
  });
});

describe('MRTD', () => {
  const tables: Tables = { ...AMDSEV, tdx: Object.values(TDVF) };
  const image = firmwareImage(tables);
  const of = (bytes: Uint8Array, order: MrtdOrder) => bytesToHex(mrtd(bytes, parseFirmware(bytes), order, nodeHashes));
  const order = fc.constantFrom(...MRTD_ORDERS);

  it('of any bytes is a value or a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), order, (bytes, how) => void typedOrValue(() => of(bytes, how))),
    );
  });

  const at64 = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constantFrom(0n, 0x1000n, 0x3000n, 0x810000n, 0xffff0000n, 2n ** 51n, 2n ** 60n, 2n ** 64n - 0x1000n),
  );
  const at32 = fc.oneof(fc.nat({ max: 0xffffffff }), fc.constantFrom(0, 0x1000, 0xe000, 0xfffff000, 0xffffffff));
  const entry = fc.record({
    at: at32,
    size: at32,
    gpa: at64,
    memory: at64,
    type: fc.nat({ max: 7 }),
    attributes: fc.constantFrom(0, 1, 2, 3, 0x80000000),
  });
  it('of any sections is a value or a typed error, at once', () => {
    fc.assert(
      fc.property(
        fc.subarray(Object.values<TdxEntry>(TDVF)),
        fc.array(entry, { maxLength: 3 }),
        order,
        (some, more, how) => {
          typedOrValue(() => of(firmwareImage({ ...AMDSEV, tdx: [...some, ...more] }), how));
        },
      ),
    );
  });

  it('changes with every bit of the code, in both orders', () => {
    const digests = { 'page-wise': of(image, 'page-wise'), 'two-pass': of(image, 'two-pass') };
    // The last page has the tables themselves.
    fc.assert(
      fc.property(fc.integer({ min: 0x2000, max: 0xefff }), fc.nat({ max: 7 }), order, (at, bit, how) => {
        const changed = image.slice();
        changed[at] = (changed[at] ?? 0) ^ (1 << bit);
        expect(of(changed, how)).not.toBe(digests[how]);
      }),
    );
  });
});
