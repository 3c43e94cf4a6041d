/** @module `bootseal initrd`: look into initrds and add to them. */
import { Command } from 'commander';
import { initrdAddCommand } from './initrd-add.ts';
import { initrdHooksCommand } from './initrd-hooks.ts';
import { initrdInspectCommand } from './initrd-inspect.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function initrdCommand(io: Io): Command {
  return new Command('initrd')
    .description(
      'Look into initrds, add files to them without unpacking them, and have them made with what opens the disk.',
    )
    .addCommand(initrdInspectCommand(io))
    .addCommand(initrdAddCommand(io))
    .addCommand(initrdHooksCommand(io))
    .addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  bootseal initrd inspect initrd.img
  bootseal initrd add --base initrd.img --with unlock --out new.img`;
