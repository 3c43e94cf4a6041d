/** @module `bootseal image verify`: whether an image is whole, what it should be, and opens with its key. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { detectFilesystem, SIGNATURE_BYTES } from '../core/filesystem.ts';
import { readPlaintext } from '../core/luks/data.ts';
import type { Disk } from '../core/luks/disk.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import type { DataSegment } from '../core/luks/segment.ts';
import { nodeAes } from '../host/node-luks.ts';
import {
  HEADER_HELP,
  KEY_FILE_HELP,
  KEYSLOT_HELP,
  type OpeningOptions,
  openImage,
  parseKeyslot,
  withImage,
} from './image-input.ts';
import type { Io } from './io.ts';

interface Options extends OpeningOptions {
  readonly json?: true;
}

/** What was found; a problem is one sentence without a full stop. */
interface Verdict {
  readonly keyslot: number;
  readonly dataBytes: number;
  readonly sectorSize: number;
  /** What the decrypted data start as; null when that is nothing known. */
  readonly filesystem: string | null;
  readonly problems: readonly string[];
}

/** Returns the command. */
export function imageVerifyCommand(io: Io): Command {
  return new Command('verify')
    .summary('check header, key and data of an image; exit 0 only if they are right')
    .description(
      'Check that both copies of the header are right and agree, that the header says what a guest may trust, that the key opens it, and that all data are there and encrypted. Encryption without integrity cannot tell whether data were changed.',
    )
    .argument('<image>', 'image or block device')
    .requiredOption('--key-file <file>', KEY_FILE_HELP)
    .option('--header <file>', HEADER_HELP)
    .option('--keyslot <number>', KEYSLOT_HELP, parseKeyslot)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal image verify disk.img --key-file disk.key
  bootseal image verify disk.img --header disk.hdr --key-file disk.key --json`,
    )
    .action((file: string, options: Options) => verify(io, file, options));
}

async function verify(io: Io, file: string, options: Options): Promise<void> {
  const verdict = await withImage(io, file, options.header, async (input): Promise<Verdict> => {
    const policy = checkHeaderPolicy(input.header).map(({ message }) => message);
    const { segment, volumeKey, keyslot } = await openImage(io, input, options);
    try {
      const plain = await unencryptedData(input.image, segment);
      const filesystem = await readAll(input.image, segment, volumeKey);
      const problems = [
        ...policy,
        ...(plain === undefined ? [] : [`the data are not encrypted: they start as ${plain}`]),
      ];
      return { keyslot, dataBytes: segment.size, sectorSize: segment.sectorSize, filesystem, problems };
    } finally {
      wipe(volumeKey);
    }
  });
  io.stdout.write(options.json === true ? `${JSON.stringify(verdict)}\n` : verdictText(verdict));
  const [first] = verdict.problems;
  if (first !== undefined) {
    throw new BootsealError('mismatch', `the image is not to be trusted: ${first}`, {
      hint: 'compare it with a copy that you made yourself, or build it again',
    });
  }
}

/** Says what the data are when they lie there in the clear, as an interrupted encryption leaves them. */
async function unencryptedData(image: Disk, { offset, size }: DataSegment): Promise<string | undefined> {
  return detectFilesystem(await image.read(offset, Math.min(size, SIGNATURE_BYTES)));
}

/** Decrypts everything; returns what it starts as. */
async function readAll(image: Disk, segment: DataSegment, volumeKey: Uint8Array): Promise<string | null> {
  let filesystem: string | null | undefined;
  for await (const piece of readPlaintext(image, segment, volumeKey, nodeAes)) {
    filesystem ??= detectFilesystem(piece) ?? null;
    wipe(piece);
  }
  return filesystem ?? null;
}

function verdictText({ keyslot, dataBytes, sectorSize, filesystem, problems }: Verdict): string {
  const lines = [
    `key: opens keyslot ${keyslot}`,
    `data: ${dataBytes} bytes in sectors of ${sectorSize}, all decrypted; without integrity a change of them would not show`,
    `content: ${filesystem ?? 'no file system that is known here'}`,
    ...(problems.length === 0
      ? ['verdict: header, key and data are right']
      : problems.map((problem) => `problem: ${problem}`)),
  ];
  return `${lines.join('\n')}\n`;
}
