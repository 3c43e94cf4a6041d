/** @module `bootseal image verify` of a disk with a hash tree (dm-verity): every block against the root hash. */
import { checkVerity } from '../core/disk/check-verity.ts';
import { BootsealError } from '../core/errors.ts';
import { detectFilesystem } from '../core/filesystem.ts';
import { bytesToHex } from '../core/hex.ts';
import { blockDigest } from '../host/image/verity-hash.ts';
import {
  neitherKeyNorTree,
  pinnedProblems,
  type VerityInput,
  type VerityInputOptions,
  wantedRootHash,
  withVerity,
} from './image-verity-input.ts';
import { type Io, printableLines } from './io.ts';

interface Options extends VerityInputOptions {
  readonly json?: true;
}

/** What was found; a problem is one sentence without a full stop. */
interface Verdict {
  readonly rootHash: string;
  readonly dataBytes: number;
  readonly blockBytes: number;
  /** Blocks of data that do not match the tree. */
  readonly wrongBlocks: number;
  /** Blocks of data below a part of the tree that does not match. */
  readonly unknownBlocks: number;
  /** What the data start as; null when that is nothing known, or not to be believed. */
  readonly filesystem: string | null;
  readonly problems: readonly string[];
}

/** Problems that are named one by one. */
const NAMED = 8;

/** Checks the disk and prints the verdict. Throws `mismatch` for every problem, as withVerity and wantedRootHash. */
export async function verifyVerity(io: Io, file: string, options: Options): Promise<void> {
  const verdict = await withVerity(io, file, options, (input) => judge(input, wantedRootHash(input, options)));
  if (verdict === undefined) throw neitherKeyNorTree();
  io.stdout.write(options.json === true ? `${JSON.stringify(verdict)}\n` : verdictText(verdict));
  const [first] = verdict.problems;
  if (first !== undefined) {
    throw new BootsealError('mismatch', `the disk is not to be trusted: ${first}`, {
      hint: 'compare it with a copy that you made yourself, or build it again',
    });
  }
}

async function judge(input: VerityInput, rootHash: Uint8Array): Promise<Verdict> {
  const { verity } = input;
  const named: string[] = [];
  let [all, wrongBlocks, unknownBlocks] = [0, 0, 0];
  let filesystem: string | null = null;
  const found = (count: number, problem: () => string) => {
    all += count;
    if (named.length < NAMED) named.push(problem());
  };
  for await (const piece of checkVerity(input, verity, rootHash, blockDigest(verity))) {
    if (piece.kind === 'data') {
      if (piece.at === 0 && piece.wrong.length === 0) filesystem = detectFilesystem(piece.bytes) ?? null;
      wrongBlocks += piece.wrong.length;
      for (const block of piece.wrong) found(1, () => `block ${block} of the data does not match`);
    } else if (piece.kind === 'hashes') {
      unknownBlocks += piece.dataBlocks;
      found(1, () =>
        piece.level === verity.levels.length - 1
          ? 'the tree is not the one of this root hash'
          : `block ${piece.block} of level ${piece.level} of the tree does not match: nothing is known of ${piece.dataBlocks} blocks of data from ${piece.firstData}`,
      );
    } else {
      found(1, () => `behind the digests in block ${piece.block} of level ${piece.level} are more: data were cut off`);
    }
  }
  return {
    ...{ rootHash: bytesToHex(rootHash), dataBytes: verity.dataBlocks * verity.dataBlockSize },
    ...{ blockBytes: verity.dataBlockSize, wrongBlocks, unknownBlocks, filesystem },
    problems: [
      ...pinnedProblems(input, rootHash),
      ...named,
      ...(all > named.length ? [`there are ${all} such problems in all`] : []),
    ],
  };
}

function verdictText({ rootHash, dataBytes, blockBytes, filesystem, problems }: Verdict): string {
  const lines = [
    `root hash: ${rootHash}`,
    `data: ${dataBytes} bytes in blocks of ${blockBytes}, not encrypted`,
    `content: ${filesystem ?? 'no file system that is known here'}`,
    ...(problems.length === 0
      ? ['verdict: every block is that of the root hash']
      : problems.map((problem) => `problem: ${problem}`)),
  ];
  return printableLines(lines);
}
