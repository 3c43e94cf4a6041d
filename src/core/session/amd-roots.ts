/**
 * @module AMD's root keys (ARK), pinned: SHA-256 of the ARK certificates that the virtee/sev crate ships in
 * src/certs/sev/builtin (commit 9cf2adb, Apache-2.0). They are the certificates that AMD publishes beside its processors'
 * documentation, and nothing but these five is ever taken for AMD.
 */
import { BootsealError } from '../errors.ts';

/** Generations of AMD EPYC processors by their code names. */
export type RootName = 'naples' | 'rome' | 'milan' | 'genoa' | 'turin';

const FINGERPRINT: Readonly<Record<RootName, string>> = {
  naples: 'dedabca561e1dece8cc00b7bda864cf5f20b95017864408cfe18eaee0dce24b9',
  rome: '865977b268c16d5b27772b00aaefb4e737ba9499e818ed8e9f65b0cecefbc529',
  milan: '1246469862b78a7a8625579b0378d1f8e975eb8b82a1623b579d7968a5969888',
  genoa: '8f4e3fd36589c23f1fe0c8338465bac7e2e066d97fc92f228bbee4fd356fb674',
  turin: 'f6405e5096a6eee1eb7d5df75c49f9b9f7c8357a31c7fff150149d68588a7bf7',
};

/** Returns whose ARK certificate has this SHA-256 (64 lower-case hexadecimal digits), `undefined` when it is none of AMD's. */
export function rootWithFingerprint(sha256: string): RootName | undefined {
  return (Object.keys(FINGERPRINT) as RootName[]).find((name) => FINGERPRINT[name] === sha256);
}

/** Reads root names joined by commas, in upper or lower case; throws `usage` for anything else. */
export function parseRoots(text: string): RootName[] {
  return text
    .toLowerCase()
    .split(',')
    .map((name) => {
      if (isRoot(name)) return name;
      throw new BootsealError('usage', `${JSON.stringify(name.slice(0, 32))} is none of AMD's roots`, {
        hint: `give names out of ${Object.keys(FINGERPRINT).join(', ')}, joined by commas`,
      });
    });
}

const isRoot = (name: string): name is RootName => Object.hasOwn(FINGERPRINT, name);
