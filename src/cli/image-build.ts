/** @module `bootseal image build`: an encrypted disk, or with --verity one that is verified. */
import { Command, Option } from 'commander';
import { wipe } from '../core/bytes.ts';
import { chooseSectorSize, identifyPayload, PAYLOAD_START, type Payload } from '../core/disk/payload.ts';
import type { DiskPlan } from '../core/disk/shape.ts';
import { BootsealError } from '../core/errors.ts';
import { imageManifest, type Manifest, type ManifestInputs, printManifest } from '../core/luks/manifest.ts';
import { type PlanOptions, plan } from '../core/luks/plan.ts';
import type { IntegrityChoice } from '../core/luks/plan-sectors.ts';
import { type RawSource, readStart } from '../host/image/source.ts';
import { writeImage } from '../host/image/write-image.ts';
import { nodeHashes } from '../host/node-hashes.ts';
import { nodeLuksCrypto } from '../host/node-luks.ts';
import { withSignals } from '../host/signals.ts';
import { report } from './image-build-text.ts';
import {
  addKeyslotOptions,
  headerOptions,
  type ImageKeyslot,
  imageKeyslots,
  type KeyslotOptions,
  readKeys,
} from './image-keyslots.ts';
import { type ImageNames, imageNames } from './image-names.ts';
import { addSeedOption, seededBySource, seededIo } from './image-seed.ts';
import { addShapeOptions, type ShapeOptions, shapeDisk } from './image-shape.ts';
import { addSourceOptions, remarkUnknown, type SourceOptions, withImageSource } from './image-source.ts';
import { type Io, remark } from './io.ts';
import { progressOf } from './progress.ts';

/** What commander makes of the options. */
export interface BuildOptions extends KeyslotOptions, SourceOptions, ShapeOptions {
  readonly out: string;
  readonly sectorSize?: '512' | '4096';
  readonly integrity?: IntegrityChoice;
  readonly detachedHeader?: string;
  readonly label?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** The field has 48 bytes and ends in a zero. */
const MAX_LABEL = 47;

/** Bytes. */
const INTEGRITY_UNIT = 4096;

/** Returns the command. */
export function imageBuildCommand(io: Io): Command {
  const command = new Command('build')
    .summary('make an encrypted disk, or one that is verified, from files or a raw image')
    .description(
      'Encrypt a folder, an archive or a raw file system image into a LUKS2 disk, without root and without a plaintext copy on any disk.',
    )
    .requiredOption('--out <file>', 'new disk; its manifest is written beside it, with .json at the end of its name');
  addKeyslotOptions(addSourceOptions(command))
    .addOption(
      new Option(
        '--sector-size <bytes>',
        'encrypt in sectors of this size (default: 4096 where that is known to work)',
      ).choices(['512', '4096']),
    )
    .addOption(
      new Option(
        '--integrity <kind>',
        'give every sector a tag, so that the guest notices what the host changes: hmac (AES-XTS with HMAC-SHA256) or gcm (AES-GCM)',
      ).choices(['hmac', 'gcm']),
    )
    .option('--detached-header <file>', 'write header and keyslots to a file of their own')
    .option('--label <text>', 'label of the disk');
  return addSeedOption(addShapeOptions(command))
    .option('--force', 'replace disk, header and manifest; a key is never replaced')
    .option('--json', 'print the manifest')
    .addHelpText('after', HELP)
    .action(async (options: BuildOptions) => withSignals((stop) => build(io, options, stop)));
}

const HELP = `
Every sector is encrypted, also those that hold nothing, unless --sparse is given. Files become an ext4 file system, made in memory by e2fsprogs, or EROFS, by erofs-utils (of archives with fakeroot).
The key is what \`secret build --secret disk-passphrase=FILE\` releases to the guest.

Examples:
  bootseal image build --from rootfs.tar.gz --new-key disk.key --out disk.img
  docker export web | bootseal image build --from - --new-key disk.key --out disk.img
  bootseal image build --from oci-layout --new-key disk.key --out disk.img
  bootseal image build --from rootfs --owner root --size 4G --new-key disk.key --out disk.img
  bootseal image build --from rootfs.tar --filesystem erofs --new-key disk.key --out disk.img
  bootseal image build --from rootfs.ext4 --new-key disk.key --out disk.img
  bootseal image build --from rootfs.ext4 --key-file disk.key --out disk.img --detached-header disk.hdr --label root
  bootseal image build --from rootfs.ext4 --new-key disk.key --out disk.img --integrity hmac
  bootseal image build --from rootfs.ext4 --new-key disk.key --recovery-key-file mine.txt --out disk.img
  bootseal image build --from rootfs.ext4 --new-key disk.key --out disk.img --shape gpt --esp esp/
  bootseal image build --from rootfs.ext4 --verity --shape gpt --out disk.img
  bootseal image build --from rootfs --seed test-1 --new-key disk.key --out disk.img    # for tests only`;

async function build(io: Io, options: BuildOptions, stop: AbortSignal): Promise<void> {
  if (options.verity === true) {
    const { buildVerity } = await import('./image-build-verity.ts');
    return buildVerity(io, options, stop);
  }
  const names = await imageNames(io, options);
  const there = seededIo(io, options);
  const read = await readKeys(there, options);
  try {
    await withImageSource(there, options, stop, async (found) => {
      const seeded = await seededBySource(there, options, found, stop);
      const keys = imageKeyslots(read, seeded.io.randomBytes);
      try {
        await buildFrom(seeded.io, options, { names, source: seeded.source, keys, stop });
      } finally {
        wipe(...keys.map(({ passphrase }) => passphrase));
      }
    });
  } finally {
    wipe(...read.recoveryKeys, ...(read.launchKey === undefined ? [] : [read.launchKey]));
  }
}

interface Building {
  readonly names: ImageNames;
  readonly source: RawSource;
  readonly keys: readonly ImageKeyslot[];
  readonly stop: AbortSignal;
}

async function buildFrom(io: Io, options: BuildOptions, { names, source, keys, stop }: Building): Promise<void> {
  const payload = identifyPayload(await readStart(source, PAYLOAD_START));
  const wanted = planOptions(io, options, keys, source.size, payload);
  remarkUnknown(io, options, payload);
  const planned = await plan(wanted, io.randomBytes, nodeLuksCrypto);
  try {
    const disk = await shapeDisk(io, options, planned, source);
    const said = { payload: { size: source.size, what: payload?.what }, testOnly: options.seed !== undefined };
    const manifest = manifestOf(names, { plan: planned, disk, options: wanted, ...said }, keys);
    const announce = () => report(io, options, manifest, keys);
    await write(io, { names, disk, source, manifest, keys, stop, announce });
  } finally {
    wipe(planned.sectors.key);
  }
}

function planOptions(
  io: Io,
  options: BuildOptions,
  keys: readonly ImageKeyslot[],
  size: number,
  payload: Payload | undefined,
): PlanOptions {
  if (size === 0) {
    throw new BootsealError('usage', `${options.from} is empty`, {
      hint: 'build the disk from a raw image, a folder or an archive with the files of the guest',
    });
  }
  if (Buffer.byteLength(options.label ?? '') > MAX_LABEL) {
    throw new BootsealError('usage', `a label has at most ${MAX_LABEL} bytes`, { hint: 'give a shorter --label' });
  }
  const given = options.sectorSize ?? (options.luks1 === true ? '512' : undefined);
  const asked = given === undefined ? undefined : given === '512' ? 512 : 4096;
  const sectors = chooseSectorSize(payload, asked);
  // With tags, the kernel keeps the length of the data to this.
  const unit = options.integrity === undefined ? sectors.size : INTEGRITY_UNIT;
  if (sectors.changed) remark(io, 'warning', `sectors have ${sectors.size} bytes: ${sectors.why}`);
  return {
    ...headerOptions(keys, options),
    dataSize: Math.ceil(size / unit) * unit,
    keySize: 64,
    sectorSize: sectors.size,
    detached: options.detachedHeader !== undefined,
    ...(options.integrity === undefined ? {} : { integrity: options.integrity }),
    ...(options.label === undefined ? {} : { label: options.label }),
  };
}

function manifestOf(
  { image, header, baseName }: ImageNames,
  parts: Pick<ManifestInputs, 'plan' | 'disk' | 'options' | 'payload' | 'testOnly'>,
  keys: readonly ImageKeyslot[],
): Manifest {
  const names = { image: baseName(image.file), header: header === undefined ? undefined : baseName(header.file) };
  const purposes = keys.map(({ purpose }) => purpose);
  return imageManifest({ ...parts, purposes, ...names }, nodeHashes);
}

interface Writing extends Building {
  readonly disk: DiskPlan;
  readonly manifest: Manifest;
  announce(): void;
}

async function write(io: Io, { names, disk, source, manifest, keys, stop, announce }: Writing): Promise<void> {
  const [first] = keys;
  const besides = [
    ...(names.newKey === undefined || first === undefined ? [] : [{ ...names.newKey, bytes: first.passphrase }]),
    { ...names.manifest, bytes: printManifest(manifest) },
  ];
  const progress = progressOf(io, 'encrypting', manifest.data.bytes);
  const done = () => {
    progress.end();
    announce();
  };
  try {
    await writeImage(disk, source, { ...names, besides }, { onProgress: progress.show, stop }, done);
  } finally {
    progress.end();
  }
}
