/** @module `bootseal image verify`: whether an image is whole, what it should be, and opens with its key. */
import { Command } from 'commander';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { detectFilesystem, SIGNATURE_BYTES } from '../core/filesystem.ts';
import { type ImageData, plainDisk, readPieces, sectorName } from '../core/luks/data.ts';
import type { Disk } from '../core/luks/disk.ts';
import { checkHeaderPolicy } from '../core/luks/policy.ts';
import { nodeSectorCrypto } from '../host/node-luks.ts';
import { judgeContent } from './image-content.ts';
import { type ImageInput, type OpeningOptions, openImage, withImage } from './image-input.ts';
import { addOpeningOptions } from './image-opening-options.ts';
import { holdAgainstManifest, type NamedClaims, sizeProblems } from './image-pinned.ts';
import { UnencryptedSectors } from './image-unencrypted.ts';
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
    .summary('check header, key and data of an image; exit 0 only if nothing is wrong with them')
    .description(
      'Check that both copies of the header are right and agree, that the header says what a guest may trust, that the key opens it, and that disk and data are as large, and hold, what the manifest beside the image says. Sectors that cannot be ciphertext are counted; of ext4 and EROFS, superblock and what it points to are checked. With integrity tags, every tag is checked; encryption without them cannot tell whether data were changed. Without a key, check every block of a disk with a hash tree (dm-verity) against its root hash.',
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
  const { problems: pinned, claims } = await holdAgainstManifest(io, file, input);
  const findings = [...pinned, ...checkHeaderPolicy(input.header).map(({ message }) => message)];
  try {
    const { problems, ...contents } = await readContents(io, input, options, claims);
    return { ...contents, problems: [...findings, ...problems] };
  } catch (error) {
    if (findings.length === 0 || !isOfHeader(error)) throw error;
    const problems = [...findings, `nothing was opened: ${error.message}`];
    return { ...NOT_OPENED, problems };
  }
}

/** Whether the header decides that this happens: it says which keyslots there are, what they cost, and where the data lie. */
function isOfHeader(error: unknown): error is BootsealError {
  return error instanceof BootsealError && ['key', 'format', 'usage'].includes(error.kind);
}

async function readContents(
  io: Io,
  input: ImageInput,
  options: OpeningOptions,
  claims: NamedClaims | undefined,
): Promise<Verdict> {
  const { data, volumeKey, keyslot } = await openImage(io, input, options);
  try {
    const plain = await unencryptedData(input.image, data);
    const { named, wrongSectors, unencrypted } = await readAll(input.image, data, volumeKey);
    const content = await judgeContent(plainDisk(input.image, data, volumeKey, nodeSectorCrypto), claims);
    const { problems: clear, remarks } = unencrypted.judge(claims);
    const { sectorSize, tags } = data.segment;
    const problems = [
      ...(plain === undefined ? [] : [`the data are not encrypted: they start as ${plain}`]),
      ...(claims === undefined ? [] : sizeProblems('data', data.size, claims.dataBytes, claims.name)),
      ...clear,
      ...named.map((at) => `${sectorName(at, data.segment)} does not match its tag`),
      ...(wrongSectors > NAMED ? [`${wrongSectors} sectors in all do not match their tags`] : []),
      ...content.problems,
    ];
    const inJournal = 'journal' in data ? data.journal.newer.size : 0;
    const integrity = tags === undefined ? null : { type: tags.integrity, inJournal, wrongSectors };
    const { filesystem, checked: filesystemChecked } = content;
    return {
      ...{ keyslot, dataBytes: data.size, sectorSize, integrity, filesystem, filesystemChecked },
      ...{ problems, remarks },
    };
  } finally {
    wipe(volumeKey);
  }
}

/** Says what the data are when they lie there in the clear, as an interrupted encryption leaves them; tags would not match. */
async function unencryptedData(image: Disk, { segment }: ImageData): Promise<string | undefined> {
  if (segment.tags !== undefined) return undefined;
  return detectFilesystem(await image.read(segment.offset, Math.min(segment.size, SIGNATURE_BYTES)));
}

/** Decrypts everything; returns the places of the first sectors with a wrong tag, how many there are, and what cannot be ciphertext. */
async function readAll(
  image: Disk,
  data: ImageData,
  volumeKey: Uint8Array,
): Promise<{ named: readonly number[]; wrongSectors: number; unencrypted: UnencryptedSectors }> {
  const unencrypted = new UnencryptedSectors(data.segment.sectorSize);
  const named: number[] = [];
  let wrongSectors = 0;
  for await (const piece of readPieces(image, data, volumeKey, nodeSectorCrypto)) {
    unencrypted.add(piece);
    named.push(...piece.wrong.slice(0, NAMED - named.length));
    wrongSectors += piece.wrong.length;
    wipe(piece.plain);
  }
  return { named, wrongSectors, unencrypted };
}
