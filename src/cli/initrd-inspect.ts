/** @module `bootseal initrd inspect`: the segments of an initrd. */
import { Command } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { quoted } from '../core/luks/quote.ts';
import { withDisk } from '../host/disk.ts';
import { type ReadSegment, readInitrd } from '../host/initrd/read-initrd.ts';
import { type Io, printableLines, resolvePath } from './io.ts';

interface Options {
  readonly json?: true;
}

/** Returns the command. */
export function initrdInspectCommand(io: Io): Command {
  return new Command('inspect')
    .summary('list the segments of an initrd')
    .description(
      'List the archives that an initrd is made of, plain and compressed ones, what they unpack to, and whether files of bootseal are among it. Nothing is unpacked to the disk.',
    )
    .argument('<initrd>', 'initrd')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
gzip is read without help; for others the program of that name is run (xz, zstd, lz4, lzop, bzip2).

Examples:
  bootseal initrd inspect /boot/initrd.img
  bootseal initrd inspect initrd.img --json`,
    )
    .action(async (file: string, options: Options) => inspect(io, file, options));
}

async function inspect(io: Io, file: string, options: Options): Promise<void> {
  if (file === '-') {
    throw new BootsealError('usage', 'an initrd is not read from standard input', {
      hint: 'it is read twice: write it to a file first',
    });
  }
  const { bytes, segments } = await withDisk(resolvePath(io, file), async (disk) => ({
    bytes: disk.size,
    segments: await readInitrd(disk),
  }));
  const ours = segments.flatMap(({ content }) => content?.bootseal ?? []);
  io.stdout.write(
    options.json === true
      ? `${JSON.stringify({ bytes, segments: segments.map(describe), bootseal: ours })}\n`
      : printText(bytes, segments, ours),
  );
}

function describe({ offset, size, compression, endKnown, content, why }: ReadSegment) {
  return { offset, bytes: size, compression, endKnown, content: content ?? null, why: why ?? null };
}

function printText(bytes: number, segments: readonly ReadSegment[], ours: readonly string[]): string {
  const isComplete = segments.every(({ content }) => content !== undefined);
  const lines = [
    ...segments.map(segmentText),
    `${bytes} bytes in ${segments.length} ${segments.length === 1 ? 'segment' : 'segments'}`,
    ...ours.map((name) => `bootseal: ${quoted(name)}`),
    ...(ours.length > 0 ? [] : [`bootseal: no files of it${isComplete ? '' : ' in what could be read'}`]),
  ];
  return printableLines(lines);
}

function segmentText({ offset, size, compression, endKnown, content, why }: ReadSegment): string {
  const form = compression === 'none' ? 'cpio' : `cpio in ${compression}`;
  const end = endKnown ? '' : ' (to the end of the file)';
  if (content === undefined) return `at ${offset}, ${size} bytes${end}: ${form}, not read: ${why}`;
  const marks = [...(content.microcode ? ['microcode'] : []), ...(content.init ? ['init'] : [])];
  const what = marks.length === 0 ? '' : `, with ${marks.join(' and ')}`;
  return `at ${offset}, ${size} bytes${end}: ${form}, ${content.members} members of ${content.bytes} bytes${what}`;
}
