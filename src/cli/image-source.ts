/** @module Where the files of a new disk come from: a folder, archives, or a file system that is there already. */
import * as fs from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { type Packing, packingOf } from '../core/archive/packing.ts';
import { isTar, TAR_BLOCK } from '../core/archive/tar-header.ts';
import { PAYLOAD_START, type Payload } from '../core/disk/payload.ts';
import { BootsealError } from '../core/errors.ts';
import type { Region } from '../host/archive/stream.ts';
import type { TarFile } from '../host/archive/tar-file.ts';
import type { Scratch } from '../host/filesystem/scratch.ts';
import { type RawSource, readStart, withSource } from '../host/image/source.ts';
import { ioError } from '../host/io-error.ts';
import type { SeedOptions } from './image-seed.ts';
import { type Io, remark, resolvePath } from './io.ts';
import { type Progress, progressOf } from './progress.ts';
import { parseSize } from './size.ts';

/** What commander makes of the options. */
export interface SourceOptions extends SeedOptions {
  readonly from: string;
  readonly filesystem?: 'ext4' | 'erofs';
  readonly size?: number;
  readonly owner?: 'root';
  readonly scratch?: string;
  /** What is hashed is read at many places. */
  readonly verity?: boolean;
}

/** Adds the options about what is on the disk. */
export function addSourceOptions(command: Command): Command {
  return command
    .requiredOption(
      '--from <path>',
      'folder, tar archive (also gzip, zstd), container image (OCI layout, docker save), raw image of a file system, or - for an archive or raw image on standard input',
    )
    .addOption(
      new Option(
        '--filesystem <kind>',
        'what files become: ext4, or erofs, which nobody can write to and which takes the room of its files (default: ext4)',
      ).choices(['ext4', 'erofs']),
    )
    .option(
      '--size <bytes>',
      'size of the file system, such as 4G (default: what the files need, and a quarter more); of a raw image on standard input, how long it is',
      (text: string) => parseSize(text, '--size'),
    )
    .addOption(new Option('--owner <who>', 'give all files to root, whoever owns them').choices(['root']))
    .option(
      '--scratch <dir>',
      'make the file system in this folder and not in memory: it then lies there in the clear until the build ends',
    );
}

/** Runs `use` with the raw image that the source is or is made into. Throws as {@link withSource} and what makes file systems. */
export async function withImageSource<T>(
  io: Io,
  options: SourceOptions,
  stop: AbortSignal,
  use: (source: RawSource) => Promise<T>,
): Promise<T> {
  if (options.filesystem === 'erofs' && options.size !== undefined) {
    throw new BootsealError('usage', '--size is for ext4: EROFS has the size of its files', {
      hint: 'leave --size out, or take --filesystem ext4',
    });
  }
  if (options.from === '-') {
    const { withStdin } = await import('./image-stdin.ts');
    return withStdin(io, options, (region, packing) => fromTar(io, options, stop, region, packing, use), use);
  }
  const file = resolvePath(io, options.from);
  const stat = await fs.stat(file).catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
  if (stat.isDirectory()) {
    const [{ tarOfFolder }, { containerLayers, withFolderFiles }] = await Promise.all([
      import('../host/archive/folder.ts'),
      import('../host/archive/container.ts'),
    ]);
    return withFolderFiles(file, async (files) => {
      const layers = await containerLayers(files, stop);
      // The program that makes it reads a folder by itself, with sockets too.
      if (options.filesystem === 'erofs' && layers === undefined) return withErofs(io, options, stop, file, use);
      const folder = tarOfFolder(file, (line) => remark(io, 'note', line), stop);
      return withFilesystem(io, options, stop, layers ?? [folder], layers !== undefined, use);
    });
  }
  return withSource(file, async (source) => {
    const start = await readStart(source, TAR_BLOCK);
    const packing = packingOf(start, file);
    if (packing === 'none' && !isTar(start)) return use(checkRaw(options, source));
    return fromTar(io, options, stop, { name: file, handle: source.handle, at: 0, size: source.size }, packing, use);
  });
}

/** An archive of files, or of a container image. */
async function fromTar<T>(
  io: Io,
  options: SourceOptions,
  stop: AbortSignal,
  region: Region,
  packing: Packing,
  use: (source: RawSource) => Promise<T>,
): Promise<T> {
  const [{ readRegion, unpack }, { tarInRegion }, { spool }, { containerLayers, filesInTar, looksLikeContainer }] =
    await Promise.all([
      import('../host/archive/stream.ts'),
      import('../host/archive/tar-file.ts'),
      import('../host/archive/spool.ts'),
      import('../host/archive/container.ts'),
    ]);
  const archive = tarInRegion(region, packing, stop);
  const open = await archive.open();
  const look = async (): Promise<boolean> => {
    if (packing !== 'none') checkPacked(await open.source.peek(PAYLOAD_START), region.name);
    return looksLikeContainer(open.source, region.name);
  };
  const isContainer = await look().finally(() => open.close());
  if (!isContainer) return withFilesystem(io, options, stop, [archive], false, use);
  // Layers are read at many places.
  const kept =
    packing === 'none'
      ? region
      : await spool(unpack(readRegion(region), packing, region.name, stop), region.name, await scratchOf(io, options));
  try {
    const layers = await containerLayers(await filesInTar(kept), stop);
    return await withFilesystem(io, options, stop, layers ?? [archive], layers !== undefined, use);
  } finally {
    if (kept !== region) await kept.handle.close();
  }
}

/** Throws `format` for what is packed and no archive, such as a raw image; zeros alone are an archive of nothing. */
function checkPacked(start: Uint8Array, name: string): void {
  if (isTar(start) || start.every((byte) => byte === 0)) return;
  throw new BootsealError('format', `${name}: what is packed in it is no tar archive`, {
    hint: 'raw images are not read packed: unpack it first, into a file or into --from - with --size',
  });
}

/** Says of a raw image, which is taken as it is, that nobody knows what it is. */
export function remarkUnknown(io: Io, { from }: SourceOptions, payload: Payload | undefined): void {
  if (payload !== undefined) return;
  const what = from === '-' ? 'standard input' : from;
  remark(io, 'warning', `${what} starts as no archive and no file system that is known here: it is taken as it is`);
}

/** Where a build keeps what is in the clear. */
export async function scratchOf(io: Io, { scratch }: SourceOptions): Promise<Scratch> {
  const { findScratch } = await import('../host/filesystem/scratch.ts');
  return findScratch(scratch === undefined ? undefined : resolvePath(io, scratch));
}

/** A file system that is there already is taken as it is. */
function checkRaw({ filesystem, size, owner, scratch, from }: SourceOptions, source: RawSource): RawSource {
  const given = { '--filesystem': filesystem, '--size': size, '--owner': owner, '--scratch': scratch };
  const option = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  if (option === undefined) return source;
  throw new BootsealError('usage', `${option} is for folders and archives, and ${from} is a raw image`, {
    hint: `leave ${option} out, or give the files of the disk as a folder or an archive`,
  });
}

async function withFilesystem<T>(
  io: Io,
  options: SourceOptions,
  stop: AbortSignal,
  archives: readonly TarFile[],
  layers: boolean,
  use: (source: RawSource) => Promise<T>,
): Promise<T> {
  let progress: Progress | undefined;
  const wanted = {
    ...(await wantedOf(io, options, stop)),
    layers,
    onProgress: (done: number, total: number) => {
      progress ??= progressOf(io, 'making the file system', total);
      progress.show(done);
    },
  };
  const useMade = (source: RawSource): Promise<T> => {
    progress?.end();
    return use(source);
  };
  const make = async (): Promise<T> => {
    if (options.filesystem === 'erofs') {
      const { withErofsOfArchives } = await import('../host/filesystem/erofs.ts');
      return withErofsOfArchives(archives, wanted, useMade);
    }
    const { withFilesystemOf } = await import('../host/filesystem/build.ts');
    return withFilesystemOf(archives, { ...wanted, size: options.size }, useMade);
  };
  return make().finally(() => progress?.end());
}

/** A folder as EROFS, read by the program that makes it. */
async function withErofs<T>(
  io: Io,
  options: SourceOptions,
  stop: AbortSignal,
  folder: string,
  use: (source: RawSource) => Promise<T>,
): Promise<T> {
  const { withErofsOf } = await import('../host/filesystem/erofs.ts');
  return withErofsOf(folder, await wantedOf(io, options, stop), use);
}

/** What both kinds of file system are made with. */
async function wantedOf(io: Io, options: SourceOptions, stop: AbortSignal) {
  return {
    ownedByRoot: options.owner === 'root',
    scratch: await scratchOf(io, options),
    time: buildTime(io, options),
    random: io.randomBytes,
    onRemark: (line: string) => remark(io, 'note', line),
    stop,
  };
}

/** 1 January 1980, the time of all files of an EFI system partition. */
const SEEDED_TIME = 315532800;

/** Seconds since 1970; SOURCE_DATE_EPOCH is what reproducible builds agree on (reproducible-builds.org/specs/source-date-epoch). */
function buildTime(io: Io, { seed }: SeedOptions): number {
  const given = process.env['SOURCE_DATE_EPOCH'];
  if (seed !== undefined && (given === undefined || given === '')) return SEEDED_TIME;
  // The second that begins next: mkfs.erofs takes no file to be younger than the build, and one may be of this very second.
  if (given === undefined || given === '') return Math.floor(io.now().getTime() / 1000) + 1;
  if (/^[0-9]{1,10}$/.test(given) && Number(given) < 2 ** 32) return Number(given);
  throw new BootsealError('usage', 'SOURCE_DATE_EPOCH in the environment is no number of seconds', {
    hint: 'unset it, or set it to seconds since 1970, such as $(date +%s)',
  });
}
