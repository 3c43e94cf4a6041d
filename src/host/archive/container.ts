/** @module The layers of a container image: an OCI layout in a folder or an archive, or what `docker save` writes. Every digest is checked. */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { entryPath, shownPath } from '../../core/archive/entry.ts';
import {
  blobPath,
  type Descriptor,
  IMAGE_AGAIN,
  isIndex,
  MAX_DOCUMENT,
  parseDiffIds,
  parseDockerManifest,
  parseIndex,
  parseManifest,
} from '../../core/archive/oci.ts';
import { packingOf } from '../../core/archive/packing.ts';
import { readTar } from '../../core/archive/read-tar.ts';
import { diskSource, type Source, streamSource } from '../../core/archive/source.ts';
import { BootsealError } from '../../core/errors.ts';
import { fileDisk } from '../disk.ts';
import { ioError } from '../io-error.ts';
import { type Region, readRegion, unpack } from './stream.ts';
import type { TarFile } from './tar-file.ts';

/** The files of an image by their path. */
export interface ImageFiles {
  readonly name: string;
  find(path: string): Promise<Region | undefined>;
}

/** Returns the layers from the lowest up; undefined when these files are no container image. Throws `format`, `usage`, `io`. */
export async function containerLayers(
  files: ImageFiles,
  stop: AbortSignal | undefined,
): Promise<readonly TarFile[] | undefined> {
  if ((await files.find('oci-layout')) !== undefined) {
    const index = await files.find('index.json');
    if (index !== undefined) return ociLayers(files, await readDocument(index), stop);
  }
  const manifest = await files.find('manifest.json');
  return manifest === undefined || manifest.size > MAX_DOCUMENT ? undefined : dockerLayers(files, manifest, stop);
}

/** An index may name another one, which may name one more. */
const MAX_DEPTH = 4;

async function ociLayers(
  files: ImageFiles,
  index: Uint8Array,
  stop: AbortSignal | undefined,
): Promise<readonly TarFile[]> {
  let images = parseIndex(index, `${files.name}: index.json`);
  for (let depth = 0; ; depth++) {
    const [image, second] = images;
    if (image === undefined || second !== undefined) throw notOne(files.name, images.length);
    const where = `${files.name}: ${blobPath(image)}`;
    const bytes = await readBlob(files, image);
    if (isIndex(image)) {
      if (depth === MAX_DEPTH) {
        throw new BootsealError('format', `${where}: an index in an index in an index`, {
          hint: 'copy one image of it, for instance with skopeo copy',
        });
      }
      images = parseIndex(bytes, where);
      continue;
    }
    const { config, layers } = parseManifest(bytes, where);
    const diffIds = parseDiffIds(await readBlob(files, config), `${files.name}: ${blobPath(config)}`);
    checkCount(files.name, layers.length, diffIds.length);
    return Promise.all(
      layers.map(async (layer, i) => checkedTar(await findBlob(files, layer), layer.digest, diffIds[i] ?? '', stop)),
    );
  }
}

function notOne(name: string, count: number): BootsealError {
  return new BootsealError('usage', `${name} holds ${count} images, and a disk is made from one`, {
    hint: 'copy the one of your platform, for instance with skopeo copy',
  });
}

function checkCount(name: string, layers: number, diffIds: number): void {
  if (layers === diffIds) return;
  throw new BootsealError(
    'format',
    `${name}: ${layers} layers, of which the configuration names ${diffIds}`,
    IMAGE_AGAIN,
  );
}

async function dockerLayers(
  files: ImageFiles,
  manifest: Region,
  stop: AbortSignal | undefined,
): Promise<readonly TarFile[] | undefined> {
  const where = `${files.name}: manifest.json`;
  const images = parseDockerManifest(await readDocument(manifest), where);
  if (images === undefined) return undefined;
  const [image, second] = images;
  if (image === undefined || second !== undefined) throw notOne(files.name, images.length);
  const need = async (written: string): Promise<Region> => {
    const found = await files.find(entryPath(written, `${where}: ${shownPath(written)}`));
    if (found === undefined)
      throw new BootsealError('format', `${where}: ${shownPath(written)} is not there`, IMAGE_AGAIN);
    return found;
  };
  const diffIds = parseDiffIds(
    await readDocument(await need(image.config)),
    `${files.name}: ${shownPath(image.config)}`,
  );
  checkCount(files.name, image.layers.length, diffIds.length);
  const regions = await Promise.all(image.layers.map(need));
  return Promise.all(regions.map((region, i) => checkedTar(region, undefined, diffIds[i] ?? '', stop)));
}

async function findBlob(files: ImageFiles, blob: Descriptor): Promise<Region> {
  const found = await files.find(blobPath(blob));
  if (found === undefined)
    throw new BootsealError('format', `${files.name}: ${blobPath(blob)} is not there`, IMAGE_AGAIN);
  if (found.size === blob.size) return found;
  throw new BootsealError(
    'format',
    `${found.name} has ${found.size} bytes, and the image names ${blob.size}`,
    IMAGE_AGAIN,
  );
}

async function readBlob(files: ImageFiles, blob: Descriptor): Promise<Uint8Array> {
  const region = await findBlob(files, blob);
  const bytes = await readDocument(region);
  if (createHash('sha256').update(bytes).digest('hex') !== blob.digest) throw wrongDigest(region.name);
  return bytes;
}

function wrongDigest(name: string): BootsealError {
  return new BootsealError('format', `${name} is not what the image names: another SHA-256`, IMAGE_AGAIN);
}

async function readDocument(region: Region): Promise<Uint8Array> {
  if (region.size > MAX_DOCUMENT) {
    throw new BootsealError('format', `${region.name} is larger than ${MAX_DOCUMENT} bytes`, IMAGE_AGAIN);
  }
  const pieces: Uint8Array[] = [];
  for await (const piece of readRegion(region)) pieces.push(piece);
  return new Uint8Array(Buffer.concat(pieces));
}

/** A layer whose bytes must have these digests, packed (where that is known) and unpacked. */
async function checkedTar(
  region: Region,
  packedDigest: string | undefined,
  diffId: string,
  stop: AbortSignal | undefined,
): Promise<TarFile> {
  const { value: start = new Uint8Array(0) } = await readRegion({ ...region, size: Math.min(region.size, 512) }).next();
  const packing = packingOf(start, region.name);
  return {
    name: region.name,
    async open() {
      const [packedHash, plainHash] = [createHash('sha256'), createHash('sha256')];
      const packed = tap(readRegion(region), (piece) => packedHash.update(piece));
      const plain = tap(unpack(packed, packing, region.name, stop), (piece) => plainHash.update(piece));
      return {
        source: streamSource(plain),
        async finish() {
          for await (const _ of plain);
          const wrong = packedDigest !== undefined && packedHash.digest('hex') !== packedDigest;
          if (wrong || plainHash.digest('hex') !== diffId) throw wrongDigest(region.name);
        },
        close: async () => void (await plain.return(undefined)),
      };
    },
  };
}

async function* tap(
  pieces: AsyncIterable<Uint8Array>,
  see: (piece: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) {
    see(piece);
    yield piece;
  }
}

/** Runs `use` with the files of a folder, which are closed after. */
export async function withFolderFiles<T>(folder: string, use: (files: ImageFiles) => Promise<T>): Promise<T> {
  const opened: fs.FileHandle[] = [];
  const find = async (inside: string): Promise<Region | undefined> => {
    const name = path.join(folder, inside);
    try {
      // A pipe of that name would keep whoever opens it waiting.
      const handle = await fs.open(name, constants.O_RDONLY | constants.O_NONBLOCK);
      opened.push(handle);
      const stat = await handle.stat();
      return stat.isFile() ? { name, handle, at: 0, size: stat.size } : undefined;
    } catch (cause) {
      if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw ioError(cause, name, 'read');
    }
  };
  try {
    return await use({ name: folder, find });
  } finally {
    for (const handle of opened) await handle.close();
  }
}

/** Says whether an archive is a container image rather than the files of a system, as far as names tell. Throws `format`. */
export async function looksLikeContainer(source: Source, name: string): Promise<boolean> {
  for await (const { entry } of readTar(source, name)) {
    if (entry.kind === 'file' && (entry.path === 'oci-layout' || entry.path === 'manifest.json')) return true;
  }
  return false;
}

/** Returns the files in an archive that is not packed. Throws `format`. */
export async function filesInTar({ name, handle, at, size }: Region): Promise<ImageFiles> {
  const source = diskSource(fileDisk(handle, name, at, size), 0);
  const regions = new Map<string, Region>();
  const links = new Map<string, string>();
  for await (const { entry } of readTar(source, name)) {
    const inside = `${name}: ${shownPath(entry.path)}`;
    if (entry.kind === 'file') {
      regions.set(entry.path, { name: inside, handle, at: at + source.position, size: entry.size });
    } else if (entry.kind === 'link') links.set(entry.path, entry.target);
    // `docker save` of old writes one layer that two images share once, and links to it.
    else if (entry.kind === 'symlink')
      links.set(entry.path, path.posix.join(path.posix.dirname(entry.path), entry.target));
  }
  return { name, find: async (inside) => regions.get(inside) ?? regions.get(links.get(inside) ?? '') };
}
