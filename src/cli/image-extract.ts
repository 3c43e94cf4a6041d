/** @module `bootseal image extract`: the decrypted data of an image, as a raw file. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { readPlaintext } from '../core/luks/data.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import { streamNewFile } from '../host/files.ts';
import { nodeSectorCrypto } from '../host/node-luks.ts';
import {
  HEADER_HELP,
  KEY_FILE_HELP,
  KEYSLOT_HELP,
  type OpeningOptions,
  openImage,
  PARTITION_HELP,
  parseKeyslot,
  parsePartition,
  withImage,
} from './image-input.ts';
import { type Io, remark, resolvePath } from './io.ts';
import { secretFile } from './secret-file.ts';

interface Options extends OpeningOptions {
  readonly out: string;
  readonly force?: true;
  readonly json?: true;
}

/** Returns the command. */
export function imageExtractCommand(io: Io): Command {
  return new Command('extract')
    .summary('decrypt an image to a raw file')
    .description(
      'Decrypt the data of a LUKS1 or LUKS2 image of any tool to a raw file. Data with integrity tags come out only if every tag is right.',
    )
    .argument('<image>', 'image or block device')
    .requiredOption('--key-file <file>', KEY_FILE_HELP)
    .requiredOption('--out <file>', 'new file for the decrypted data, readable only by its owner')
    .option('--header <file>', HEADER_HELP)
    .option('--partition <number>', PARTITION_HELP, parsePartition)
    .option('--keyslot <number>', KEYSLOT_HELP, parseKeyslot)
    .option('--force', 'replace the file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal image extract disk.img --key-file disk.key --out root.raw
  bootseal image extract disk.img --header disk.hdr --key-file disk.key --out root.raw`,
    )
    .action((file: string, options: Options) => extract(io, file, options));
}

async function extract(io: Io, file: string, options: Options): Promise<void> {
  const out = resolvePath(io, secretFile(options.out));
  const done = await withImage(io, file, options, async (input) => {
    for (const { message } of checkHeaderPolicy(input.header)) remark(io, 'warning', message);
    const { data, volumeKey, keyslot } = await openImage(io, input, options);
    try {
      await streamNewFile(out, 0o600, options.force === true, async (write) => {
        for await (const piece of readPlaintext(input.image, data, volumeKey, nodeSectorCrypto)) {
          await write(piece);
          wipe(piece);
        }
      });
      return { keyslot, bytes: data.size };
    } finally {
      wipe(volumeKey);
    }
  });
  io.stdout.write(
    options.json === true
      ? `${JSON.stringify(done)}\n`
      : `${done.bytes} bytes decrypted with the key of keyslot ${done.keyslot}\n`,
  );
}
