/** @module `bootseal image build`: an encrypted disk from a raw file system image. */
import { Command, Option } from 'commander';
import { wipe } from '../core/bytes.ts';
import { chooseSectorSize, identifyPayload, PAYLOAD_START, type Payload } from '../core/disk/payload.ts';
import { BootsealError } from '../core/errors.ts';
import { chooseKdf } from '../core/luks/key-strength.ts';
import { imageManifest, type Manifest, printManifest } from '../core/luks/manifest.ts';
import { type Plan, type PlanOptions, plan } from '../core/luks/plan.ts';
import { SECRET_NAMES } from '../core/secret/names.ts';
import { type RawSource, readStart, withSource } from '../host/image/source.ts';
import { writeImage } from '../host/image/write-image.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { nodeLuksCrypto } from '../host/node-luks.ts';
import { withSignals } from '../host/signals.ts';
import { type ImageKey, imageKey } from './image-key.ts';
import { type ImageNames, imageNames } from './image-names.ts';
import { type Io, remark, resolvePath } from './io.ts';
import { progressOf } from './progress.ts';

/** What commander makes of the options. */
export interface BuildOptions {
  readonly from: string;
  readonly out: string;
  readonly keyFile?: string;
  readonly newKey?: string;
  readonly keepNewline?: boolean;
  readonly sectorSize?: '512' | '4096';
  readonly detachedHeader?: string;
  readonly label?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** cryptsetup's own: room for 32 keys with an aes-xts volume key of 512 bits. */
const HEADER_SIZE = 16 << 20;

/** The field has 48 bytes and ends in a zero. */
const MAX_LABEL = 47;

/** Returns the command. */
export function imageBuildCommand(io: Io): Command {
  return new Command('build')
    .summary('make an encrypted disk from a raw image')
    .description('Encrypt a raw file system image into a LUKS2 disk, without root and without another plaintext copy.')
    .requiredOption('--from <file>', 'raw image of a file system')
    .requiredOption('--out <file>', 'new disk; its manifest is written beside it, with .json at the end of its name')
    .option('--key-file <file>', 'key that opens the disk: all bytes of the file (or - for standard input)')
    .option('--new-key <file>', 'make a random key instead and write it to this new file')
    .option('--keep-newline', 'take a key of text with the line break at its end')
    .addOption(
      new Option(
        '--sector-size <bytes>',
        'encrypt in sectors of this size (default: 4096 where that is known to work)',
      ).choices(['512', '4096']),
    )
    .option('--detached-header <file>', 'write header and keyslots to a file of their own')
    .option('--label <text>', 'label of the disk')
    .option('--force', 'replace disk, header and manifest; a key is never replaced')
    .option('--json', 'print the manifest')
    .addHelpText('after', HELP)
    .action(async (options: BuildOptions) => withSignals((stop) => build(io, options, stop)));
}

const HELP = `
Every sector is encrypted, also those that hold nothing. The file is read once and never copied in the clear.
The key is what \`secret build --secret disk-passphrase=FILE\` releases to the guest.

Examples:
  bootseal image build --from rootfs.ext4 --new-key disk.key --out disk.img
  bootseal image build --from rootfs.ext4 --key-file disk.key --out disk.img --detached-header disk.hdr --label root`;

async function build(io: Io, options: BuildOptions, stop: AbortSignal): Promise<void> {
  const names = imageNames(io, options);
  const key = await imageKey(io, options);
  try {
    await withSource(resolvePath(io, options.from), async (source) => {
      await names.checkSource(source.handle);
      const payload = identifyPayload(await readStart(source, PAYLOAD_START));
      const wanted = planOptions(io, options, key, source.size, payload);
      const planned = await plan(wanted, io.randomBytes, nodeLuksCrypto);
      try {
        const manifest = manifestOf(names, planned, wanted, source, payload);
        await write(io, { names, planned, source, manifest, key, stop });
        report(io, options, manifest, key);
      } finally {
        wipe(planned.sectors.key);
      }
    });
  } finally {
    wipe(key.bytes);
  }
}

function planOptions(
  io: Io,
  options: BuildOptions,
  key: ImageKey,
  size: number,
  payload: Payload | undefined,
): PlanOptions {
  if (size === 0) throw new BootsealError('usage', `${options.from} is empty`);
  if (Buffer.byteLength(options.label ?? '') > MAX_LABEL) {
    throw new BootsealError('usage', `a label has at most ${MAX_LABEL} bytes`);
  }
  const asked = options.sectorSize === undefined ? undefined : options.sectorSize === '512' ? 512 : 4096;
  const sectors = chooseSectorSize(payload, asked);
  if (sectors.changed) remark(io, 'warning', `sectors have ${sectors.size} bytes: ${sectors.why}`);
  return {
    version: 2,
    dataSize: Math.ceil(size / sectors.size) * sectors.size,
    keySize: 64,
    sectorSize: sectors.size,
    detached: options.detachedHeader !== undefined,
    headerSize: HEADER_SIZE,
    keys: [{ passphrase: key.bytes, kdf: chooseKdf(key.bytes).kdf }],
    tokens: [{ meaning: { type: 'bootseal', secret: SECRET_NAMES['disk-passphrase'] }, keyslots: [0] }],
    ...(options.label === undefined ? {} : { label: options.label }),
  };
}

function manifestOf(
  { image, header, baseName }: ImageNames,
  planned: Plan,
  options: PlanOptions,
  { size }: RawSource,
  payload: Payload | undefined,
): Manifest {
  const names = { image: baseName(image.file), header: header === undefined ? undefined : baseName(header.file) };
  return imageManifest({ plan: planned, options, ...names, payload: { size, what: payload?.what } }, nodeHashes);
}

interface Writing {
  readonly names: ImageNames;
  readonly planned: Plan;
  readonly source: RawSource;
  readonly manifest: Manifest;
  readonly key: ImageKey;
  readonly stop: AbortSignal;
}

async function write(io: Io, { names, planned, source, manifest, key, stop }: Writing): Promise<void> {
  const besides = [
    ...(names.newKey === undefined ? [] : [{ ...names.newKey, bytes: key.bytes }]),
    { ...names.manifest, bytes: printManifest(manifest) },
  ];
  const progress = progressOf(io, 'encrypting', manifest.data.bytes);
  try {
    await writeImage(planned, source, { ...names, besides }, { onProgress: progress.show, stop });
  } finally {
    progress.end();
  }
}

function report(io: Io, options: BuildOptions, manifest: Manifest, key: ImageKey): void {
  if (options.json === true) {
    io.stdout.write(`${JSON.stringify(manifest)}\n`);
    return;
  }
  const { data, header, luks, payload, keyslots } = manifest;
  const filler = data.bytes - payload.bytes;
  const lines = [
    ['disk', `${options.out}, ${manifest.imageBytes} bytes, LUKS2 ${luks.uuid}`],
    ['data', `${data.bytes} bytes at ${data.offset}: ${payload.what ?? 'unknown content'}`],
    ...(filler === 0 ? [] : [['', `the last ${filler} of them are zeros that fill the last sector`]]),
    ['cipher', `${data.cipher}, key of ${data.keyBits} bits, sectors of ${data.sectorSize} bytes`],
    ['keyslot', `${keyslots[0]?.kdf}: ${chooseKdf(key.bytes).why}`],
    ...(options.newKey === undefined ? [] : [['key', `${options.newKey}: keep it, nothing else opens the disk`]]),
    ['header', `${options.detachedHeader ?? 'in the disk'}, sha256 ${header.sha256}`],
    ['manifest', `${options.out}.json`],
  ];
  io.stdout.write(lines.map(([name = '', text]) => `${name.padEnd(10)}${text}\n`).join(''));
}
