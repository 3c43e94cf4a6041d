/** @module An ID block and whose it is, for people and for programs. */
import type { IdOwners } from '../core/attestation/id-auth.ts';
import type { IdBlockFields } from '../core/attestation/id-block.ts';
import { describeSnpPolicy } from '../core/attestation/snp-policy.ts';
import { bytesToHex } from '../core/hex.ts';

/** What was checked. */
export type SignedBlock = IdBlockFields & IdOwners;

/** Returns the lines for a person. */
export function idBlockText(block: SignedBlock): string {
  const { policy, guestSvn, authorKeyDigest } = block;
  const rows = [
    ['digest', bytesToHex(block.launchDigest)],
    ['policy', `0x${policy.toString(16)} (${describeSnpPolicy(policy)})`],
    ['guest SVN', `${guestSvn}`],
    ['family ID', bytesToHex(block.familyId)],
    ['image ID', bytesToHex(block.imageId)],
    ['ID key', bytesToHex(block.idKeyDigest)],
    ['author key', authorKeyDigest === undefined ? 'none' : bytesToHex(authorKeyDigest)],
  ];
  return rows.map(([name = '', value]) => `${name.padEnd(12)}${value}\n`).join('');
}

/** Returns the object of `--json`. */
export function idBlockJson(block: SignedBlock): Readonly<Record<string, unknown>> {
  const { policy, guestSvn, authorKeyDigest } = block;
  return {
    digest: bytesToHex(block.launchDigest),
    policy: `0x${policy.toString(16)}`,
    guestSvn,
    familyId: bytesToHex(block.familyId),
    imageId: bytesToHex(block.imageId),
    idKeyDigest: bytesToHex(block.idKeyDigest),
    authorKeyDigest: authorKeyDigest === undefined ? null : bytesToHex(authorKeyDigest),
  };
}
