/** @module `bootseal image extract`: the decrypted data of an image, as a raw file. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { readPlaintext } from '../core/luks/data.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import { streamNewFile } from '../host/new-file.ts';
import { nodeSectorCrypto } from '../host/node-luks.ts';
import { type ImageInput, type OpeningOptions, openImage, withImage } from './image-input.ts';
import { addOpeningOptions } from './image-opening-options.ts';
import { holdAgainstManifest } from './image-pinned.ts';
import { checkVerityOptions, type VerityInputOptions } from './image-verity-input.ts';
import { type Io, printResult, remark, resolvePath } from './io.ts';
import { checkOutputs } from './outputs.ts';
import { secretFile } from './secret-file.ts';

interface Output {
  readonly out: string;
  readonly force?: true;
  readonly json?: true;
}

interface Options extends VerityInputOptions, Partial<OpeningOptions>, Output {}

/** Returns the command. */
export function imageExtractCommand(io: Io): Command {
  const command = new Command('extract')
    .summary('decrypt an image to a raw file')
    .description(
      'Decrypt the data of a LUKS1 or LUKS2 image of any tool to a raw file. Data with integrity tags come out only if every tag is right. Without a key, take the data of a disk with a hash tree (dm-verity), if every block is that of the root hash.',
    )
    .argument('<image>', 'image or block device');
  return addOpeningOptions(command)
    .requiredOption('--out <file>', 'new file for the data, readable only by its owner')
    .option('--force', 'replace the file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal image extract disk.img --key-file disk.key --out root.raw
  bootseal image extract disk.img --header disk.hdr --key-file disk.key --out root.raw
  bootseal image extract verity.img --out root.raw`,
    )
    .action((file: string, options: Options) => extract(io, file, options));
}

async function extract(io: Io, file: string, { keyFile, ...options }: Options): Promise<void> {
  if (keyFile !== undefined) return extractEncrypted(io, file, { ...options, keyFile });
  checkVerityOptions(options);
  const { extractVerity } = await import('./image-verity-extract.ts');
  return extractVerity(io, file, options);
}

async function extractEncrypted(io: Io, file: string, options: OpeningOptions & Output): Promise<void> {
  const out = resolvePath(io, secretFile(options.out));
  await checkOutputs(io, [options.out], [file, `${file}.json`, options.header, options.keyFile]);
  await withImage(io, file, options, async (input) => {
    for (const { message } of checkHeaderPolicy(input.header)) remark(io, 'warning', message);
    for (const problem of await pinWarnings(io, file, input)) remark(io, 'warning', problem);
    const { data, volumeKey, keyslot } = await openImage(io, input, options);
    const done = { keyslot, bytes: data.size };
    const text =
      options.json === true
        ? `${JSON.stringify(done)}\n`
        : `${done.bytes} bytes decrypted with the key of keyslot ${done.keyslot}\n`;
    const produce = async (write: (bytes: Uint8Array) => Promise<void>) => {
      for await (const piece of readPlaintext(input.image, data, volumeKey, nodeSectorCrypto)) {
        await write(piece);
        wipe(piece);
      }
    };
    try {
      await streamNewFile(out, 0o600, options.force === true, produce, () => printResult(io, text));
    } finally {
      wipe(volumeKey);
    }
  });
}

/** A manifest that cannot be read keeps nobody from the data. */
async function pinWarnings(io: Io, file: string, input: ImageInput): Promise<readonly string[]> {
  try {
    return (await holdAgainstManifest(io, file, input)).problems;
  } catch (error) {
    if (error instanceof BootsealError) return [error.message];
    throw error;
  }
}
