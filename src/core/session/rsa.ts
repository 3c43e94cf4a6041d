/** @module RSA public keys as certificates store them: little-endian numbers in fields of fixed size. */
import type { RsaPublicKey } from './public-key.ts';
import { certificateRefusal } from './refusal.ts';

/** A longer exponent is never AMD's, and only costs the one who verifies. */
const EXPONENT_SIZE = 4;

/** Returns the key; throws `format` and names the field when the numbers are none of an RSA key of 2048 or 4096 bits. */
export function rsaPublicKey(bits: number, modulus: Uint8Array, exponent: Uint8Array, name: string): RsaPublicKey {
  if (bits !== 2048 && bits !== 4096) throw certificateRefusal(name, `no RSA key has ${bits} bits here`);
  const size = bits / 8;
  const number = modulus.subarray(0, size).toReversed();
  const first = number[0] ?? 0;
  const last = number[size - 1] ?? 0;
  if (modulus.subarray(size).some((byte) => byte !== 0) || first < 0x80 || last % 2 === 0) {
    throw certificateRefusal(name, `the modulus is not an odd number of ${bits} bits`);
  }
  const small = exponent.subarray(0, EXPONENT_SIZE).reduceRight((value, byte) => value * 256 + byte, 0);
  if (exponent.subarray(EXPONENT_SIZE).some((byte) => byte !== 0) || small < 3 || small % 2 === 0) {
    throw certificateRefusal(name, 'the exponent is not an odd number from 3 to 2^32 - 1');
  }
  return { kind: 'rsa', bits, modulus: number, exponent: small };
}
