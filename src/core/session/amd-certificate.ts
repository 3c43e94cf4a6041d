/**
 * @module The certificate of AMD's authorities, ARK and ASK (AMD SEV API 55766, appendix B.4; amd/AMD-ASPFW
 * fw/psp_bl_uapps/sev_uapp/src/amd_cert.c): an RSA key and one signature, 832 bytes for 2048 bits and 1600 for 4096.
 */
import { bytes, layout, u32le } from '../bytes.ts';
import { bytesToHex } from '../hex.ts';
import { USAGE } from './algorithm.ts';
import type { RsaPublicKey } from './public-key.ts';
import { certificateRefusal } from './refusal.ts';
import { rsaPublicKey } from './rsa.ts';

const Header = layout('AMD certificate', {
  version: u32le,
  keyId: bytes(16),
  certifyingId: bytes(16),
  usage: u32le,
  unused: bytes(16),
  exponentBits: u32le,
  modulusBits: u32le,
});

/** A parsed ARK or ASK certificate. */
export interface AmdCertificate {
  readonly usage: 'ark' | 'ask';
  /** 32 hexadecimal digits. */
  readonly keyId: string;
  /** The key id of the certificate whose key signed this one. */
  readonly certifyingId: string;
  readonly key: RsaPublicKey;
  /** Big-endian, as long as the modulus. */
  readonly signature: Uint8Array;
  /** The whole certificate. */
  readonly bytes: Uint8Array;
  /** The bytes that the signature covers. */
  readonly body: Uint8Array;
}

/** Says whether an AMD certificate seems to start at `at`: version and usage are where they belong. */
export function startsAmdCertificate(source: Uint8Array, at: number): boolean {
  if (source.length - at < Header.size) return false;
  const { version, usage } = Header.unpack(source, at);
  return version === 1 && (usage === USAGE.ark || usage === USAGE.ask);
}

/**
 * Returns how many bytes the AMD certificate that starts at `at` says it has: 832 or 1600. Throws `format` when its header
 * is not all there or says something else.
 */
export function amdCertificateSize(source: Uint8Array, at: number, name: string): number {
  if (source.length - at < Header.size) fail(name, 'an AMD certificate is cut short');
  const { exponentBits, modulusBits } = Header.unpack(source, at);
  if (modulusBits !== 2048 && modulusBits !== 4096)
    fail(name, `no AMD certificate has an RSA key of ${modulusBits} bits`);
  if (exponentBits !== modulusBits)
    fail(name, `an exponent of ${exponentBits} bits does not fit a key of ${modulusBits}`);
  return Header.size + 3 * (modulusBits / 8);
}

/**
 * Reads an ARK or ASK certificate; does not look whether its signature is right. Throws `format` and names the field.
 *
 * @param name what the certificate is called in messages, such as `ark.cert`
 */
export function parseAmdCertificate(source: Uint8Array, name: string): AmdCertificate {
  const size = amdCertificateSize(source, 0, name);
  if (source.length !== size) fail(name, `the certificate has ${size} bytes, this has ${source.length}`);
  const { version, usage, keyId, certifyingId, modulusBits } = Header.unpack(source);
  if (version !== 1) fail(name, `certificate version ${version} is unknown`);
  if (usage !== USAGE.ark && usage !== USAGE.ask) {
    fail(name, `key usage 0x${usage.toString(16)} is neither ARK nor ASK`);
  }
  const number = modulusBits / 8;
  const [exponent, modulus, end] = [Header.size, Header.size + number, Header.size + 2 * number];
  return {
    usage: usage === USAGE.ark ? 'ark' : 'ask',
    keyId: bytesToHex(keyId),
    certifyingId: bytesToHex(certifyingId),
    key: rsaPublicKey(modulusBits, source.subarray(modulus, end), source.subarray(exponent, modulus), name),
    signature: source.subarray(end).toReversed(),
    bytes: new Uint8Array(source),
    body: new Uint8Array(source.subarray(0, end)),
  };
}

function fail(name: string, reason: string): never {
  throw certificateRefusal(name, reason);
}
