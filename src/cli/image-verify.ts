/** @module `bootseal image verify`: whether an image is whole, what it should be, and opens with its key. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { detectFilesystem, SIGNATURE_BYTES } from '../core/filesystem.ts';
import { type ImageData, readPieces, sectorName } from '../core/luks/data.ts';
import type { Disk } from '../core/luks/disk.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import { nodeSectorCrypto } from '../host/node-luks.ts';
import { type ImageInput, type OpeningOptions, openImage, withImage } from './image-input.ts';
import { addOpeningOptions } from './image-opening-options.ts';
import { pinProblems } from './image-pinned.ts';
import { NOT_OPENED, type Verdict, verdictText } from './image-verdict.ts';
import { checkVerityOptions, type VerityInputOptions } from './image-verity-input.ts';
import type { Io } from './io.ts';

interface Options extends VerityInputOptions, Partial<OpeningOptions> {
  readonly json?: true;
}

/** Sectors that are named one by one. */
const NAMED = 8;

/** Returns the command. */
export function imageVerifyCommand(io: Io): Command {
  const command = new Command('verify')
    .summary('check header, key and data of an image; exit 0 only if they are right')
    .description(
      'Check that both copies of the header are right and agree, that the header says what a guest may trust, that the key opens it, and that all data are there and encrypted. With integrity tags, every tag is checked; encryption without them cannot tell whether data were changed. Without a key, check every block of a disk with a hash tree (dm-verity) against its root hash.',
    )
    .argument('<image>', 'image or block device');
  return addOpeningOptions(command)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  bootseal image verify disk.img --key-file disk.key
  bootseal image verify disk.img --header disk.hdr --key-file disk.key --json
  bootseal image verify verity.img                        # against the root hash in verity.img.json`,
    )
    .action((file: string, options: Options) => verify(io, file, options));
}

async function verify(io: Io, file: string, { keyFile, ...options }: Options): Promise<void> {
  if (keyFile !== undefined) return verifyEncrypted(io, file, { ...options, keyFile });
  checkVerityOptions(options);
  const { verifyVerity } = await import('./image-verity-verify.ts');
  return verifyVerity(io, file, options);
}

async function verifyEncrypted(
  io: Io,
  file: string,
  options: OpeningOptions & { readonly json?: true },
): Promise<void> {
  const verdict = await withImage(io, file, options, (input) => judge(io, file, input, options));
  io.stdout.write(options.json === true ? `${JSON.stringify(verdict)}\n` : verdictText(verdict));
  const [first] = verdict.problems;
  if (first !== undefined) {
    throw new BootsealError('mismatch', `the image is not to be trusted: ${first}`, {
      hint: 'compare it with a copy that you made yourself, or build it again',
    });
  }
}

/** Holds the header against manifest and policy, and opens the image; what they say is never lost, whatever the header makes of the rest. */
async function judge(io: Io, file: string, input: ImageInput, options: OpeningOptions): Promise<Verdict> {
  const findings = [
    ...(await pinProblems(io, file, input.headerDisk, input.header)),
    ...checkHeaderPolicy(input.header).map(({ message }) => message),
  ];
  try {
    const { problems, ...contents } = await readContents(io, input, options);
    return { ...contents, problems: [...findings, ...problems] };
  } catch (error) {
    if (findings.length === 0 || !isOfHeader(error)) throw error;
    return { ...NOT_OPENED, problems: [...findings, `nothing was opened: ${error.message}`] };
  }
}

/** Whether the header decides that this happens: it says which keyslots there are, what they cost, and where the data lie. */
function isOfHeader(error: unknown): error is BootsealError {
  return error instanceof BootsealError && ['key', 'format', 'usage'].includes(error.kind);
}

async function readContents(io: Io, input: ImageInput, options: OpeningOptions): Promise<Verdict> {
  const { data, volumeKey, keyslot } = await openImage(io, input, options);
  try {
    const plain = await unencryptedData(input.image, data);
    const { filesystem, named, wrongSectors } = await readAll(input.image, data, volumeKey);
    const { sectorSize, tags } = data.segment;
    const problems = [
      ...(plain === undefined ? [] : [`the data are not encrypted: they start as ${plain}`]),
      ...named.map((at) => `${sectorName(at, data.segment)} does not match its tag`),
      ...(wrongSectors > NAMED ? [`${wrongSectors} sectors in all do not match their tags`] : []),
    ];
    const inJournal = 'journal' in data ? data.journal.newer.size : 0;
    const integrity = tags === undefined ? null : { type: tags.integrity, inJournal, wrongSectors };
    return { keyslot, dataBytes: data.size, sectorSize, integrity, filesystem, problems };
  } finally {
    wipe(volumeKey);
  }
}

/** Says what the data are when they lie there in the clear, as an interrupted encryption leaves them; tags would not match. */
async function unencryptedData(image: Disk, { segment }: ImageData): Promise<string | undefined> {
  if (segment.tags !== undefined) return undefined;
  return detectFilesystem(await image.read(segment.offset, Math.min(segment.size, SIGNATURE_BYTES)));
}

/** Decrypts everything; returns what it starts as, the places of the first sectors with a wrong tag, and how many there are. */
async function readAll(
  image: Disk,
  data: ImageData,
  volumeKey: Uint8Array,
): Promise<{ filesystem: string | null; named: readonly number[]; wrongSectors: number }> {
  let filesystem: string | null | undefined;
  const named: number[] = [];
  let wrongSectors = 0;
  for await (const { plain, wrong } of readPieces(image, data, volumeKey, nodeSectorCrypto)) {
    filesystem ??= detectFilesystem(plain) ?? null;
    named.push(...wrong.slice(0, NAMED - named.length));
    wrongSectors += wrong.length;
    wipe(plain);
  }
  return { filesystem: filesystem ?? null, named, wrongSectors };
}
