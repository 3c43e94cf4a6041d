/**
 * @module Key derivation: the functions themselves are parameters, their cost is bounded here, since a hostile header may ask
 * for years of work or more memory than there is.
 */
import { argon2i, argon2id } from '@noble/hashes/argon2.js';
import { pbkdf2Async } from '@noble/hashes/pbkdf2.js';
import { BootsealError } from '../errors.ts';
import { type LuksHash, luksHash, nobleHash } from './hashes.ts';
import type { Kdf, KnownKdf } from './metadata/keyslots.ts';
import { quoted } from './quote.ts';

/** Cost of Argon2 (RFC 9106): passes, KiB, lanes. */
export interface Argon2Cost {
  readonly time: number;
  readonly memory: number;
  readonly cpus: number;
}

/** The key derivation functions; `size` is in bytes. */
export interface Kdfs {
  pbkdf2(hash: LuksHash, secret: Uint8Array, salt: Uint8Array, iterations: number, size: number): Promise<Uint8Array>;
  argon2(
    type: 'argon2i' | 'argon2id',
    secret: Uint8Array,
    salt: Uint8Array,
    cost: Argon2Cost,
    size: number,
  ): Promise<Uint8Array>;
}

/** The most that a header may ask for. */
export interface KdfLimits {
  /** Of PBKDF2. */
  readonly iterations: number;
  /** Of Argon2: KiB, KiB times passes, lanes. */
  readonly memory: number;
  readonly work: number;
  readonly cpus: number;
}

/**
 * Four times what cryptsetup's default of two seconds comes to on the fastest machines of 2026 for PBKDF2, and for Argon2 the
 * 1 GiB that cryptsetup's benchmark stops at.
 */
export const KDF_LIMITS: KdfLimits = { iterations: 100_000_000, memory: 1 << 20, work: 1 << 25, cpus: 64 };

/** The functions without any platform, from `@noble/hashes`; slow for what a person's passphrase needs. */
export const nobleKdfs: Kdfs = {
  pbkdf2: async (hash, secret, salt, iterations, size) =>
    pbkdf2Async(nobleHash(hash), secret, salt, { c: iterations, dkLen: size }),
  argon2: async (type, secret, salt, { time, memory, cpus }, size) =>
    (type === 'argon2i' ? argon2i : argon2id)(secret, salt, {
      t: time,
      m: memory,
      p: cpus,
      dkLen: size,
      maxmem: 2 ** 32 - 1,
    }),
};

/**
 * Derives the key of a keyslot area.
 *
 * @param where names the keyslot in errors
 * @throws `format` for a function or hash that is not known, or a cost beyond the limits or that the function cannot have
 */
export async function deriveKey(
  kdf: Kdf,
  secret: Uint8Array,
  size: number,
  where: string,
  kdfs: Kdfs,
  limits: KdfLimits,
): Promise<Uint8Array> {
  checkKdfCost(kdf, where, limits);
  if (kdf.type === 'pbkdf2') {
    return kdfs.pbkdf2(luksHash(kdf.hash, where), secret, kdf.salt, kdf.iterations, size);
  }
  return kdfs.argon2(kdf.type, secret, kdf.salt, kdf, size);
}

const KNOWN_HINT = 'known are pbkdf2, argon2i and argon2id; cryptsetup opens images with others';

const COST_HINT =
  'a hostile header can ask for any cost; if this image is your own, lower the cost with cryptsetup luksConvertKey';

/** Refuses a cost beyond the limits, or one that the function cannot have. Throws `format` naming `where`. */
export function checkKdfCost(kdf: Kdf, where: string, limits: KdfLimits): asserts kdf is KnownKdf {
  const problem = kdfCostProblem(kdf, limits);
  if (problem === undefined) return;
  throw new BootsealError('format', `${where}: ${problem}`, { hint: kdf.type === 'foreign' ? KNOWN_HINT : COST_HINT });
}

/** Says what is wrong with the cost of a key derivation, if anything is. */
export function kdfCostProblem(kdf: Kdf, limits: KdfLimits): string | undefined {
  if (kdf.type === 'foreign') return `the key derivation ${quoted(kdf.name)} is not known`;
  if (kdf.type === 'pbkdf2') return tooMuch(kdf.iterations, limits.iterations, 'iterations of PBKDF2');
  const { time, memory, cpus } = kdf;
  // RFC 9106 section 3.1: eight blocks for each lane.
  if (memory < 8 * cpus) return `${memory} KiB are too little for ${cpus} lanes of Argon2`;
  return (
    tooMuch(memory, limits.memory, 'KiB of memory for Argon2') ??
    tooMuch(cpus, limits.cpus, 'lanes of Argon2') ??
    tooMuch(memory * time, limits.work, 'KiB of work (passes times memory) of Argon2')
  );
}

/** Returns which part of the limit a key derivation takes, so that many in one header can be bounded together. */
export function kdfShare(kdf: Kdf, limits: KdfLimits): number {
  if (kdf.type === 'foreign') return 0;
  return kdf.type === 'pbkdf2' ? kdf.iterations / limits.iterations : (kdf.memory * kdf.time) / limits.work;
}

function tooMuch(asked: number, limit: number, what: string): string | undefined {
  return asked > limit ? `asks for ${asked} ${what}, more than the limit of ${limit}` : undefined;
}
