/** @module The digest of the pieces of a guest that an IGVM file describes. */
import type { Hashes } from '../hash.ts';
import { MOST_GUEST_BYTES } from '../igvm/directives.ts';
import { igvmRefusal } from '../igvm/refusal.ts';
import type { IgvmPlatformName, Piece } from './igvm-loaders.ts';
import { Mrtd, type MrtdStep } from './mrtd.ts';
import type { Step } from './plan.ts';
import { PAGE_SIZE, SnpDigest } from './snp.ts';

/** Zeros, bytes of many pages: hashing them at once is faster. */
const ZEROS = new Uint8Array(16 * PAGE_SIZE);

/** One step of a plan: for TDX those of MRTD. */
export type IgvmStep = Step | MrtdStep;

/** What grows with every piece. */
interface Growing {
  add(piece: Piece): void;
  value(): Uint8Array;
}

/** Returns the digest, and adds its steps to `steps`, in which neighbours of one name and type are one. Throws `format` beyond 1 GiB. */
export function digestOf(
  platform: IgvmPlatformName,
  pieces: readonly Piece[],
  hashes: Hashes,
  steps?: IgvmStep[],
): Uint8Array {
  const total = pieces.reduce((sum, { length }) => sum + length, 0);
  if (total > MOST_GUEST_BYTES) {
    throw igvmRefusal(`the guest has ${total} bytes of pages, more than the 1 GiB measured here`);
  }
  const growing = startDigest(platform, hashes);
  let run: { piece: Piece; length: number } | undefined;
  const close = () => {
    if (run === undefined) return;
    const { piece, length } = run;
    steps?.push({ name: piece.name, type: stepType(platform, piece), gpa: piece.gpa, length, digest: growing.value() });
  };
  for (const piece of pieces) {
    if (piece.gpa + BigInt(piece.length) > 1n << 64n) throw igvmRefusal(`${piece.name} ends beyond all addresses`);
    if (steps !== undefined) {
      if (run !== undefined && follows(run.piece, run.length, piece)) run.length += piece.length;
      else {
        close();
        run = { piece, length: piece.length };
      }
    }
    growing.add(piece);
  }
  close();
  return growing.value();
}

/** As the plans of each platform have it. */
function stepType(platform: IgvmPlatformName, { type }: Piece): IgvmStep['type'] {
  if (platform === 'tdx') return type === 'normal' ? 'add+extend' : 'add';
  return platform === 'snp' || type === 'vmsa' ? type : 'data';
}

function follows(first: Piece, length: number, next: Piece): boolean {
  return next.name === first.name && next.type === first.type && next.gpa === first.gpa + BigInt(length);
}

function startDigest(platform: IgvmPlatformName, hashes: Hashes): Growing {
  switch (platform) {
    case 'snp':
      return snpDigest(hashes);
    case 'sev':
    case 'sev-es':
      return sevDigest(hashes);
    default:
      return mrtdOf(hashes);
  }
}

function snpDigest(hashes: Hashes): Growing {
  const digest = new SnpDigest(hashes);
  let zeroPage: Uint8Array | undefined;
  return {
    value: () => digest.value(),
    add({ type, gpa, length, contents }) {
      if (type !== 'normal' && type !== 'vmsa') return digest.addWithoutContents(type, gpa, length);
      const { given, zeros } = parts(contents, length);
      if (given.length > 0) digest.add(type, gpa, given);
      // A few bytes of a file can stand for many pages of zeros: these are hashed once.
      if (zeros === 0) return;
      zeroPage ??= hashes.sha384(ZEROS.subarray(0, PAGE_SIZE));
      digest.addRepeated(gpa + BigInt(given.length), zeroPage, zeros);
    },
  };
}

function sevDigest(hashes: Hashes): Growing {
  const hash = hashes.startSha256();
  return {
    value: () => hash.copy().digest(),
    add({ length, contents }) {
      const { given, zeros } = parts(contents, length);
      hash.update(given);
      for (let left = zeros; left > 0; left -= ZEROS.length)
        hash.update(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
    },
  };
}

function mrtdOf(hashes: Hashes): Growing {
  const mrtd = new Mrtd(hashes);
  return {
    value: () => mrtd.value(),
    add({ type, gpa, length, contents }) {
      for (let at = 0; at < length; at += PAGE_SIZE) {
        mrtd.add(gpa + BigInt(at));
        if (type === 'normal') mrtd.extend(gpa + BigInt(at), pageAt(contents, at));
      }
    },
  };
}

/** Pieces have whole pages of contents, or none; behind them are zeros, here as bytes. */
function parts(contents: Uint8Array = NOTHING, length: number): { given: Uint8Array; zeros: number } {
  return { given: contents, zeros: length - contents.length };
}

const NOTHING = new Uint8Array();

function pageAt(contents: Uint8Array | undefined, at: number): Uint8Array {
  return contents !== undefined && at < contents.length
    ? contents.subarray(at, at + PAGE_SIZE)
    : ZEROS.subarray(0, PAGE_SIZE);
}
