/**
 * @module The public-key operations that core takes as a parameter: a platform's chain is RSA and elliptic curves, which
 * core's own crypto does not have. Numbers are big-endian and as long as their key says.
 */

/** Curves of SEV certificates (AMD SEV API 55766, appendix C: ECC curve identifiers). */
export type Curve = 'P-256' | 'P-384';

/** Bytes of a coordinate, and of a private key, on each curve. */
export const COORDINATE_SIZE: Readonly<Record<Curve, number>> = { 'P-256': 32, 'P-384': 48 };

/** A point of a curve; that it lies on the curve is for the operations to check. */
export interface EcPublicKey {
  readonly kind: 'ec';
  readonly curve: Curve;
  /** Big-endian, as long as the curve's coordinates. */
  readonly x: Uint8Array;
  readonly y: Uint8Array;
}

/** An RSA key of one of the two sizes AMD uses. */
export interface RsaPublicKey {
  readonly kind: 'rsa';
  readonly bits: 2048 | 4096;
  /** Big-endian, `bits / 8` bytes, the first bit set. */
  readonly modulus: Uint8Array;
  /** Odd, 3 to 2^32 - 1: a longer exponent only costs the verifier time. */
  readonly exponent: number;
}

/** A key of either kind, as certificates hold them. */
export type PublicKey = EcPublicKey | RsaPublicKey;

/** Hash functions of SEV's signature algorithms. */
export type SignatureHash = 'sha256' | 'sha384';

/** What a platform's library must offer; src/host/public-key.ts has it from node:crypto. */
export interface PublicKeyOperations {
  /** RSA-PSS (RFC 8017) with MGF1 over the same hash and a salt as long as the hash; false when it does not verify. */
  verifyRsaPss(key: RsaPublicKey, hash: SignatureHash, message: Uint8Array, signature: Uint8Array): boolean;
  /** ECDSA (FIPS 186-5) over r and s, each as long as a coordinate; false when it does not verify or the key is no point of its curve. */
  verifyEcdsa(key: EcPublicKey, hash: SignatureHash, message: Uint8Array, r: Uint8Array, s: Uint8Array): boolean;
  /** Returns the public key of a private key; throws `key` when that is not a number from 1 to the curve's order. */
  publicKeyOf(curve: Curve, privateKey: Uint8Array): EcPublicKey;
  /**
   * ECDH: returns the shared point's x coordinate, which the caller wipes. Throws `key` as {@link publicKeyOf}, and `format`
   * when `peer` is on another curve or not on its curve: with such a point a peer would learn the private key.
   */
  agree(curve: Curve, privateKey: Uint8Array, peer: EcPublicKey): Uint8Array;
}
