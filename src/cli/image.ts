/** @module `bootseal image`: make encrypted disk images, look into them, check them, and take their data out. */
import { Command } from 'commander';
import { imageBuildCommand } from './image-build.ts';
import { imageExtractCommand } from './image-extract.ts';
import { imageInspectCommand } from './image-inspect.ts';
import { imageVerifyCommand } from './image-verify.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function imageCommand(io: Io): Command {
  return new Command('image')
    .description(
      'Make encrypted disk images, look into those of any tool (LUKS1 and LUKS2), check them, and take their data out.',
    )
    .addCommand(imageBuildCommand(io))
    .addCommand(imageInspectCommand(io))
    .addCommand(imageVerifyCommand(io))
    .addCommand(imageExtractCommand(io));
}
