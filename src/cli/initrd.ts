/** @module `bootseal initrd`: look into initrds and add to them. */
import { Command } from 'commander';
import { initrdAddCommand } from './initrd-add.ts';
import { initrdInspectCommand } from './initrd-inspect.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function initrdCommand(io: Io): Command {
  return new Command('initrd')
    .description('Look into initrds, and add files to them without unpacking them.')
    .addCommand(initrdInspectCommand(io))
    .addCommand(initrdAddCommand(io));
}
