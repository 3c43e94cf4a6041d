/** @module `bootseal launch`: prepare one, and bring the secret in. */
import { Command } from 'commander';
import type { Io } from './io.ts';
import { launchInjectCommand } from './launch-inject.ts';
import { launchPrepareCommand } from './launch-prepare.ts';

/** Builds the command. */
export function launchCommand(io: Io): Command {
  return new Command('launch')
    .description('Prepare one launch from a description, and bring the secrets in once it is verified.')
    .addCommand(launchPrepareCommand(io))
    .addCommand(launchInjectCommand(io))
    .addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  bootseal launch prepare launch.yaml --out launch
  bootseal launch inject --record launch/record.json --qmp launch/qmp.sock --secret disk-passphrase=passphrase`;
