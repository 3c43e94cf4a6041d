import * as crypto from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createIdAuth, ID_AUTH_SIZE, verifyIdBlock } from '../../src/core/attestation/id-auth.ts';
import { encodeIdBlock, ID_BLOCK_SIZE } from '../../src/core/attestation/id-block.ts';
import { nodeHashes } from '../../src/host/node-hashes.ts';
import { nodePublicKey } from '../../src/host/public-key.ts';
import { signerOf } from '../../src/host/signing-key.ts';
import { typedOrValue } from '../failure.ts';

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
