/**
 * @module Certificates of SEV platforms, made rather than read (AMD SEV API 55766, appendices B.4 and C.1). Like the channel they stand
 * on node:crypto alone, not on src/core, which has to read them.
 */
import * as crypto from 'node:crypto';
import { ecKey, rsaKey } from './new-key.ts';

/** Codes of AMD SEV API 55766, appendix C.1. */
export const USAGE = { ark: 0, ask: 0x13, none: 0x1000, oca: 0x1001, pek: 0x1002, pdh: 0x1003, cek: 0x1004 } as const;
export const RSA_SHA256 = 0x001;
export const ECDSA_SHA256 = 0x002;
export const ECDH_SHA256 = 0x003;

/** Places of the two signatures, and where what they cover ends. */
const SIGNATURES = [0x414, 0x61c];
const BODY_SIZE = 0x414;
const SIGNATURE_SIZE = 520;

/** A signature to put into a certificate. */
export interface SignedBy {
  readonly usage: number;
  readonly algorithm: number;
  readonly key: crypto.KeyObject;
}

/** Returns an SEV certificate of 2084 bytes for `key`, a public or private key. */
export function sevCertificate(
  usage: number,
  algorithm: number,
  key: crypto.KeyObject,
  signers: readonly SignedBy[],
): Uint8Array {
  const out = new Uint8Array(2084);
  const view = new DataView(out.buffer);
  view.setUint32(0, 1, true);
  out.set([1, 55], 4);
  view.setUint32(8, usage, true);
  view.setUint32(12, algorithm, true);
  const jwk = crypto.createPublicKey(key).export({ format: 'jwk' });
  if (jwk.kty === 'EC') {
    view.setUint32(16, jwk.crv === 'P-384' ? 2 : 1, true);
    out.set(number(jwk.x).reverse(), 20);
    out.set(number(jwk.y).reverse(), 92);
  } else {
    const modulus = number(jwk.n);
    view.setUint32(16, 8 * modulus.length, true);
    out.set(number(jwk.e).reverse(), 20);
    out.set(modulus.reverse(), 532);
  }
  return resign(out, signers);
}

/** Returns the certificate with these signatures in place of its own; the body stays. */
export function resign(certificate: Uint8Array, signers: readonly SignedBy[]): Uint8Array {
  const out = certificate.slice();
  const view = new DataView(out.buffer);
  const body = out.slice(0, BODY_SIZE);
  for (const [i, at] of SIGNATURES.entries()) {
    const signer = signers[i];
    out.fill(0, at, at + SIGNATURE_SIZE);
    view.setUint32(at, signer?.usage ?? USAGE.none, true);
    view.setUint32(at + 4, signer?.algorithm ?? 0, true);
    if (signer !== undefined) out.set(signature(signer, body), at + 8);
  }
  return out;
}

/** Returns a signature's 512 bytes. */
function signature(signer: SignedBy, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(512);
  const hash = signer.algorithm >= 0x100 ? 'sha384' : 'sha256';
  if (signer.key.asymmetricKeyType === 'rsa') {
    out.set(rsaSignature(signer.key, hash, body));
    return out;
  }
  const numbers = crypto.sign(hash, body, { key: signer.key, dsaEncoding: 'ieee-p1363' });
  const half = numbers.length / 2;
  out.set(new Uint8Array(numbers.subarray(0, half)).reverse(), 0);
  out.set(new Uint8Array(numbers.subarray(half)).reverse(), 72);
  return out;
}

function rsaSignature(key: crypto.KeyObject, hash: string, body: Uint8Array, saltLength?: number): Uint8Array {
  const padding = crypto.constants.RSA_PKCS1_PSS_PADDING;
  const salt = saltLength ?? crypto.constants.RSA_PSS_SALTLEN_DIGEST;
  return new Uint8Array(crypto.sign(hash, body, { key, padding, saltLength: salt })).reverse();
}

/** Returns an AMD certificate of 832 bytes for an RSA key of 2048 bits. */
export function amdCertificate(
  usage: number,
  ids: { readonly key: Uint8Array; readonly certifying: Uint8Array },
  key: crypto.KeyObject,
  signer: crypto.KeyObject,
  saltLength?: number,
): Uint8Array {
  const out = new Uint8Array(832);
  const view = new DataView(out.buffer);
  view.setUint32(0, 1, true);
  out.set(ids.key, 4);
  out.set(ids.certifying, 20);
  view.setUint32(36, usage, true);
  view.setUint32(56, 2048, true);
  view.setUint32(60, 2048, true);
  const jwk = crypto.createPublicKey(key).export({ format: 'jwk' });
  out.set(number(jwk.e).reverse(), 64);
  out.set(number(jwk.n).reverse(), 320);
  out.set(rsaSignature(signer, 'sha256', out.slice(0, 576), saltLength), 576);
  return out;
}

/** All certificates of a platform, as bytes. */
export type ChainBytes = Record<'ark' | 'ask' | 'cek' | 'oca' | 'pek' | 'pdh', Uint8Array>;

/** A platform whose every key its maker knows. */
export interface MadePlatform {
  readonly chain: ChainBytes;
  readonly keys: Record<keyof ChainBytes, crypto.KeyObject>;
  /** Private key of the PDH, 48 bytes. */
  readonly pdhKey: Uint8Array;
}

/** Makes a complete chain, right in every signature, under a root of its own with these key ids (16 bytes each). */
export function makePlatform(ids: { readonly ark: Uint8Array; readonly ask: Uint8Array }): MadePlatform {
  const keys = { ark: rsaKey(), ask: rsaKey(), cek: ecKey(), oca: ecKey(), pek: ecKey(), pdh: ecKey() };
  const by = (usage: 'ask' | 'cek' | 'oca' | 'pek', algorithm = ECDSA_SHA256): SignedBy => ({
    usage: USAGE[usage],
    algorithm,
    key: keys[usage],
  });
  const chain = {
    ark: amdCertificate(USAGE.ark, { key: ids.ark, certifying: ids.ark }, keys.ark, keys.ark),
    ask: amdCertificate(USAGE.ask, { key: ids.ask, certifying: ids.ark }, keys.ask, keys.ark),
    cek: sevCertificate(USAGE.cek, ECDSA_SHA256, keys.cek, [by('ask', RSA_SHA256)]),
    oca: sevCertificate(USAGE.oca, ECDSA_SHA256, keys.oca, [by('oca')]),
    pek: sevCertificate(USAGE.pek, ECDSA_SHA256, keys.pek, [by('oca'), by('cek')]),
    pdh: sevCertificate(USAGE.pdh, ECDH_SHA256, keys.pdh, [by('pek')]),
  };
  return { chain, keys, pdhKey: number(keys.pdh.export({ format: 'jwk' }).d) };
}

/** Returns a JWK's number, big-endian. */
export function number(base64url: string | undefined): Uint8Array {
  return new Uint8Array(Buffer.from(base64url ?? '', 'base64url'));
}
