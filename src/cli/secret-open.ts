/** @module `bootseal secret open`: decrypts a packet with the session's keys, for tests and support. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { writeNewFile } from '../host/new-file.ts';
import { type Io, printableLines, printResult, resolvePath } from './io.ts';
import { MEASUREMENT_HELP } from './measurement-input.ts';
import { checkOutputs } from './outputs.ts';
import { LEGACY_HELP, type OpeningOptions, openFolder, packetInputs } from './packet-folder.ts';
import { secretFile } from './secret-file.ts';

interface Options extends OpeningOptions {
  readonly out: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Returns the command. */
export function secretOpenCommand(io: Io): Command {
  return new Command('open')
    .summary('decrypt a packet with its transport keys')
    .description('Decrypt the packet in a folder of secret build into the plain table, for tests and support.')
    .argument('<folder>', 'folder that secret build wrote')
    .requiredOption('--tk <file>', 'transport keys of the session')
    .requiredOption('--measurement <value>', MEASUREMENT_HELP)
    .requiredOption('--out <file>', 'new file for the table, readable only by its owner')
    .option('--legacy-api', LEGACY_HELP)
    .option('--force', 'replace the file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal secret open --tk launch/tk --measurement measurement.b64 packet --out table.bin
  bootseal secret inspect table.bin`,
    )
    .action(async (folder: string, options: Options) => open(io, folder, options));
}

async function open(io: Io, folder: string, options: Options): Promise<void> {
  const out = secretFile(options.out);
  await checkOutputs(io, [out], [options.tk, options.measurement, ...packetInputs(folder)]);
  const table = await openFolder(io, folder, options);
  const bytes = table.length;
  const text =
    options.json === true ? `${JSON.stringify({ out, bytes })}\n` : printableLines([`table  ${out}, ${bytes} bytes`]);
  try {
    await writeNewFile(resolvePath(io, out), table, 0o600, options.force === true, () => printResult(io, text));
  } finally {
    wipe(table);
  }
}
