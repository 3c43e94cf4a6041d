/** @module `bootseal image inspect`: what the header of an image says, without any key. */
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { describeImage } from './image-description.ts';
import { HEADER_HELP, type ImageOptions, PARTITION_HELP, parsePartition, withImage } from './image-input.ts';
import { containerText, describePartition } from './image-partition.ts';
import { describeTags, tagsLines } from './image-tags.ts';
import { imageText } from './image-text.ts';
import type { Io } from './io.ts';

interface Options extends ImageOptions {
  readonly json?: true;
}

/** Returns the command. */
export function imageInspectCommand(io: Io): Command {
  return new Command('inspect')
    .summary('show what the header of an image says')
    .description(
      'Show the keyslots, ciphers, segments and tokens of a LUKS1 or LUKS2 image of any tool, whether both copies of its header agree, and whether a guest may trust what it says. No key is needed. Of a disk with a hash tree (dm-verity), show what its superblock says.',
    )
    .argument('<image>', 'image, block device, or file of a detached header')
    .option('--header <file>', HEADER_HELP)
    .option('--partition <number>', PARTITION_HELP, parsePartition)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal image inspect disk.img
  bootseal image inspect disk.img --header disk.hdr
  bootseal image inspect disk.img --json`,
    )
    .action((file: string, options: Options) => inspect(io, file, options));
}

async function inspect(io: Io, file: string, options: Options): Promise<void> {
  const found = await describeLuks(io, file, options);
  if (found === undefined) return;
  const tags = tagsLines(found.tags).map((line) => `${line}\n`);
  const text = `${containerText(found)}${imageText(found)}${tags.join('')}`;
  io.stdout.write(options.json === true ? `${JSON.stringify(found)}\n` : text);
}

/** Describes an encrypted image; undefined for a disk with a hash tree, of which everything is said then. */
async function describeLuks(io: Io, file: string, options: Options) {
  try {
    return await withImage(io, file, options, async (input) => ({
      ...describeImage(input.header),
      imageFormat: input.format,
      partition: describePartition(input.partition),
      tags: await describeTags(input),
    }));
  } catch (error) {
    const mayBeOther = options.header === undefined && options.partition === undefined;
    if (!(error instanceof BootsealError) || error.kind !== 'format' || !mayBeOther) throw error;
    const { inspectVerity } = await import('./image-verity-inspect.ts');
    if (await inspectVerity(io, file, options.json === true)) return undefined;
    throw error;
  }
}
