import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat } from '../../src/core/bytes.ts';
import { BootsealError } from '../../src/core/errors.ts';
import { parseAmdCertificate } from '../../src/core/session/amd-certificate.ts';
import { amdAuthorities } from '../../src/core/session/amd-certificates.ts';
import { parseCertificate } from '../../src/core/session/certificate.ts';
import { verifyChain } from '../../src/core/session/chain.ts';
import { completeChain, readCertificates } from '../../src/core/session/platform-certificates.ts';
import { createSession, openSession } from '../../src/core/session/session.ts';
import { nodePublicKey } from '../../src/host/public-key.ts';
import { forgedPlatform, realChain } from '../platform.ts';

const CHAINS = [realChain('naples'), realChain('rome')];
const CERTIFICATES = CHAINS.flatMap((chain) => Object.values(chain));
const KNOWN = amdAuthorities();

/** Runs a parser on hostile bytes: whatever it does, it must say it with a BootsealError. */
function returnsOrRefuses(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    expect(['format', 'usage', 'mismatch']).toContain(error.kind);
  }
}

/** Real bytes with some of them changed, then cut or followed by others. */
const mutated = fc
  .record({
    source: fc.constantFrom(...CERTIFICATES),
    changes: fc.array(fc.tuple(fc.nat(2083), fc.nat(255)), { maxLength: 6 }),
    // Headers decide most, so they get changes of their own.
    header: fc.array(fc.tuple(fc.nat(67), fc.nat(255)), { maxLength: 2 }),
    keep: fc.option(fc.nat(2084)),
    after: fc.uint8Array({ maxLength: 80 }),
  })
  .map(({ source, changes, header, keep, after }) => {
    const bytes = source.slice();
    for (const [at, value] of [...changes, ...header]) if (at < bytes.length) bytes[at] = value;
    return concat(bytes.slice(0, keep ?? bytes.length), after);
  });
const hostile = fc.oneof(mutated, fc.uint8Array({ maxLength: 2200, size: 'max' }));

describe('hostile certificates', () => {
  it('are read or refused, never anything else', () => {
    fc.assert(
      fc.property(hostile, (bytes) => {
        returnsOrRefuses(() => parseCertificate(bytes, 'f'));
        returnsOrRefuses(() => parseAmdCertificate(bytes, 'f'));
      }),
      { numRuns: 1000 },
    );
  });

  it('many in a file as well, up to the verdict on their chain', () => {
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 7 }), fc.boolean(), (parts, together) => {
        const bytes = together ? [concat(...parts)] : parts;
        returnsOrRefuses(() => {
          const found = readCertificates(bytes.map((part, i) => ({ name: `file ${i}`, bytes: part })));
          verifyChain(completeChain(found, KNOWN, nodePublicKey), nodePublicKey);
        });
      }),
      { numRuns: 300 },
    );
  });

  it('a chain with any byte changed that a signature covers, or any bit of a signature, never verifies', () => {
    const place = fc.constantFrom('ark', 'ask', 'cek', 'oca', 'pek', 'pdh' as const);
    fc.assert(
      fc.property(
        fc.constantFrom(...CHAINS),
        place,
        fc.nat(2083),
        fc.integer({ min: 1, max: 255 }),
        (chain, usage, at, mask) => {
          const bytes = chain[usage].slice();
          const signatures = usage === 'pek' ? 2 : 1;
          // Behind its first signature a certificate other than the PEK has an empty place, which nothing covers.
          const covered = bytes.length === 2084 ? 0x414 + 0x208 * signatures : bytes.length;
          bytes[at % covered] = (bytes[at % covered] ?? 0) ^ mask;
          const files = Object.entries({ ...chain, [usage]: bytes }).map(([name, part]) => ({ name, bytes: part }));
          expect(() => {
            const found = readCertificates(files);
            verifyChain(completeChain(found, KNOWN, nodePublicKey), nodePublicKey);
          }).toThrow(BootsealError);
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('sessions', () => {
  const { chain, pdhKey } = forgedPlatform();
  const pdh = parseCertificate(chain.pdh, 'pdh');
  const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const inputs = fc.record({
    ephemeralKey: fc.uint8Array({ minLength: 48, maxLength: 48, min: 1, max: 254 }),
    nonce: bytes16,
    iv: bytes16,
    tek: bytes16,
    tik: bytes16,
    policy: fc.nat(0xffffffff),
  });

  it('open to what was put in, on the right platform and with the right policy only', () => {
    fc.assert(
      fc.property(inputs, fc.nat(0xffffffff), ({ policy, tek, tik, ...rest }, other) => {
        fc.pre(policy !== other);
        const made = createSession({ pdh, policy, tek, tik, ...rest }, nodePublicKey);
        expect(openSession({ ...made, pdhKey, policy }, nodePublicKey)).toEqual({ tek, tik });
        expect(() => openSession({ ...made, pdhKey, policy: other }, nodePublicKey)).toThrow(BootsealError);
      }),
      { numRuns: 50 },
    );
  });

  it('opening takes any bytes without falling over', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 127, maxLength: 129 }), hostile, (session, godh) => {
        returnsOrRefuses(() => openSession({ session, godh, pdhKey, policy: 1 }, nodePublicKey));
      }),
      { numRuns: 300 },
    );
  });
});
