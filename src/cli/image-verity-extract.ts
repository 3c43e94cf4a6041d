/** @module `bootseal image extract` of a disk with a hash tree (dm-verity): its data, if every block is that of the root hash. */
import { checkVerity } from '../core/disk/check-verity.ts';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex } from '../core/hex.ts';
import { blockDigest } from '../host/image/verity-hash.ts';
import { streamNewFile } from '../host/new-file.ts';
import { neitherKeyNorTree, type VerityInputOptions, wantedRootHash, withVerity } from './image-verity-input.ts';
import { type Io, printResult, resolvePath } from './io.ts';
import { checkOutputs, outputFile } from './outputs.ts';

interface Options extends VerityInputOptions {
  readonly out: string;
  readonly force?: true;
  readonly json?: true;
}

/** Writes the data to a new file; leaves none when a block does not match. Throws `mismatch`, as withVerity and wantedRootHash. */
export async function extractVerity(io: Io, file: string, options: Options): Promise<void> {
  await checkOutputs(io, [outputFile('--out', options.out)], [file, `${file}.json`]);
  const found = await withVerity(io, file, options, async (input) => {
    const { verity } = input;
    const rootHash = wantedRootHash(input, options);
    const done = { rootHash: bytesToHex(rootHash), bytes: verity.dataBlocks * verity.dataBlockSize };
    const text =
      options.json === true ? `${JSON.stringify(done)}\n` : `${done.bytes} bytes, each block that of the root hash\n`;
    const produce = async (write: (bytes: Uint8Array) => Promise<void>) => {
      for await (const piece of checkVerity(input, verity, rootHash, blockDigest(verity))) {
        if (piece.kind !== 'data') throw wrong('the hash tree is not that of the root hash');
        const [first] = piece.wrong;
        if (first !== undefined) throw wrong(`block ${first} of the data does not match its digest`);
        await write(piece.bytes);
      }
    };
    const announce = () => printResult(io, text);
    await streamNewFile(resolvePath(io, options.out), 0o600, options.force === true, produce, announce);
    return true;
  });
  if (found === undefined) throw neitherKeyNorTree();
}

function wrong(what: string): BootsealError {
  return new BootsealError('mismatch', what, { hint: '`bootseal image verify` says what else is wrong' });
}
