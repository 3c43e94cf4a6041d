/** @module `bootseal image build --verity`: a read-only disk that dm-verity checks, not encrypted. */
import { identifyPayload, PAYLOAD_START, type Payload } from '../core/disk/payload.ts';
import type { PartitionTable } from '../core/disk/shape.ts';
import { VERITY_BLOCK } from '../core/disk/verity.ts';
import { planVerity, type VerityPlan } from '../core/disk/verity-disk.ts';
import { type VerityManifest, verityManifest } from '../core/disk/verity-manifest.ts';
import { BootsealError } from '../core/errors.ts';
import { type RawSource, readStart } from '../host/image/source.ts';
import { writeVerity } from '../host/image/write-verity.ts';
import { type ImageNames, imageNames, type NameOptions } from './image-names.ts';
import { seededBySource, seededIo } from './image-seed.ts';
import { gptOptions, partitionLines, type ShapeOptions } from './image-shape.ts';
import { remarkUnknown, type SourceOptions, withImageSource } from './image-source.ts';
import { type Io, printableLines, printResult } from './io.ts';
import { progressOf } from './progress.ts';

/** Options that go together with --verity. */
export interface VerityOptions extends NameOptions, SourceOptions, ShapeOptions {
  readonly json?: boolean;
}

const TAKEN = [
  'from',
  'filesystem',
  'size',
  'owner',
  'scratch',
  'out',
  'verity',
  'shape',
  'arch',
  'esp',
  'espSize',
  'format',
  'force',
  'seed',
];

/** Builds the disk; throws `usage` for options that do not go together. */
export async function buildVerity(io: Io, options: VerityOptions, stop: AbortSignal): Promise<void> {
  checkOptions(options);
  const names = await imageNames(io, options);
  const gpt = await gptOptions(io, options);
  const there = seededIo(io, options);
  await withImageSource(there, options, stop, async (found) => {
    const payload = identifyPayload(await readStart(found, PAYLOAD_START));
    checkPayload(payload);
    remarkUnknown(there, options, payload);
    const { io: seeded, source } = await seededBySource(there, options, found, stop);
    const plan = planVerity(source.size, gpt, seeded.randomBytes);
    const testOnly = options.seed !== undefined;
    const announce = (manifest: VerityManifest) => report(io, options, manifest);
    await write(io, { names, plan, source, payload, testOnly, stop, announce });
  });
}

function checkOptions(options: VerityOptions): void {
  const other = Object.keys(options).find((name) => name !== 'json' && !TAKEN.includes(name));
  if (other !== undefined) {
    const flag = `--${other.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw new BootsealError('usage', `${flag} does not go with --verity`, {
      hint: 'a disk with a hash tree is not encrypted: it has no key, no LUKS header and no free blocks that are left out',
    });
  }
  if (options.shape === 'luks') {
    throw new BootsealError('usage', '--shape luks does not go with --verity', {
      hint: 'without --shape gpt the disk is data and tree, and nothing else',
    });
  }
  if (options.format === 'qcow2') {
    throw new BootsealError('usage', '--format qcow2 does not go with --verity', {
      hint: '`qemu-img convert -O qcow2` makes it of the raw disk, with the same root hash',
    });
  }
}

/** The kernel mounts no file system whose blocks are smaller than those of the device. */
function checkPayload(payload: Payload | undefined): void {
  if (payload === undefined || payload.largestSector >= VERITY_BLOCK) return;
  throw new BootsealError('usage', `${payload.what} cannot be mounted from dm-verity, whose blocks have 4096 bytes`, {
    hint: 'make ext4 with mke2fs -b 4096',
  });
}

interface Writing {
  readonly names: ImageNames;
  readonly plan: VerityPlan;
  readonly source: RawSource;
  readonly payload: Payload | undefined;
  readonly testOnly: boolean;
  readonly stop: AbortSignal;
  announce(manifest: VerityManifest): void;
}

async function write(io: Io, { names, plan, source, payload, testOnly, stop, announce }: Writing): Promise<void> {
  const progress = progressOf(io, 'hashing', source.size);
  const describe = (rootHash: Uint8Array, partitionTable: PartitionTable | undefined): VerityManifest =>
    verityManifest(plan, rootHash, {
      testOnly,
      image: names.baseName(names.image.file),
      partitionTable: partitionTable ?? null,
      payload: { bytes: source.size, what: payload?.what ?? null },
    });
  const done = (manifest: VerityManifest) => {
    progress.end();
    announce(manifest);
  };
  try {
    await writeVerity(plan, source, names, describe, { onProgress: progress.show, stop }, done);
  } finally {
    progress.end();
  }
}

function report(io: Io, options: VerityOptions, manifest: VerityManifest): void {
  if (options.json === true) {
    printResult(io, `${JSON.stringify(manifest)}\n`);
    return;
  }
  const { verity, payload } = manifest;
  const lines = [
    ['disk', `${options.out}, ${manifest.imageBytes} bytes, not encrypted`],
    ...partitionLines(manifest),
    ['data', `${payload.bytes} bytes at ${verity.dataOffset}: ${payload.what ?? 'unknown content'}`],
    ['tree', `at ${verity.hashOffset}, sha256, blocks of ${verity.blockBytes} bytes`],
    ['root hash', verity.rootHash],
    ['cmdline', manifest.cmdline],
    ...(manifest.partitionTable === null
      ? [['', 'with systemd.verity_root_data= and systemd.verity_root_hash=, both the disk as the guest names it']]
      : []),
    ['manifest', `${options.out}.json`],
    ...(manifest.testOnly ? [['TEST ONLY', 'made from --seed']] : []),
  ];
  printResult(io, printableLines(lines.map(([name = '', text]) => `${name.padEnd(10)}${text}`)));
}
