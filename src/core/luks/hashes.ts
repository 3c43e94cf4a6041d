/** @module The hash functions that LUKS headers name. */
import { sha1 } from '@noble/hashes/legacy.js';
import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js';
import { BootsealError } from '../errors.ts';
import { quoted } from './quote.ts';

const HASHES = { sha1, sha256, sha384, sha512 } as const;

/** Name of a hash function that is known here. */
export type LuksHash = keyof typeof HASHES;

/** A hash function of `@noble/hashes`. */
export type NobleHash = (typeof HASHES)[LuksHash];

/** Returns `name` as a known hash function; throws `format` naming `where` when it is none. */
export function luksHash(name: string, where: string): LuksHash {
  if (Object.hasOwn(HASHES, name)) return name as LuksHash;
  throw new BootsealError('format', `${where}: the hash ${quoted(name)} is not known`, {
    hint: `known are ${Object.keys(HASHES).join(', ')}; cryptsetup opens images with others`,
  });
}

/** Returns the implementation of a hash function. */
export function nobleHash(name: LuksHash): NobleHash {
  return HASHES[name];
}
