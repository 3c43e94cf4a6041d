/** @module Options of `bootseal image build` about the shape of the disk around the encrypted data. */
import { type Command, Option } from 'commander';
import { ext4Units } from '../core/disk/ext4-blocks.ts';
import { ARCHITECTURES, type Architecture } from '../core/disk/partition-types.ts';
import { qcow2Image } from '../core/disk/qcow2.ts';
import { bareDisk, type DiskPlan, type GptOptions, gptDisk, sparseDisk } from '../core/disk/shape.ts';
import { BootsealError } from '../core/errors.ts';
import type { Manifest } from '../core/luks/manifest.ts';
import type { Plan } from '../core/luks/plan.ts';
import { readEspFolder } from '../host/image/esp-folder.ts';
import { type RawSource, sourceDisk } from '../host/image/source.ts';
import { type Io, resolvePath } from './io.ts';
import { parseSize } from './size.ts';

/** What commander makes of them. */
export interface ShapeOptions {
  readonly shape?: 'luks' | 'gpt';
  readonly arch?: Architecture;
  readonly esp?: string;
  readonly espSize?: string;
  readonly format?: 'raw' | 'qcow2';
  readonly sparse?: boolean;
  readonly verity?: boolean;
}

const VERITY_HELP =
  'a read-only disk with a hash tree (dm-verity) instead: not encrypted, and trusted by its root hash on the measured command line';

const SPARSE_HELP =
  'leave out the free blocks of ext4. The host then sees which blocks are in use, how much that is, that it is ext4, and later how it grows';

/** Adds the options. */
export function addShapeOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--shape <shape>',
        'only the LUKS image, or a GPT in which it is the root (default: luks; with --verity only data and tree)',
      ).choices(['luks', 'gpt']),
    )
    .addOption(new Option('--arch <name>', 'whose root it is, in a GPT (default: x86-64)').choices(ARCHITECTURES))
    .option('--esp <folder>', 'put an EFI system partition with these files into the GPT; they are not encrypted')
    .option('--esp-size <bytes>', 'its size, such as 512M (default: twice its files, 64M at least)')
    .addOption(
      new Option('--format <format>', 'of the file that the disk is in (default: raw)').choices(['raw', 'qcow2']),
    )
    .option('--sparse', SPARSE_HELP)
    .option('--verity', VERITY_HELP);
}

/** Puts shape and format around a plan; throws `usage` for options that do not go together. */
export async function shapeDisk(io: Io, options: ShapeOptions, plan: Plan, source: RawSource): Promise<DiskPlan> {
  const whole = await partitioned(io, options, plan);
  if (options.sparse === true && source.stream !== undefined) {
    throw new BootsealError('usage', '--sparse needs a file: what is in use is known only at many places of it', {
      hint: 'write the image to a file first, or leave --sparse out',
    });
  }
  const disk = options.sparse === true ? sparseDisk(whole, await ext4Units(sourceDisk(source))) : whole;
  return options.format === 'qcow2' ? qcow2Image(disk) : disk;
}

async function partitioned(io: Io, options: ShapeOptions, plan: Plan): Promise<DiskPlan> {
  const gpt = await gptOptions(io, options);
  return gpt === undefined ? bareDisk(plan) : gptDisk(plan, gpt, io.randomBytes);
}

/** Returns what is wanted of a GPT, undefined for none; throws `usage` for options that do not go together. */
export async function gptOptions(io: Io, options: ShapeOptions): Promise<GptOptions | undefined> {
  const { shape, arch = 'x86-64', esp, espSize } = options;
  if (shape !== 'gpt') {
    const needless = options.arch ?? esp ?? espSize;
    if (needless !== undefined) {
      throw new BootsealError('usage', '--arch, --esp and --esp-size need --shape gpt', {
        hint: 'add --shape gpt, or leave them out',
      });
    }
    return undefined;
  }
  if (espSize !== undefined && esp === undefined) {
    throw new BootsealError('usage', '--esp-size needs --esp', {
      hint: 'name the folder for the partition with --esp, or leave --esp-size out',
    });
  }
  const size = espSize === undefined ? undefined : parseSize(espSize, '--esp-size');
  const files = esp === undefined ? undefined : await readEspFolder(resolvePath(io, esp));
  return { architecture: arch, esp: files === undefined ? undefined : { files, size } };
}

/** Returns lines about format and partitions, for people. */
export function shapeLines(manifest: Manifest): string[][] {
  const { imageFormat, diskBytes } = manifest;
  const format = imageFormat === 'raw' ? [] : [[imageFormat, `a disk of ${diskBytes} bytes`]];
  return [...format, ...partitionLines(manifest)];
}

/** Returns a line for each partition. */
export function partitionLines({ partitionTable }: Pick<Manifest, 'partitionTable'>): string[][] {
  return (partitionTable?.partitions ?? []).map(({ number, name, offset, bytes }) => [
    number === 1 ? 'GPT' : '',
    `partition ${number}, ${name}: ${bytes} bytes at ${offset}`,
  ]);
}
