import * as crypto from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCcel } from '../../src/core/attestation/ccel.ts';
import { createIdAuth, ID_AUTH_SIZE, verifyIdBlock } from '../../src/core/attestation/id-auth.ts';
import { encodeIdBlock, ID_BLOCK_SIZE } from '../../src/core/attestation/id-block.ts';
import { checkCcel } from '../../src/core/attestation/replay-ccel.ts';
import { parseTdxQuote } from '../../src/core/attestation/tdx-quote.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { nodePublicKey } from '../../src/host/public-key.ts';
import { signerOf } from '../../src/host/signing-key.ts';
import { typedOrValue } from '../failure.ts';
import { fixture } from '../fixtures.ts';

const checks = { publicKey: nodePublicKey, hashes: nodeHashes };
const fresh = () => {
  const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
  return signerOf(Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })), 'key');
};

const [launchDigest, familyId, imageId] = [new Uint8Array(48).fill(7), new Uint8Array(16), new Uint8Array(16)];
const BLOCK = encodeIdBlock({ launchDigest, familyId, imageId, guestSvn: 1, policy: 0x30000n });
const AUTH = createIdAuth(BLOCK, fresh(), fresh());

describe('an ID block with its authentication information', () => {
  it('verifies', () => {
    expect(verifyIdBlock(BLOCK, AUTH, checks)).toMatchObject({ launchDigest, guestSvn: 1 });
  });

  it('does not survive one changed bit, in block or authentication', () => {
    const bit = fc.nat({ max: 8 * (ID_BLOCK_SIZE + ID_AUTH_SIZE) - 1 });
    fc.assert(
      fc.property(bit, (at) => {
        const [block, auth] = [BLOCK.slice(), AUTH.slice()];
        const [where, byte] = at < 8 * ID_BLOCK_SIZE ? [block, at >> 3] : [auth, (at >> 3) - ID_BLOCK_SIZE];
        where[byte] = (where[byte] ?? 0) ^ (1 << (at & 7));
        expect(typedOrValue(() => verifyIdBlock(block, auth, checks))).toBeUndefined();
      }),
    );
  });

  it('of any bytes is refused with a typed error', () => {
    const bytes = (size: number) =>
      fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ minLength: size, maxLength: size }));
    fc.assert(
      fc.property(bytes(ID_BLOCK_SIZE), bytes(ID_AUTH_SIZE), (block, auth) => {
        expect(typedOrValue(() => verifyIdBlock(block, auth, checks))).toBeUndefined();
      }),
    );
  });
});

describe('an event log and a quote', () => {
  const log = fixture('go-tdx-guest/ccel_data.dat').subarray(0, 0x4700);
  const quote = fixture('go-tdx-guest/cos-113-tdx-quote.dat');
  const agrees = (events: Uint8Array, signed: Uint8Array) =>
    typedOrValue(() => checkCcel(parseCcel(events), parseTdxQuote(signed), nodeHashes).length === 0);

  it('of any bytes are read or refused', () => {
    const start = log.subarray(0, 65);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        typedOrValue(() => parseCcel(bytes));
        typedOrValue(() => parseCcel(Uint8Array.from([...start, ...bytes])));
        typedOrValue(() => parseTdxQuote(bytes));
      }),
    );
  });

  it('agree; with any bit of a register or of a digest changed they do not', () => {
    expect(agrees(log, quote)).toBe(true);
    const flipped = (bytes: Uint8Array, at: number, bit: number) => {
      const copy = bytes.slice();
      copy[at] = (copy[at] ?? 0) ^ (1 << bit);
      return copy;
    };
    const bit = fc.nat({ max: 7 });
    fc.assert(
      fc.property(fc.integer({ min: 0x30 + 0x148, max: 0x30 + 0x207 }), bit, (at, b) => {
        expect(agrees(log, flipped(quote, at, b))).not.toBe(true);
      }),
    );
    // The digest of the first event, after register, type, count and algorithm.
    fc.assert(
      fc.property(fc.integer({ min: 65 + 14, max: 65 + 61 }), bit, (at, b) => {
        expect(agrees(flipped(log, at, b), quote)).toBeUndefined();
      }),
    );
    fc.assert(fc.property(fc.nat({ max: log.length - 1 }), bit, (at, b) => void agrees(flipped(log, at, b), quote)));
  });
});
