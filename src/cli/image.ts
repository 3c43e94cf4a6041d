/** @module `bootseal image`: look into encrypted disk images, check them, and take their data out. */
import { Command } from 'commander';
import { imageExtractCommand } from './image-extract.ts';
import { imageInspectCommand } from './image-inspect.ts';
import { imageVerifyCommand } from './image-verify.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function imageCommand(io: Io): Command {
  return new Command('image')
    .description('Look into encrypted disk images (LUKS1 and LUKS2, of any tool), check them, and take their data out.')
    .addCommand(imageInspectCommand(io))
    .addCommand(imageVerifyCommand(io))
    .addCommand(imageExtractCommand(io));
}
