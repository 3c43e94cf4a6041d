import * as crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { EcPublicKey, RsaPublicKey } from '../../../src/core/session/public-key.ts';
import { nodePublicKey } from '../../../src/host/public-key.ts';
import { HINT } from '../../failure.ts';
import { ecKey, forgedPlatform } from '../../platform.ts';

const MESSAGE = new TextEncoder().encode('message');
const bytes = (base64url: string | undefined) => new Uint8Array(Buffer.from(base64url ?? '', 'base64url'));

function ec(key: crypto.KeyObject): EcPublicKey {
  const { crv, x, y } = crypto.createPublicKey(key).export({ format: 'jwk' });
  return { kind: 'ec', curve: crv === 'P-256' ? 'P-256' : 'P-384', x: bytes(x), y: bytes(y) };
}

describe('verifyRsaPss', () => {
  const key = forgedPlatform().keys.ark;
  const rsa: RsaPublicKey = {
    kind: 'rsa',
    bits: 2048,
    modulus: bytes(key.export({ format: 'jwk' }).n),
    exponent: 65537,
  };
  const sign = (hash: string, saltLength: number) =>
    crypto.sign(hash, MESSAGE, { key, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength });

  it.each([
    ['sha256', 32],
    ['sha384', 48],
  ] as const)('takes %s with a salt of %i bytes and no other', (hash, salt) => {
    expect(nodePublicKey.verifyRsaPss(rsa, hash, MESSAGE, sign(hash, salt))).toBe(true);
    expect(nodePublicKey.verifyRsaPss(rsa, hash, MESSAGE, sign(hash, 0))).toBe(false);
    expect(nodePublicKey.verifyRsaPss(rsa, hash, MESSAGE, sign(hash, salt + 1))).toBe(false);
    expect(nodePublicKey.verifyRsaPss(rsa, hash, MESSAGE.slice(1), sign(hash, salt))).toBe(false);
    expect(nodePublicKey.verifyRsaPss(rsa, hash, MESSAGE, sign(hash === 'sha256' ? 'sha384' : 'sha256', salt))).toBe(
      false,
    );
  });

  it('takes no signature of the older padding, and none of another length', () => {
    const old = crypto.sign('sha256', MESSAGE, { key, padding: crypto.constants.RSA_PKCS1_PADDING });
    expect(nodePublicKey.verifyRsaPss(rsa, 'sha256', MESSAGE, old)).toBe(false);
    expect(nodePublicKey.verifyRsaPss(rsa, 'sha256', MESSAGE, new Uint8Array(512))).toBe(false);
    expect(nodePublicKey.verifyRsaPss(rsa, 'sha256', MESSAGE, new Uint8Array())).toBe(false);
  });

  it('takes nothing by a key of other numbers', () => {
    for (const exponent of [3, 0xffffffff]) {
      expect(nodePublicKey.verifyRsaPss({ ...rsa, exponent }, 'sha256', MESSAGE, sign('sha256', 32))).toBe(false);
    }
    const modulus = new Uint8Array(256).fill(0xff);
    expect(nodePublicKey.verifyRsaPss({ ...rsa, modulus }, 'sha256', MESSAGE, sign('sha256', 32))).toBe(false);
  });
});

describe('verifyEcdsa', () => {
  it.each([
    ['P-256', 32],
    ['P-384', 48],
  ] as const)('%s', (curve, size) => {
    const key = ecKey(curve);
    const signature = new Uint8Array(crypto.sign('sha256', MESSAGE, { key, dsaEncoding: 'ieee-p1363' }));
    const [r, s] = [signature.slice(0, size), signature.slice(size)];
    const zero = new Uint8Array(size);
    expect(nodePublicKey.verifyEcdsa(ec(key), 'sha256', MESSAGE, r, s)).toBe(true);
    expect(nodePublicKey.verifyEcdsa(ec(key), 'sha384', MESSAGE, r, s)).toBe(false);
    expect(nodePublicKey.verifyEcdsa(ec(key), 'sha256', MESSAGE.slice(1), r, s)).toBe(false);
    expect(nodePublicKey.verifyEcdsa(ec(key), 'sha256', MESSAGE, s, r)).toBe(false);
    expect(nodePublicKey.verifyEcdsa(ec(key), 'sha256', MESSAGE, zero, zero)).toBe(false);
    expect(nodePublicKey.verifyEcdsa(ec(ecKey(curve)), 'sha256', MESSAGE, r, s)).toBe(false);
  });

  it('takes no numbers of another size, even when both together have the right one', () => {
    const key = ecKey();
    const signature = new Uint8Array(crypto.sign('sha256', MESSAGE, { key, dsaEncoding: 'ieee-p1363' }));
    const shifted = [signature.slice(0, 47), signature.slice(47)] as const;
    expect(nodePublicKey.verifyEcdsa(ec(key), 'sha256', MESSAGE, ...shifted)).toBe(false);
  });

  it('takes nothing by a key that is no point of its curve', () => {
    const key = { kind: 'ec', curve: 'P-384', x: new Uint8Array(48), y: new Uint8Array(48) } as const;
    const number = new Uint8Array(48).fill(1);
    expect(nodePublicKey.verifyEcdsa(key, 'sha256', MESSAGE, number, number)).toBe(false);
  });
});

describe('agree', () => {
  const pair = (curve: 'P-256' | 'P-384') => {
    const key = ecKey(curve);
    return { secret: bytes(key.export({ format: 'jwk' }).d), key: ec(key) };
  };

  it.each(['P-256', 'P-384'] as const)('gives both sides of %s the same number', (curve) => {
    const [a, b] = [pair(curve), pair(curve)];
    const shared = nodePublicKey.agree(curve, a.secret, b.key);
    expect(shared).toEqual(nodePublicKey.agree(curve, b.secret, a.key));
    expect(shared).toHaveLength(curve === 'P-256' ? 32 : 48);
    expect(nodePublicKey.publicKeyOf(curve, a.secret)).toEqual(a.key);
  });

  it('keeps the zeros in front of a short number', () => {
    const a = pair('P-384');
    for (let i = 1; i < 2000; i++) {
      const secret = new Uint8Array(48);
      secret.set([i >> 8, i & 255], 46);
      const shared = nodePublicKey.agree('P-384', secret, a.key);
      expect(shared).toHaveLength(48);
      if (shared[0] === 0) return;
    }
    throw new Error('no short number among 2000: the loop proves nothing');
  });

  it('refuses a peer on another curve', () => {
    const [a, b] = [pair('P-384'), pair('P-256')];
    expect(() => nodePublicKey.agree('P-384', a.secret, b.key)).toThrow(
      expect.objectContaining({ kind: 'format', hint: HINT, message: "the peer's key is on P-256, not on P-384" }),
    );
  });

  it('refuses points off the curve', () => {
    const a = pair('P-384');
    const twisted = a.key.y.with(47, (a.key.y[47] ?? 0) ^ 1);
    for (const peer of [
      { ...a.key, y: twisted },
      { ...a.key, x: new Uint8Array(48), y: new Uint8Array(48) },
      { ...a.key, x: new Uint8Array(48).fill(255) },
      { ...a.key, x: a.key.x.slice(1) },
    ]) {
      expect(() => nodePublicKey.agree('P-384', a.secret, peer)).toThrow(
        expect.objectContaining({ kind: 'format', hint: HINT, message: "the peer's key is no point of P-384" }),
      );
    }
  });

  it.each([
    ['0', new Uint8Array(48)],
    [
      'the order',
      Uint8Array.from(Buffer.from(`${'f'.repeat(48)}c7634d81f4372ddf581a0db248b0a77aecec196accc52973`, 'hex')),
    ],
    ['another size', new Uint8Array(32).fill(1)],
  ])('refuses the private key %s', (_, secret) => {
    const failure = { kind: 'key', hint: HINT, message: expect.stringContaining('not a private key of P-384') };
    expect(() => nodePublicKey.publicKeyOf('P-384', secret)).toThrow(expect.objectContaining(failure));
    expect(() => nodePublicKey.agree('P-384', secret, pair('P-384').key)).toThrow(expect.objectContaining(failure));
  });
});
