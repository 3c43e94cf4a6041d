/**
 * @module The chain of a platform (AMD SEV API 55766, appendix B): ARK signs ASK, ASK signs CEK, CEK and OCA both sign PEK,
 * PEK signs PDH. Only when all of it holds, up to a root of AMD's, is the PDH a key that never leaves AMD's firmware.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { BootsealError } from '../errors.ts';
import { bytesToHex } from '../hex.ts';
import { type Algorithm, hashOf, rsaAlgorithm, type Usage, usageOf } from './algorithm.ts';
import type { AmdCertificate } from './amd-certificate.ts';
import { type RootName, rootWithFingerprint } from './amd-roots.ts';
import type { SevCertificate } from './certificate.ts';
import type { PublicKey, PublicKeyOperations } from './public-key.ts';
import { verifySignature } from './signature.ts';

/** AMD's part of a chain. */
export interface AmdAuthorities {
  readonly ask: AmdCertificate;
  readonly ark: AmdCertificate;
}

/** All certificates of one platform. */
export interface PlatformCertificates extends AmdAuthorities {
  readonly pdh: SevCertificate;
  readonly pek: SevCertificate;
  readonly oca: SevCertificate;
  readonly cek: SevCertificate;
}

/** The key that a session is made for, and why it is trusted. */
export interface PlatformKey {
  readonly pdh: SevCertificate;
  /** The key that signed it; null when unverified. */
  readonly pek: SevCertificate | null;
  /** False when the owner trusts it without a chain. */
  readonly verified: boolean;
  /** The root of AMD's that the chain ends in, `lab` for a platform of bootseal's lab, which is never verified; null without a chain. */
  readonly root: RootName | 'lab' | null;
}

/** Whoever signs: a certificate's key with its usage and algorithm. */
interface Signer {
  readonly usage: Usage;
  readonly algorithm: Algorithm;
  readonly key: PublicKey;
}

/**
 * Verifies every signature from AMD's pinned root down to the PDH; a key is used only after its own certificate held. Throws
 * `mismatch` and names the certificate that breaks the chain.
 */
export function verifyChain(certificates: PlatformCertificates, publicKey: PublicKeyOperations): PlatformKey {
  const { ark, pek, pdh } = certificates;
  checkUsages(certificates);
  const root = rootWithFingerprint(bytesToHex(sha256(ark.bytes)));
  if (root === undefined) {
    throw new BootsealError('mismatch', "ark: this is none of AMD's root keys, so the whole chain proves nothing", {
      hint:
        ark.keyId === LAB_ROOT_ID
          ? "it is the root of one of bootseal's labs, whose guests are not encrypted: for a rehearsal say --lab instead"
          : "leave ark.cert and ask.cert out to use AMD's own; if it still fails, someone made up the chain",
    });
  }
  checkSignatures(certificates, publicKey);
  return { pdh, pek, verified: true, root };
}

/** Key id by which the root of a lab says what it is: the text `bootseal lab ARK`. */
const LAB_ROOT_ID = '626f6f747365616c206c61622041524b';

/**
 * Verifies the chain of a lab's platform, which proves nothing: its keys lie in a file. The key it gives is marked unverified.
 * Throws `mismatch` for a chain that breaks, and for one whose root does not call itself a lab's.
 */
export function verifyLabChain(certificates: PlatformCertificates, publicKey: PublicKeyOperations): PlatformKey {
  checkUsages(certificates);
  if (certificates.ark.keyId !== LAB_ROOT_ID) {
    throw new BootsealError('mismatch', 'ark: this is not the root of a lab', {
      hint: "--lab takes a folder that bootseal's lab has made; the certificates of a real platform go with --platform-certs",
    });
  }
  checkSignatures(certificates, publicKey);
  return { pdh: certificates.pdh, pek: certificates.pek, verified: false, root: 'lab' };
}

function checkUsages(certificates: PlatformCertificates): void {
  for (const usage of ['ark', 'ask', 'cek', 'oca', 'pek', 'pdh'] as const) {
    const found = certificates[usage].usage;
    if (found !== usage) throw broken(usage, `its key is for use as ${name(found)}`);
  }
}

function checkSignatures(certificates: PlatformCertificates, publicKey: PublicKeyOperations): void {
  const { ark, ask, cek, oca, pek, pdh } = certificates;
  checkAmd(ark, ark, publicKey);
  checkAmd(ask, ark, publicKey);
  checkSev(cek, { usage: 'ask', algorithm: rsaAlgorithm(ask.key.bits), key: ask.key }, publicKey);
  checkSev(oca, oca, publicKey);
  checkSev(pek, cek, publicKey);
  checkSev(pek, oca, publicKey);
  checkSev(pdh, pek, publicKey);
}

/** Refuses a verified chain that ends in another root than those in `accepted`; throws `mismatch`. */
export function checkRoot({ root }: PlatformKey, accepted: readonly RootName[]): void {
  if (root !== null && root !== 'lab' && accepted.includes(root)) return;
  throw new BootsealError('mismatch', `the chain ends in AMD's root ${root}, not in ${accepted.join(' or ')}`, {
    hint: 'the platform is of another processor generation than you accept: ask for a machine of one that you do',
  });
}

/** Takes a PDH without its chain: whoever hands it over may hold its private key, and then reads everything sent to it. */
export function trustUnverified(pdh: SevCertificate): PlatformKey {
  return { pdh, pek: null, verified: false, root: null };
}

/**
 * Returns those of AMD's `known` authorities whose ASK signed this CEK. Throws `mismatch` when the CEK carries no signature of
 * an ASK, or one of none of these.
 */
export function authoritiesOf(
  cek: SevCertificate,
  known: readonly AmdAuthorities[],
  publicKey: PublicKeyOperations,
): AmdAuthorities {
  const signatures = requireSigned(cek, 'ask');
  const found = known.find(({ ask }) => {
    const algorithm = rsaAlgorithm(ask.key.bits);
    return signatures.some(
      (signature) =>
        signature.algorithm === algorithm && verifySignature(ask.key, algorithm, cek.body, signature, publicKey),
    );
  });
  if (found === undefined) throw broken('cek', "it is not signed by any of AMD's signing keys (ASK)");
  return found;
}

function checkAmd(certificate: AmdCertificate, signer: AmdCertificate, publicKey: PublicKeyOperations): void {
  const { usage, key, signature, body } = certificate;
  if (certificate.certifyingId !== signer.keyId) throw broken(usage, 'it names another key as the one that signed it');
  const hash = hashOf(rsaAlgorithm(signer.key.bits));
  if (key.bits !== signer.key.bits || !publicKey.verifyRsaPss(signer.key, hash, body, signature)) {
    throw broken(usage, `the signature of the ${name(signer.usage)} is wrong`);
  }
}

/** Either place may hold the signature: real platforms put that of the OCA first, the specification that of the CEK. */
function checkSev(certificate: SevCertificate, signer: Signer, publicKey: PublicKeyOperations): void {
  const candidates = requireSigned(certificate, signer.usage);
  const suitable = candidates.filter((signature) => signature.algorithm === signer.algorithm);
  if (suitable.length === 0) {
    throw broken(certificate.usage, `the signature's algorithm is not that of the ${name(signer.usage)}'s key`);
  }
  const holds = suitable.some((signature) =>
    verifySignature(signer.key, signer.algorithm, certificate.body, signature, publicKey),
  );
  if (!holds) throw broken(certificate.usage, `the signature of the ${name(signer.usage)} is wrong`);
}

function requireSigned(certificate: SevCertificate, by: Usage): SevCertificate['signatures'] {
  const found = certificate.signatures.filter((signature) => usageOf(signature.usage) === by);
  if (found.length > 0) return found;
  if (certificate.usage !== 'cek') throw broken(certificate.usage, `it is not signed by the ${name(by)}`);
  throw new BootsealError('mismatch', 'cek: it carries no signature of AMD, as the platform itself exports it', {
    hint: "fetch the signed CEK by the processor's id from AMD (https://kdsintf.amd.com/cek/id/ID) and use it as cek.cert",
  });
}

function broken(usage: Usage, reason: string): BootsealError {
  return new BootsealError('mismatch', `${usage}: ${reason}`, {
    hint: 'do not trust this platform: the chain from AMD to its key does not hold',
  });
}

function name(usage: Usage): string {
  return usage.toUpperCase();
}
