/** @module What reading one firmware image may cost, so that a small hostile file cannot keep its reader busy. */
import { BootsealError } from '../errors.ts';

/** The most of everything: several times what the largest firmware in use needs. */
export const MOST = {
  /** Volumes, files (padding too) and sections. */
  parts: 65536,
  /** LZMA streams. */
  streams: 16,
  /** What decompression fills: content and tables of probabilities. */
  bytes: 64 * 2 ** 20,
  /** What decompression decides, bit by bit: content of few bytes each takes nine a byte. */
  bits: 48 * 2 ** 20,
} as const;

type Kind = keyof typeof MOST;

const NAMES: Readonly<Record<Kind, string>> = {
  parts: 'volumes, files and sections',
  streams: 'compressed sections',
  bytes: 'bytes to decompress',
  bits: 'decoded bits',
};

/** What is left for one image; everything that is read from it spends from the same budget. */
export class Budget {
  readonly #limits: Readonly<Record<Kind, number>>;
  readonly #left: Record<Kind, number>;

  constructor(limits: Readonly<Record<Kind, number>> = MOST) {
    this.#limits = limits;
    this.#left = { ...limits };
  }

  left(kind: Kind): number {
    return this.#left[kind];
  }

  /** Takes `count` off; throws `format`, naming `where`, when that is more than is left. */
  spend(kind: Kind, count: number, where: string): void {
    if (count > this.#left[kind]) {
      throw new BootsealError('format', `${where}: more than ${this.#limits[kind]} ${NAMES[kind]} in one image`, {
        hint: 'firmware in use needs far less; this file is damaged or made to stall whoever reads it',
      });
    }
    this.#left[kind] -= count;
  }
}
