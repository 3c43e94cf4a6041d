/** @module Sectors of an image that cannot be ciphertext, and what follows of them. */
import { findUnencrypted } from '../core/luks/ciphertext.ts';
import { type Piece, sectorName } from '../core/luks/data.ts';
import type { NamedClaims } from './image-pinned.ts';

/** Sentences without a full stop; a remark is no reason to mistrust the image. */
export interface Findings {
  readonly problems: readonly string[];
  readonly remarks: readonly string[];
}

/** Counts the sectors of data without tags that cannot be ciphertext. */
export class UnencryptedSectors {
  readonly #sectorSize: number;
  readonly #zeros = { count: 0, first: 0 };
  readonly #plain = { count: 0, first: 0 };
  #sectors = 0;

  constructor(sectorSize: number) {
    this.#sectorSize = sectorSize;
  }

  /** Looks at the next piece. */
  add({ at, cipher }: Piece): void {
    if (cipher === undefined) return;
    this.#sectors += cipher.length / this.#sectorSize;
    const { zeros, plain } = findUnencrypted(cipher, this.#sectorSize);
    for (const [found, all] of [[zeros, this.#zeros] as const, [plain, this.#plain] as const]) {
      if (all.count === 0) all.first = at + (found[0] ?? 0);
      all.count += found.length;
    }
  }

  /** Says what was found: a problem where the manifest says that so much was written, or where nothing is encrypted. */
  judge(claims: NamedClaims | undefined): Findings {
    const [zeros, plain] = [this.#zeros, this.#plain];
    const skipped = claims?.skippedBytes;
    const texts = {
      zeros: this.#text(zeros, 'zeros'),
      plain: this.#text(plain, 'no ciphertext: they repeat, or are text or programs'),
    };
    if (zeros.count + plain.count === this.#sectors && this.#sectors > 0) {
      return { problems: ['no sector of the data is encrypted', ...texts.zeros, ...texts.plain], remarks: [] };
    }
    if (skipped === undefined) return { problems: [], remarks: [...texts.zeros, ...texts.plain] };
    const isMore = zeros.count * this.#sectorSize > skipped;
    const written = skipped === 0 ? 'every sector was written' : `${skipped} bytes were left out`;
    return {
      problems: [
        ...texts.zeros.filter(() => isMore).map((text) => `${text}; ${claims?.name} says that ${written}`),
        ...texts.plain,
      ],
      remarks: [],
    };
  }

  #text({ count, first }: { readonly count: number; readonly first: number }, what: string): readonly string[] {
    if (count === 0) return [];
    const sectors = count === 1 ? 'one sector of the encrypted data is' : `${count} sectors of the encrypted data are`;
    return [`${sectors} ${what}; the first is ${sectorName(first, { sectorSize: this.#sectorSize })}`];
  }
}
