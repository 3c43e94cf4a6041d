/** @module What the headers of both versions are made from. */
import type { LuksCrypto } from './keyslot.ts';
import type { PlanOptions, Random } from './plan.ts';
import type { PlainSectors, TaggedSectors } from './plan-sectors.ts';

/** What a header is made from. */
export interface HeaderInputs {
  readonly options: PlanOptions;
  readonly uuid: string;
  /** How the data are encrypted, with the volume key. */
  readonly sectors: PlainSectors | TaggedSectors;
  readonly random: Random;
  readonly crypto: LuksCrypto;
}

/** A header as its parts, in the order in which they should be written. */
export type HeaderParts = readonly { readonly at: number; readonly bytes: Uint8Array }[];

/** Of keyslot areas. */
export const AREA_ENCRYPTION = 'aes-xts-plain64';

/** Of key derivation, digest and anti-forensic splitter. */
export const HASH = 'sha256';

/** The volume key has full entropy, so that its digest needs no cost: the least that cryptsetup makes. */
export const DIGEST_ITERATIONS = 1000;
