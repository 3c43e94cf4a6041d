/** @module `bootseal initrd hooks`: what a system needs so that its own program puts bootseal into its initrds. */
import * as fs from 'node:fs/promises';
import { Command, Option } from 'commander';
import type { AddedFile } from '../host/initrd/add-segment.ts';
import { hookFiles, MAKERS, type Maker } from '../host/initrd/templates.ts';
import { ioError } from '../host/io-error.ts';
import { type NewFile, writeNewFolder } from '../host/new-folder.ts';
import { devmemFile, devmemOption } from './devmem-file.ts';
import { type Io, printableLines, printResult, remark } from './io.ts';
import { outFolder } from './out-folder.ts';
import { shellWord } from './shell-words.ts';

interface Options {
  readonly for: Maker;
  readonly out: string;
  readonly devmem?: string;
  readonly force?: true;
  readonly json?: true;
}

/** Returns the step for an initrd that the hooks are no part of; `cryptsetup` names what only opening a disk needs. */
const putAll = (cryptsetup = ''): string =>
  `have it put in as well: ${cryptsetup}cat, head, mkdir, mount, rm, rmdir, sleep, sync, tail, tr, umount and wc`;
const PUT_ALL = putAll('cryptsetup with libgcc_s.so.1 (for Argon2), dmsetup where LVM is on the disk, dd, sha256sum, ');

/** The first step: the units of systemd belong into initrds alone, where no other program has a place for them. */
function firstStep(maker: Maker, folder: string): string {
  if (!maker.startsWith('systemd')) return `as root, in the guest's system: cp -r ${folder}/. /`;
  return `not into the guest's system: have the program that makes the initrd put what is in ${folder} into its root, as dracut --include ${folder} / does`;
}

/** What to do with the folder, after that. */
const NEXT: Readonly<Record<Maker, readonly string[]>> = {
  'initramfs-tools': [
    'there must be cryptsetup and busybox',
    'put root=/dev/mapper/root and the words for bootseal on the command line (docs/guest.md)',
    "put into the guest's /etc/crypttab, in place of any other line for the disk: root UUID=… none luks,initramfs,keyscript=/usr/lib/bootseal/keyscript",
    'update-initramfs -u',
  ],
  dracut: [
    'there must be cryptsetup, and busybox or bootseal-devmem',
    'put root=/dev/mapper/root and the words for bootseal on the command line (docs/guest.md)',
    "dracut --force --add bootseal, or add_dracutmodules+=' bootseal ' in /etc/dracut.conf.d",
  ],
  mkinitcpio: [
    'there must be cryptsetup, and on kernels without efi_secret bootseal-devmem',
    'put root=/dev/mapper/root and the words for bootseal on the command line (docs/guest.md)',
    'put bootseal before filesystems in HOOKS of /etc/mkinitcpio.conf, then mkinitcpio -P',
  ],
  systemd: [PUT_ALL, 'put root=/dev/mapper/root and the words for bootseal on the command line (docs/guest.md)'],
  'systemd-crypttab': [
    PUT_ALL,
    "put into the initrd's /etc/crypttab: root UUID=… /run/bootseal/key luks,header=/run/bootseal/header,keyfile-erase,headless,tries=1",
    'put root=/dev/mapper/root and the words for bootseal on the command line (docs/guest.md)',
  ],
  'systemd-credentials': [
    putAll(),
    'put bootseal.credentials=NAME:GUID,…, systemd.import_credentials=no and where the secrets are on the command line (docs/guest.md)',
    'put into the unit of each service: LoadCredential=NAME:/run/credstore/NAME',
  ],
};

/** Those whose files were booted, but by a stand-in for the program. */
const STOOD_IN_FOR: readonly Maker[] = ['mkinitcpio'];

/** Returns the command. */
export function initrdHooksCommand(io: Io): Command {
  return new Command('hooks')
    .summary('write the hooks for a program that makes initrds')
    .description(
      "Write a folder with what has to be copied into a guest's system, or with systemd into its initrd, so that the program that makes its initrds puts the script that opens the disk into them, and what calls it. The same call gives the same files.",
    )
    .addOption(new Option('--for <program>', 'what makes or runs the initrd').choices(MAKERS).makeOptionMandatory())
    .requiredOption('--out <folder>', 'new folder, laid out as the root of the system, or of the initrd')
    .addOption(devmemOption())
    .option('--force', 'replace the folder, when only files of these names are in it')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
The folder is no part of a system yet: what to do with it is printed.

Examples:
  bootseal initrd hooks --for initramfs-tools --out hooks
  bootseal initrd hooks --for dracut --devmem bootseal-devmem --out hooks`,
    )
    .action(async (options: Options) => hooks(io, options));
}

async function hooks(io: Io, options: Options): Promise<void> {
  const devmem = await devmemFile(io, options.devmem);
  const out = await outFolder(io, options.out, { '--devmem': options.devmem });
  const files = await Promise.all(hookFiles(options.for, devmem).map(readFile));
  const announce = () => report(io, options, files);
  await writeNewFolder(out, files, options.force === true, { folderMode: 0o755, announce });
}

function report(io: Io, options: Options, files: readonly NewFile[]): void {
  if (STOOD_IN_FOR.includes(options.for)) {
    remark(
      io,
      'warning',
      `the files for ${options.for} were run in a guest, but not by ${options.for} itself: try them before you rely on them`,
    );
  }
  const made = files.map(({ name, mode, bytes }) => ({
    name,
    mode: mode.toString(8).padStart(4, '0'),
    bytes: bytes.length,
  }));
  const next = [firstStep(options.for, forShell(options.out)), ...NEXT[options.for]];
  if (options.json === true) {
    printResult(io, `${JSON.stringify({ out: options.out, for: options.for, files: made, next })}\n`);
    return;
  }
  const lines = [
    ...made.map(({ name, mode, bytes }) => `${mode}  ${name}, ${bytes} bytes`),
    'what to do next:',
    ...next.map((step, i) => `  ${i + 1}. ${step}`),
  ];
  printResult(io, printableLines(lines));
}

/** Returns a path as one word of a shell's command that is no option. */
function forShell(path: string): string {
  return shellWord(path.startsWith('-') ? `./${path}` : path);
}

async function readFile({ name, from, mode = 0o644 }: AddedFile): Promise<NewFile> {
  try {
    return { name, mode, bytes: await fs.readFile(from) };
  } catch (cause) {
    throw ioError(cause, from, 'read');
  }
}
