/**
 * @module Finds a platform's certificates in whatever files a host hands over: one a file, several in one (`cert_chain.cert`,
 * `ask_ark.cert`, all in what `sevctl export` writes), as bytes or in the base64 of QEMU and libvirt. What a certificate is,
 * it says itself; file names only help people.
 */
import { base64ToBytes } from '../base64.ts';
import { BootsealError } from '../errors.ts';
import { USAGE, type Usage } from './algorithm.ts';
import {
  type AmdCertificate,
  amdCertificateSize,
  parseAmdCertificate,
  startsAmdCertificate,
} from './amd-certificate.ts';
import { CERTIFICATE_SIZE, keyField, parseCertificate, type SevCertificate, startsCertificate } from './certificate.ts';
import { type AmdAuthorities, authoritiesOf, type PlatformCertificates } from './chain.ts';
import type { PublicKeyOperations } from './public-key.ts';

/** A file with one certificate or more. */
export interface CertificateFile {
  /** For messages. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** The certificates that were found, by their place in the chain. */
export type FoundCertificates = { readonly [U in Usage]?: U extends 'ark' | 'ask' ? AmdCertificate : SevCertificate };

/** `AQAAA`. */
const BASE64_OF_VERSION_1 = [0x41, 0x51, 0x41, 0x41, 0x41];

interface Found {
  readonly certificate: SevCertificate | AmdCertificate;
  readonly file: string;
}

/**
 * Reads all certificates of all files. Throws `format` and names file and byte where there is no certificate, and `usage` when
 * two different ones claim the same place. Of a CEK with and one without a signature of AMD it takes the signed one.
 */
export function readCertificates(files: readonly CertificateFile[]): FoundCertificates {
  const places = new Map<Usage, Found>();
  for (const file of files) {
    for (const certificate of splitCertificates(file)) {
      const before = places.get(certificate.usage);
      const found = { certificate, file: file.name };
      places.set(certificate.usage, before === undefined ? found : choose(before, found));
    }
  }
  return Object.fromEntries([...places].map(([usage, { certificate }]) => [usage, certificate]));
}

/**
 * Adds what only AMD can vouch for: unless ASK and ARK are both there, they come from `known`. Throws `usage` and names what else is
 * missing, `mismatch` as `authoritiesOf`.
 */
export function completeChain(
  found: FoundCertificates,
  known: readonly AmdAuthorities[],
  publicKey: PublicKeyOperations,
): PlatformCertificates {
  const { pdh, pek, oca, cek } = found;
  if (pdh === undefined || pek === undefined || oca === undefined || cek === undefined) {
    const missing = (['pdh', 'pek', 'oca', 'cek'] as const).filter((usage) => found[usage] === undefined);
    throw new BootsealError('usage', `missing certificates: ${missing.join(', ')}`, {
      hint: 'ask the host for the output of sevctl export, or for pdh.cert, pek.cert, oca.cert and a cek.cert signed by AMD',
    });
  }
  const { ask, ark } = found;
  const amd = ask === undefined || ark === undefined ? authoritiesOf(cek, known, publicKey) : { ask, ark };
  return { pdh, pek, oca, cek, ...amd };
}

function splitCertificates(file: CertificateFile): (SevCertificate | AmdCertificate)[] {
  const source = fromText(file);
  if (source.length === 0) throw noCertificate(file.name, 0);
  const found: (SevCertificate | AmdCertificate)[] = [];
  for (let at = 0; at < source.length; ) {
    const name = at === 0 ? file.name : `${file.name} at byte ${at}`;
    const sev = startsCertificate(source, at);
    if (!sev && !startsAmdCertificate(source, at)) throw noCertificate(file.name, at);
    const size = sev ? CERTIFICATE_SIZE : amdCertificateSize(source, at, name);
    const bytes = source.subarray(at, at + size);
    found.push(sev ? parseCertificate(bytes, name) : parseAmdCertificate(bytes, name));
    at += size;
  }
  return found;
}

/** QEMU and libvirt print certificates in base64; every certificate begins with version 1 as four bytes. */
function fromText(file: CertificateFile): Uint8Array {
  const { bytes, name } = file;
  if (!BASE64_OF_VERSION_1.every((byte, i) => bytes[i] === byte)) return bytes;
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  try {
    return base64ToBytes(text.replaceAll(/[ \t\r\n]/g, ''));
  } catch (cause) {
    throw new BootsealError('format', `${name}: begins as base64 but is not`, {
      hint: 'give the file as it was exported: binary, or base64 without line breaks',
      cause,
    });
  }
}

function choose(before: Found, now: Found): Found {
  const [a, b] = [before.certificate, now.certificate];
  if (sameBytes(a.bytes, b.bytes)) return before;
  if (isCek(a) && isCek(b) && sameBytes(keyField(a), keyField(b))) {
    const signed = ({ signatures }: SevCertificate) => signatures.some(({ usage }) => usage === USAGE.ask);
    if (signed(a) !== signed(b)) return signed(a) ? before : now;
  }
  throw new BootsealError('usage', `${before.file} and ${now.file} hold two different ${a.usage} certificates`, {
    hint: 'give the certificates of one platform only, and leave old ones out',
  });
}

function isCek(certificate: SevCertificate | AmdCertificate): certificate is SevCertificate {
  return certificate.usage === 'cek';
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function noCertificate(file: string, at: number): BootsealError {
  return new BootsealError('format', `${file}: there is no SEV certificate at byte ${at}`, {
    hint: "SEV and SEV-ES have AMD's own certificate format, not the X.509 of SEV-SNP",
  });
}
