/**
 * @module How AMD's structures hold keys on elliptic curves and ECDSA signatures: little-endian numbers of 72 bytes in fields of
 * fixed size, the rest zero (AMD SEV API 55766, appendix C; SEV-SNP firmware ABI 56860, chapter 10).
 */
import { bytes, concat, layout, u32le } from '../bytes.ts';
import { COORDINATE_SIZE, type Curve, type EcPublicKey } from './public-key.ts';
import { certificateRefusal } from './refusal.ts';

/** Bytes of a coordinate, and of each half of a signature. */
const NUMBER_SIZE = 72;
const EcKey = layout('key', { curve: u32le, x: bytes(NUMBER_SIZE), y: bytes(NUMBER_SIZE), unused: bytes(880) });
const EcdsaSignature = layout('signature', { r: bytes(NUMBER_SIZE), s: bytes(NUMBER_SIZE), unused: bytes(368) });

const CURVE_ID: Readonly<Record<Curve, number>> = { 'P-256': 1, 'P-384': 2 };

/** Bytes of a stored key. */
export const EC_KEY_SIZE = EcKey.size;
/** Bytes of a stored signature. */
export const ECDSA_SIZE = EcdsaSignature.size;

/** A signature's numbers, big-endian, each as long as a coordinate. */
export interface EcdsaNumbers {
  readonly r: Uint8Array;
  readonly s: Uint8Array;
}

/** Returns the key in 1028 bytes. */
export function encodeEcKey({ curve, x, y }: EcPublicKey): Uint8Array {
  return EcKey.pack({ curve: CURVE_ID[curve], x: stored(x), y: stored(y), unused: new Uint8Array(880) });
}

/** Reads the 1028 bytes of a key called `name`; throws `format`. Whether it lies on its curve is for its user to check. */
export function parseEcKey(source: Uint8Array, name: string): EcPublicKey {
  const { curve: id, x, y, unused } = EcKey.unpack(source);
  const curve = (Object.keys(CURVE_ID) as Curve[]).find((known) => CURVE_ID[known] === id);
  if (curve === undefined) throw certificateRefusal(name, `curve ${id} is unknown`);
  const size = COORDINATE_SIZE[curve];
  if (!isZero(x.subarray(size), y.subarray(size))) {
    throw certificateRefusal(name, `a coordinate is longer than those of ${curve}`);
  }
  if (!isZero(unused)) throw certificateRefusal(name, 'the bytes after the key are not zero');
  return { kind: 'ec', curve, x: x.subarray(0, size).toReversed(), y: y.subarray(0, size).toReversed() };
}

/** Returns the signature in 512 bytes. */
export function encodeEcdsa({ r, s }: EcdsaNumbers): Uint8Array {
  return EcdsaSignature.pack({ r: stored(r), s: stored(s), unused: new Uint8Array(368) });
}

/** Splits the 512 bytes of a signature into numbers of `size` bytes; `undefined` when they are longer than that. */
export function ecdsaNumbers(signature: Uint8Array, size: number): EcdsaNumbers | undefined {
  const { r, s, unused } = EcdsaSignature.unpack(signature);
  if (!isZero(r.subarray(size), s.subarray(size), unused)) return undefined;
  return { r: r.subarray(0, size).toReversed(), s: s.subarray(0, size).toReversed() };
}

function stored(number: Uint8Array): Uint8Array {
  return concat(number.toReversed(), new Uint8Array(NUMBER_SIZE - number.length));
}

function isZero(...parts: readonly Uint8Array[]): boolean {
  return parts.every((part) => part.every((byte) => byte === 0));
}
