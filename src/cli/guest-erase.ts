/** @module `bootseal guest erase`: secrets are taken out of memory, and looked for again. */
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import type { Guid } from '../core/guid.ts';
import { secretGuid } from '../core/secret/names.ts';
import { SHOWN_BY_LIST } from '../guest/source.ts';
import { findFor, type SourceOptions, shownName, withSource } from './guest-source.ts';
import { type Io, printableLines } from './io.ts';

interface Options extends SourceOptions {
  readonly all?: true;
  readonly json?: true;
}

/** Returns the command. */
export function guestEraseCommand(io: Io): Command {
  return withSource(
    new Command('erase')
      .summary('erase secrets from memory')
      .description(
        'Erase secrets where they were injected, as Linux does when their file is removed, and look whether they are gone. What has been read of them before is not erased.',
      )
      .argument('[guid|name...]', 'which secrets', (text: string, before: Guid[] = []) => [
        ...before,
        secretGuid(text),
      ]),
  )
    .option('--all', 'all of them; in memory or a file the whole area, also where no table can be read')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal guest erase disk-passphrase
  bootseal guest erase --all`,
    )
    .action(async (guids: Guid[] | undefined, options: Options) => erase(io, guids ?? [], options));
}

async function erase(io: Io, guids: readonly Guid[], options: Options): Promise<void> {
  const all = options.all === true;
  if (all === guids.length > 0) {
    throw new BootsealError('usage', 'name the secrets to erase, or give --all', { hint: SHOWN_BY_LIST });
  }
  const { source } = await findFor(io, options);
  let erased = guids.length;
  if (all) erased = await source.eraseAll();
  else for (const guid of guids) await source.erase(guid);
  const from = { kind: source.kind, place: source.place };
  const names = all ? `${erased} secrets` : guids.map(shownName).join(', ');
  io.stdout.write(
    options.json === true
      ? `${JSON.stringify({ source: from, erased })}\n`
      : printableLines([`erased from ${source.place}: ${names}`]),
  );
}
