/**
 * @module The codes by which certificates name the use of a key and its algorithm (AMD SEV API 55766, appendix C.1;
 * amd/AMD-ASPFW fw/psp_bl_uapps/sev_uapp/src/sev_cert.h).
 */
import type { SignatureHash } from './public-key.ts';

/** What a key is for; the number is its code. */
export const USAGE = { ark: 0x0, ask: 0x13, oca: 0x1001, pek: 0x1002, pdh: 0x1003, cek: 0x1004 } as const;

/** The place of a certificate in a platform's chain. */
export type Usage = keyof typeof USAGE;

/** The places that hold certificates in the SEV format; the others are in the format of AMD's authorities. */
export type SevUsage = Exclude<Usage, 'ark' | 'ask'>;

/** The usage that marks an empty place for a signature. */
export const USAGE_NONE = 0x1000;
/** The algorithm that marks an empty place for a signature. */
export const ALGORITHM_NONE = 0;

/** Algorithms and their codes: RSA is RSA-PSS. */
export const ALGORITHM = {
  rsaSha256: 0x001,
  ecdsaSha256: 0x002,
  ecdhSha256: 0x003,
  rsaSha384: 0x101,
  ecdsaSha384: 0x102,
  ecdhSha384: 0x103,
} as const;

/** The code of an algorithm, as a certificate states it for its key and for its signatures. */
export type Algorithm = (typeof ALGORITHM)[keyof typeof ALGORITHM];

const RSA: readonly number[] = [ALGORITHM.rsaSha256, ALGORITHM.rsaSha384];
const ECDSA: readonly number[] = [ALGORITHM.ecdsaSha256, ALGORITHM.ecdsaSha384];
const ECDH: readonly number[] = [ALGORITHM.ecdhSha256, ALGORITHM.ecdhSha384];

/** RSA is there for platform owners: the platform's own keys are all on elliptic curves. */
const SUITABLE: Readonly<Record<SevUsage, readonly number[]>> = {
  cek: ECDSA,
  oca: [...ECDSA, ...RSA],
  pek: ECDSA,
  pdh: ECDH,
};

/** Returns the name of a usage code, `undefined` for a code without one. */
export function usageOf(code: number): Usage | undefined {
  return (Object.keys(USAGE) as Usage[]).find((usage) => USAGE[usage] === code);
}

/** Says whether a code is an algorithm that a key of this usage may have. */
export function suits(code: number, usage: SevUsage): code is Algorithm {
  return SUITABLE[usage].includes(code);
}

/** Returns the hash that an algorithm signs. */
export function hashOf(algorithm: Algorithm): SignatureHash {
  return algorithm < ALGORITHM.rsaSha384 ? 'sha256' : 'sha384';
}

/** Says whether an algorithm belongs to RSA keys. */
export function isRsa(algorithm: Algorithm): boolean {
  return RSA.includes(algorithm);
}

/** Returns the algorithm with which an RSA key of AMD's signs: over SHA-256 for 2048 bits, over SHA-384 for 4096. */
export function rsaAlgorithm(bits: 2048 | 4096): Algorithm {
  return bits === 2048 ? ALGORITHM.rsaSha256 : ALGORITHM.rsaSha384;
}
