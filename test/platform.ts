/** @module SEV platforms for tests: real machines, and forged ones whose every key their maker knows (src/lab/psp/certificates.ts). */
import { type ChainBytes, type MadePlatform, makePlatform } from '../src/lab/psp/certificates.ts';
import { fixture } from './fixtures.ts';

export {
  amdCertificate,
  type ChainBytes,
  ECDH_SHA256,
  ECDSA_SHA256,
  RSA_SHA256,
  resign,
  sevCertificate,
  USAGE,
} from '../src/lab/psp/certificates.ts';
export { ecKey } from '../src/lab/psp/new-key.ts';
export const ECDSA_SHA384 = 0x102;
export const RSA_SHA384 = 0x101;

/** Returns the chain of a real machine. */
export function realChain(machine: 'naples' | 'rome'): ChainBytes {
  const amd = (name: string) => fixture(`sev-crate/builtin_sev/${machine}/${name}.cert`);
  const own = (name: string) => fixture(`sev-crate/${machine}/${name}.cert`);
  return { ark: amd('ark'), ask: amd('ask'), cek: own('cek'), oca: own('oca'), pek: own('pek'), pdh: own('pdh') };
}

let forged: MadePlatform | undefined;

/** Returns a complete chain, right in every signature, that ends in a root its maker invented (made once: RSA keys are slow). */
export function forgedPlatform(): MadePlatform {
  forged ??= makePlatform({ ark: new Uint8Array(16).fill(1), ask: new Uint8Array(16).fill(2) });
  return forged;
}
