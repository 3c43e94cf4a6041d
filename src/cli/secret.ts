/** @module `bootseal secret`: build, inspect and open secret packets. */
import { Command } from 'commander';
import type { Io } from './io.ts';
import { secretBuildCommand } from './secret-build.ts';
import { secretInspectCommand } from './secret-inspect.ts';
import { secretOpenCommand } from './secret-open.ts';

/** Returns the command. */
export function secretCommand(io: Io): Command {
  return new Command('secret')
    .description('Seal secrets to a verified launch, and look into what was sealed.')
    .addCommand(secretBuildCommand(io))
    .addCommand(secretInspectCommand(io))
    .addCommand(secretOpenCommand(io))
    .addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  bootseal secret build --record launch/record.json --measurement measurement.b64 \\
      --secret disk-passphrase=passphrase.txt --out packet
  bootseal secret inspect packet --tk launch/tk --measurement measurement.b64`;
