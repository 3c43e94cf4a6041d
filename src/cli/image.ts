/** @module `bootseal image`: make encrypted disk images, look into them, check them, take their data out, and change their keys. */
import { Command } from 'commander';
import { imageAddKeyCommand } from './image-add-key.ts';
import { imageBuildCommand } from './image-build.ts';
import { imageExtractCommand } from './image-extract.ts';
import { imageInspectCommand } from './image-inspect.ts';
import { imageRekeyCommand } from './image-rekey.ts';
import { imageRemoveKeyCommand } from './image-remove-key.ts';
import { imageRepairCommand } from './image-repair.ts';
import { imageVerifyCommand } from './image-verify.ts';
import type { Io } from './io.ts';

/** Returns the command. */
export function imageCommand(io: Io): Command {
  return new Command('image')
    .description(
      'Make encrypted disk images, look into those of any tool (LUKS1 and LUKS2), check them, take their data out, and change their keys.',
    )
    .addCommand(imageBuildCommand(io))
    .addCommand(imageInspectCommand(io))
    .addCommand(imageVerifyCommand(io))
    .addCommand(imageExtractCommand(io))
    .addCommand(imageAddKeyCommand(io))
    .addCommand(imageRemoveKeyCommand(io))
    .addCommand(imageRekeyCommand(io))
    .addCommand(imageRepairCommand(io))
    .addHelpText('after', EXAMPLES);
}

const EXAMPLES = `
Examples:
  bootseal image build --from rootfs.tar --new-key disk.key --out disk.img
  bootseal image verify disk.img --key-file disk.key
  bootseal image extract disk.img --key-file disk.key --out root.raw`;
