/** @module Digests: whether bytes are the volume key (LUKS2 On-Disk Format Specification 1.1.4, section 3.4; the same in LUKS1). */
import { equalInConstantTime } from '../bytes.ts';
import { luksHash } from './hashes.ts';
import { checkKdfCost } from './kdf.ts';
import type { LuksCrypto } from './keyslot.ts';

/** PBKDF2 over a volume key. */
export interface KeyDigest {
  readonly hash: string;
  readonly iterations: number;
  /** 32 bytes. */
  readonly salt: Uint8Array;
  /** 20 bytes in LUKS1, the length of the hash in LUKS2. */
  readonly digest: Uint8Array;
}

/** Returns the digest of `size` bytes of a volume key; throws `format` naming `where` for an unknown hash or too high a cost. */
export async function computeDigest(
  key: Uint8Array,
  parameters: Omit<KeyDigest, 'digest'>,
  size: number,
  where: string,
  { kdfs, limits }: LuksCrypto,
): Promise<Uint8Array> {
  const hash = luksHash(parameters.hash, where);
  checkKdfCost({ type: 'pbkdf2', ...parameters }, where, limits);
  return kdfs.pbkdf2(hash, key, parameters.salt, parameters.iterations, size);
}

/** Says whether `key` is the one of the digest; throws as {@link computeDigest}. */
export async function isKeyOf(digest: KeyDigest, key: Uint8Array, where: string, crypto: LuksCrypto): Promise<boolean> {
  const found = await computeDigest(key, digest, digest.digest.length, where, crypto);
  return equalInConstantTime(found, digest.digest);
}
