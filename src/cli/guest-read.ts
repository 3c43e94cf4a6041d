/** @module `bootseal guest read`: the bytes of one secret, into a file or a pipe. */
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { Guid } from '../core/guid.ts';
import { secretGuid } from '../core/secret/names.ts';
import { writeNewFile } from '../host/new-file.ts';
import { type SourceOptions, shownName, withSecret, withSource } from './guest-source.ts';
import { type Io, printableLines, printResult, resolvePath } from './io.ts';
import { checkOutputs } from './outputs.ts';

interface Options extends SourceOptions {
  readonly out: string;
  readonly stripNul?: true;
  readonly force?: true;
  readonly json?: true;
}

export const STRIP_NUL_HELP = 'leave out the zero byte at its end, which writers for GRUB add';

/** Returns the command. */
export function guestReadCommand(io: Io): Command {
  return withSource(
    new Command('read')
      .summary('write a secret to a file or a pipe')
      .description('Write the bytes of one secret to a new file that only its owner can read, or to a pipe.')
      .argument('<guid|name>', 'which secret', secretGuid),
  )
    .requiredOption('--out <file>', 'new file for the secret, best in /run; - for a pipe, never a terminal')
    .option('--strip-nul', STRIP_NUL_HELP)
    .option('--force', 'replace the file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
A disk is opened with \`bootseal guest unlock\`, which checks its header: cryptsetup alone takes the one that the host can write.

Examples:
  bootseal guest read 1ee27366-0c87-43a6-af48-28543eaf7cb0 --out /run/tls.key
  bootseal guest read 1ee27366-0c87-43a6-af48-28543eaf7cb0 --out - | ssh-add -`,
    )
    .action(async (guid: Guid, options: Options) => read(io, guid, options));
}

async function read(io: Io, guid: Guid, options: Options): Promise<void> {
  const { out, force, json } = options;
  if (out === '-' && io.stdout.isTTY) {
    throw new BootsealError('usage', 'a secret is not written to a terminal', { hint: 'give --out a file, or a pipe' });
  }
  if (out === '-' && json === true) {
    throw new BootsealError('usage', '--out - and --json exclude each other', {
      hint: 'leave --json out: only the secret goes into the pipe',
    });
  }
  if (out !== '-') await checkOutputs(io, [out], [options.table]);
  await withSecret(io, guid, options, async (value, { source }) => {
    if (out === '-') {
      // A copy: a pipe may take it after the original is wiped.
      io.stdout.write(new Uint8Array(value));
      return;
    }
    const done = { guid, out, bytes: value.length, source: source.kind };
    const text =
      json === true
        ? `${JSON.stringify(done)}\n`
        : printableLines([`${shownName(guid)}  ${out}, ${value.length} bytes`]);
    await writeNewFile(resolvePath(io, out), value, 0o600, force === true, () => printResult(io, text));
  });
}
