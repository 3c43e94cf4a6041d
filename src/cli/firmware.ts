/** @module `bootseal firmware`: what a firmware image is, what it can serve, and whether it keeps its promises. */
import { Command, Option } from 'commander';
import { BootsealError } from '../core/errors.ts';
import { describeFirmware, isDescriptor, printDescriptor } from '../core/firmware/descriptor.ts';
import { MAX_FIRMWARE_BYTES, parseFirmware } from '../core/firmware/firmware.ts';
import { inspectFirmware } from '../core/firmware/inspect.ts';
import { FIRMWARE_CLASSES, lintFirmware } from '../core/firmware/lint.ts';
import { servesPlatform } from '../core/firmware/serves.ts';
import { bytesToHex } from '../core/hex.ts';
import type { Platform } from '../core/measurement/measure.ts';
import { writeNewFile } from '../host/new-file.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { inspectionJson, inspectionText, lintJson, lintText } from './firmware-text.ts';
import { type Io, readInput, resolvePath } from './io.ts';
import { checkOutputs } from './outputs.ts';

/** Builds the command. */
export function firmwareCommand(io: Io): Command {
  const command = new Command('firmware').addHelpText('after', EXAMPLES);
  command.addCommand(inspectCommand(io));
  command.addCommand(lintCommand(io));
  return command;
}

const EXAMPLES = `
Examples:
  bootseal firmware inspect OVMF.amdsev.fd
  bootseal firmware lint OVMF.amdsev.fd --platform sev-es`;

interface InspectOptions {
  readonly json?: true;
  readonly descriptor?: true;
  readonly out?: string;
  readonly force?: true;
}

function inspectCommand(io: Io): Command {
  return new Command('inspect')
    .summary('show what a firmware image is and which platforms it can serve')
    .description('Show the tables of a firmware image, which platforms and features it can serve, and why not.')
    .argument('<firmware>', 'the image, as the host gives it to QEMU; - for standard input')
    .option('--json', 'print one JSON object')
    .option('--descriptor', 'print what `measure snp` needs of the image, to be used in its place')
    .option('--out <file>', 'with --descriptor: write to this new file')
    .option('--force', 'with --out: replace the file')
    .addHelpText('after', INSPECT_EXAMPLES)
    .action((file: string, options: InspectOptions) => inspect(io, file, options));
}

const INSPECT_EXAMPLES = `
Examples:
  bootseal firmware inspect OVMF.amdsev.fd
  bootseal firmware inspect OVMF.amdsev.fd --json
  bootseal firmware inspect OVMF.amdsev.fd --descriptor --out amdsev.json
  bootseal measure snp --firmware amdsev.json --vcpus 2 --cpu EPYC-v4`;

async function inspect(io: Io, file: string, options: InspectOptions): Promise<void> {
  if (options.descriptor === undefined && (options.out !== undefined || options.force !== undefined)) {
    throw new BootsealError('usage', '--out and --force go with --descriptor', {
      hint: 'add --descriptor, or send the output to a file',
    });
  }
  if (options.out !== '-') await checkOutputs(io, [options.out], [file]);
  const image = await readImage(io, file);
  if (options.descriptor === true) return writeDescriptor(io, image, options);
  const inspection = inspectFirmware(image);
  const sha256 = bytesToHex(nodeHashes.sha256(image));
  io.stdout.write(
    options.json === true
      ? `${JSON.stringify(inspectionJson(inspection, sha256))}\n`
      : inspectionText(inspection, sha256),
  );
}

/** Reads an image; throws `format` for a descriptor, which tells nothing of what is in the image. */
async function readImage(io: Io, file: string): Promise<Uint8Array> {
  const image = await readInput(io, file, MAX_FIRMWARE_BYTES);
  if (!isDescriptor(image)) return image;
  const what = file === '-' ? 'standard input' : file;
  throw new BootsealError('format', `${what} is a firmware descriptor, not an image`, {
    hint: 'give the image that it was made of; a descriptor is for measure snp only',
  });
}

async function writeDescriptor(io: Io, image: Uint8Array, options: InspectOptions): Promise<void> {
  const text = printDescriptor(describeFirmware(image, nodeHashes));
  const out = options.out ?? '-';
  if (out === '-') io.stdout.write(text);
  else await writeNewFile(resolvePath(io, out), text, 0o644, options.force === true);
}

interface LintOptions {
  readonly json?: true;
  readonly platform?: Platform;
}

function lintCommand(io: Io): Command {
  return new Command('lint')
    .summary('say whether a firmware image checks what it boots; exit 0 only if it does')
    .description(
      'Say whether a firmware image checks kernel, initrd and command line against the measured hashes and guards a launch secret. Exit status 0 only for the class "enforcing"; 1 for every other.',
    )
    .argument('<firmware>', 'the image, as the host gives it to QEMU; - for standard input')
    .addOption(
      new Option('--platform <platform>', 'must also be able to start there').choices(['sev', 'sev-es', 'snp']),
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', LINT_EXAMPLES)
    .action((file: string, options: LintOptions) => lint(io, file, options));
}

const LINT_EXAMPLES = `
Exit status: 0 it is enforcing, 1 it is of another class or does not serve the platform, 3 it cannot be judged.

Examples:
  bootseal firmware lint OVMF.amdsev.fd
  bootseal firmware lint OVMF.amdsev.fd --platform sev-es
  bootseal firmware lint OVMF.amdsev.fd --json`;

async function lint(io: Io, file: string, options: LintOptions): Promise<void> {
  const image = await readImage(io, file);
  const result = lintFirmware(image);
  const { platform } = options;
  const start =
    platform === undefined ? undefined : { platform, verdict: servesPlatform(image, parseFirmware(image), platform) };
  const about = { sha256: bytesToHex(nodeHashes.sha256(image)), bytes: image.length };
  io.stdout.write(
    options.json === true ? `${JSON.stringify(lintJson(about, result, start))}\n` : lintText(result, start),
  );
  if (result.class !== 'enforcing') {
    throw new BootsealError('mismatch', `the firmware is of the class "${FIRMWARE_CLASSES[result.class]}"`, {
      hint: result.advice,
    });
  }
  if (start !== undefined && start.verdict.answer !== 'yes') {
    const { reason, advice } = start.verdict;
    throw new BootsealError('mismatch', `the firmware does not serve ${start.platform}: ${reason}`, { hint: advice });
  }
}
