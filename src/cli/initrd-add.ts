/** @module `bootseal initrd add`: files into an initrd, as a segment behind it. */
import * as path from 'node:path';
import { Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { type Added, type AddedFile, addSegment } from '../host/initrd/add-segment.ts';
import { isElf } from '../host/initrd/elf.ts';
import { ADDITIONS, type Addition, additionFiles } from '../host/initrd/templates.ts';
import { devmemFile, devmemOption } from './devmem-file.ts';
import { type Io, printableLines, printResult, remark, resolvePath } from './io.ts';
import { checkOutputs } from './outputs.ts';

interface Options {
  readonly base: string;
  readonly out: string;
  readonly with?: Addition;
  readonly devmem?: string;
  readonly file?: readonly AddedFile[];
  readonly module?: readonly string[];
  readonly force?: true;
  readonly json?: true;
}

/** Where modules of the kernel go: loaded in the order of their names. */
const MODULES = 'usr/lib/bootseal/modules';

/** Returns the command. */
export function initrdAddCommand(io: Io): Command {
  const collect =
    <T>(parse: (text: string) => T) =>
    (text: string, before: readonly T[] = []) => [...before, parse(text)];
  return new Command('add')
    .summary('append files to an initrd')
    .description(
      'Append an archive with the given files to an initrd, which is not unpacked and stays as it is. The same input gives the same bytes. Folders and links of the initrd are looked up first: a path leads where it would lead in the booted initrd.',
    )
    .requiredOption('--base <file>', 'initrd to start from')
    .requiredOption('--out <file>', 'new file for the longer initrd')
    .addOption(
      new Option(
        '--with <what>',
        'add the script that opens the disk: unlock for an init that calls /usr/lib/bootseal/unlock, dracut for an initrd of dracut, which will call it',
      ).choices(ADDITIONS),
    )
    .addOption(devmemOption())
    .option('--file <dest=path[,mode]>', 'add this file as DEST; can be repeated', collect(parseFile))
    .option(
      '--module <path.ko>',
      `add this kernel module in ${MODULES}, numbered in the order given; can be repeated`,
      collect((text) => text),
    )
    .option('--force', 'replace the file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Programs are not added with --with: the initrd has to have cryptsetup, sha256sum and others (docs/guest.md).

Examples:
  bootseal initrd add --base initrd.img --with unlock --out new.img
  bootseal initrd add --base initrd.img --with dracut --devmem bootseal-devmem --out new.img
  bootseal initrd add --base initrd.img --file usr/bin/unlock=unlock.sh,0755 --module dm-crypt.ko --out new.img`,
    )
    .action(async (options: Options) => add(io, options));
}

/** Takes `DEST=PATH[,MODE]` apart; throws `usage`. */
function parseFile(text: string): AddedFile {
  const parts = /^([^=]+)=(.+?)(?:,([0-7]{3,4}))?$/s.exec(text);
  if (parts === null) {
    throw new BootsealError('usage', '--file needs the form DEST=PATH or DEST=PATH,MODE', {
      hint: 'for instance --file usr/bin/unlock=unlock.sh,0755',
    });
  }
  const mode = parts[3] === undefined ? undefined : Number.parseInt(parts[3], 8);
  return { name: parts[1] ?? '', from: parts[2] ?? '', mode };
}

async function add(io: Io, options: Options): Promise<void> {
  const { base, out, force, json } = options;
  const modules = await Promise.all((options.module ?? []).map((file, i) => moduleFile(resolvePath(io, file), i)));
  const given = (options.file ?? []).map((file) => ({ ...file, from: resolvePath(io, file.from) }));
  const files = [...(await withFiles(io, options)), ...given, ...modules];
  if (files.length === 0) {
    throw new BootsealError('usage', 'there is nothing to add: give --with, --file or --module', {
      hint: '--with unlock adds what opens the disk',
    });
  }
  if (base === '-' || out === '-') {
    throw new BootsealError('usage', '--base and --out name files', {
      hint: 'write what is on standard input to a file first',
    });
  }
  await checkOutputs(io, [out], [base, ...files.map((file) => file.from)]);
  const [from, to] = [resolvePath(io, base), resolvePath(io, out)];
  await addSegment(from, to, files, force === true, (added) => {
    for (const { name, replaces } of added.files) {
      if (replaces) remark(io, 'note', `${JSON.stringify(name)} takes the place of what the initrd has there`);
    }
    printResult(io, json === true ? `${JSON.stringify({ out, ...added })}\n` : printText(out, added));
  });
}

async function withFiles(io: Io, options: Options): Promise<readonly AddedFile[]> {
  const devmem = await devmemFile(io, options.devmem);
  if (options.with !== undefined) return additionFiles(options.with, devmem);
  if (devmem !== undefined)
    throw new BootsealError('usage', '--devmem belongs to --with', { hint: 'add --with, or leave --devmem out' });
  return [];
}

/** Throws `usage` for more modules than two digits number, and for what a plain insmod cannot load. */
async function moduleFile(file: string, index: number): Promise<AddedFile> {
  if (index > 99) {
    throw new BootsealError('usage', '--module: at most 100 modules', {
      hint: 'leave out those that the initrd has already',
    });
  }
  if (!(await isElf(file))) {
    throw new BootsealError('usage', `${file} is no plain kernel module`, {
      hint: 'a compressed one (.ko.xz, .ko.zst) has to be unpacked first: an initrd may have no program for it',
    });
  }
  return { name: `${MODULES}/${`${index}`.padStart(2, '0')}-${path.basename(file)}`, from: file, mode: 0o644 };
}

function printText(out: string, { bytes, sha256, segment, files }: Added): string {
  const lines = [
    ...files.map(({ name, mode, bytes: size }) => `${mode}  ${name}, ${size} bytes`),
    `${out}: ${bytes} bytes, of which ${segment.bytes} from byte ${segment.offset} are new`,
    `sha256 ${sha256}`,
  ];
  return printableLines(lines);
}
