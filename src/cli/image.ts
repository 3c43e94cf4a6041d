/** @module `bootseal image`: encrypted disks. */
import { Command } from 'commander';
import { imageBuildCommand } from './image-build.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function imageCommand(io: Io): Command {
  return new Command('image').description('Make encrypted disks.').addCommand(imageBuildCommand(io));
}
