/**
 * @module The SEV certificate (AMD SEV API 55766, appendix C.1; amd/AMD-ASPFW fw/psp_bl_uapps/sev_uapp/src/sev_cert.h): one
 * public key and two places for signatures, 2084 bytes. PDH, PEK, OCA and CEK have this form, and so has the GODH.
 */
import { bytes, layout, reserved, u8, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import {
  ALGORITHM,
  ALGORITHM_NONE,
  type Algorithm,
  isRsa,
  type SevUsage,
  suits,
  USAGE,
  USAGE_NONE,
  usageOf,
} from './algorithm.ts';
import { encodeEcKey, parseEcKey } from './ec-encoding.ts';
import type { EcPublicKey, PublicKey } from './public-key.ts';
import { certificateRefusal } from './refusal.ts';
import { rsaPublicKey } from './rsa.ts';

const Signature = layout('signature', { usage: u32le, algorithm: u32le, value: bytes(512) });

const Certificate = layout('certificate', {
  version: u32le,
  apiMajor: u8,
  apiMinor: u8,
  unused: reserved(2),
  usage: u32le,
  algorithm: u32le,
  key: bytes(1028),
  signature1: Signature,
  signature2: Signature,
});

const RsaKey = layout('key', { bits: u32le, exponent: bytes(512), modulus: bytes(512) });

/** ECDH with SHA-256, the only algorithm that the firmware takes in a GODH (amd/AMD-ASPFW sev_channel.c). */
const GODH_ALGORITHM = ALGORITHM.ecdhSha256;

/** Bytes of an SEV certificate. */
export const CERTIFICATE_SIZE = Certificate.size;

/** A signature that a certificate carries. */
export interface CertificateSignature {
  /** Code of the usage of the key that made it. */
  readonly usage: number;
  /** Code of the algorithm. */
  readonly algorithm: number;
  /** 512 bytes, little-endian numbers: r and s in 72 bytes each, or one RSA number. */
  readonly value: Uint8Array;
}

/** A parsed SEV certificate. */
export interface SevCertificate {
  readonly usage: SevUsage;
  readonly algorithm: Algorithm;
  readonly key: PublicKey;
  /** API version of the firmware that made the certificate. */
  readonly api: { readonly major: number; readonly minor: number };
  /** None, one or two; a place that is marked empty is left out. */
  readonly signatures: readonly CertificateSignature[];
  /** All 2084 bytes. */
  readonly bytes: Uint8Array;
  /** The bytes that signatures cover. */
  readonly body: Uint8Array;
}

/**
 * Reads an SEV certificate of exactly 2084 bytes; does not look whether its signatures are right. Throws `format` and names
 * the field.
 *
 * @param name what the certificate is called in messages, such as `pdh.cert`
 */
export function parseCertificate(source: Uint8Array, name: string): SevCertificate {
  if (source.length !== CERTIFICATE_SIZE) {
    fail(name, `an SEV certificate has ${CERTIFICATE_SIZE} bytes, this has ${source.length}`);
  }
  const fields = Certificate.unpack(source);
  if (fields.version !== 1) fail(name, `certificate version ${fields.version} is unknown`);
  const usage = usageOf(fields.usage);
  if (usage === undefined || usage === 'ark' || usage === 'ask') {
    fail(name, `key usage 0x${fields.usage.toString(16)} is none of an SEV certificate`);
  }
  const algorithm = fields.algorithm;
  if (!suits(algorithm, usage)) {
    fail(name, `key algorithm 0x${algorithm.toString(16)} does not suit the usage ${usage.toUpperCase()}`);
  }
  return {
    usage,
    algorithm,
    key: isRsa(algorithm) ? parseRsaKey(fields.key, name) : parseEcKey(fields.key, name),
    api: { major: fields.apiMajor, minor: fields.apiMinor },
    signatures: [fields.signature1, fields.signature2].filter((signature) => isPresent(signature, name)),
    bytes: new Uint8Array(source),
    body: new Uint8Array(source.subarray(0, Certificate.offset.signature1)),
  };
}

/** Returns the 1028 bytes of the public key as the certificate stores them. */
export function keyField(certificate: SevCertificate): Uint8Array {
  return certificate.body.subarray(Certificate.offset.key);
}

/** Says whether an SEV certificate seems to start at `at`: its usage is where it belongs. */
export function startsCertificate(source: Uint8Array, at: number): boolean {
  const field = at + Certificate.offset.usage;
  if (source.length < field + u32le.size) return false;
  const usage = usageOf(u32le.decode(source, field, 'usage'));
  return usage !== undefined && usage !== 'ark' && usage !== 'ask';
}

/** The platform's firmware takes a place that is only half marked empty for a damaged certificate, and so do we. */
function isPresent(signature: CertificateSignature, name: string): boolean {
  const empty = signature.usage === USAGE_NONE;
  if (empty !== (signature.algorithm === ALGORITHM_NONE)) fail(name, 'a signature is half marked as empty');
  return !empty;
}

/**
 * Returns the guest owner's Diffie-Hellman certificate, 2084 bytes: an unsigned PDH certificate around `key`. Throws `usage`
 * for a key that is not on P-384.
 */
export function encodeGodh(key: EcPublicKey): Uint8Array {
  if (key.curve !== 'P-384')
    throw new BootsealError('usage', `godh: needs a key on P-384, not on ${key.curve}`, {
      hint: 'make the key on P-384: the platform takes no other',
    });
  const none = { usage: USAGE_NONE, algorithm: ALGORITHM_NONE, value: new Uint8Array(512) };
  return Certificate.pack({
    version: 1,
    apiMajor: 0,
    apiMinor: 0,
    usage: USAGE.pdh,
    algorithm: GODH_ALGORITHM,
    key: encodeEcKey(key),
    signature1: none,
    signature2: none,
  });
}

function parseRsaKey(source: Uint8Array, name: string): PublicKey {
  const { bits, exponent, modulus } = RsaKey.unpack(source);
  return rsaPublicKey(bits, modulus, exponent, name);
}

function fail(name: string, reason: string): never {
  throw certificateRefusal(name, reason);
}
