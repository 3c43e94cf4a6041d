/** @module Whether a signature in AMD's encoding was made by a key. */
import type { Algorithm } from './algorithm.ts';
import { hashOf } from './algorithm.ts';
import type { CertificateSignature } from './certificate.ts';
import { ecdsaNumbers } from './ec-encoding.ts';
import { COORDINATE_SIZE, type PublicKey, type PublicKeyOperations } from './public-key.ts';

/**
 * Verifies a signature of an SEV certificate over `body`. The hash is that of `algorithm`, which is the signing key's own:
 * what the signature says of itself is not used.
 */
export function verifySignature(
  key: PublicKey,
  algorithm: Algorithm,
  body: Uint8Array,
  signature: CertificateSignature,
  publicKey: PublicKeyOperations,
): boolean {
  const hash = hashOf(algorithm);
  if (key.kind === 'ec') {
    const numbers = ecdsaNumbers(signature.value, COORDINATE_SIZE[key.curve]);
    return numbers !== undefined && publicKey.verifyEcdsa(key, hash, body, numbers.r, numbers.s);
  }
  const size = key.bits / 8;
  if (signature.value.subarray(size).some((byte) => byte !== 0)) return false;
  return publicKey.verifyRsaPss(key, hash, body, signature.value.subarray(0, size).toReversed());
}
