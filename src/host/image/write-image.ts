/** @module A planned image on the disk: what the plan says goes where it says, and the files get their names together. */
import type { DiskPlan } from '../../core/disk/shape.ts';
import { BootsealError } from '../../core/errors.ts';
import { integrityStart } from '../../core/luks/integrity/start.ts';
import type { BytesExtent, DataExtent, IntegrityExtent } from '../../core/luks/plan.ts';
import { ioError } from '../io-error.ts';
import { type NewPart, type PartFile, writeParts } from '../part-file.ts';
import type { SectorSize } from '../xts/xts.ts';
import { allocate } from './allocate.ts';
import { copyFile } from './copy-file.ts';
import { encrypt } from './encrypt.ts';
import type { FileState, RawSource } from './source.ts';

/** What is written. */
export interface ImageFiles {
  readonly image: NewPart;
  /** File of a detached header, when the plan has one. */
  readonly header: NewPart | undefined;
  /** Small files that belong to the image and are there before it. */
  readonly besides: readonly (NewPart & { readonly bytes: Uint8Array | string })[];
}

/** What the person who waits may want. */
export interface Watching {
  readonly onProgress?: (done: number) => void;
  readonly stop?: AbortSignal;
}

/**
 * Writes an image. The image gets its name last: who finds it finds the rest too, and every sector of it encrypted.
 *
 * @param announce is called when all files have their names; when it throws, they are taken back
 * @throws `io` when a file cannot be read, changes meanwhile, exists or cannot be written; `tool` when this machine's encryption is
 * wrong; what `stop` was aborted with, and what `announce` throws. Nothing is left in any of these cases
 */
export async function writeImage(
  plan: DiskPlan,
  source: RawSource,
  files: ImageFiles,
  watching: Watching,
  announce?: () => void,
): Promise<void> {
  const { image, header, besides } = files;
  const wanted = [...besides, ...(header === undefined ? [] : [header]), image];
  const before = source.state ?? (await source.handle.stat({ bigint: true }));
  const fill = async (parts: readonly PartFile[]) => {
    const find = (file: string): PartFile => {
      const part = parts.find((candidate) => candidate.file === file);
      if (part === undefined) {
        throw new BootsealError('usage', `the plan needs ${file}, which is not to be written`, {
          hint: 'give every file that the plan names',
        });
      }
      return part;
    };
    for (const { file, bytes } of besides) await write(find(file), bytes, 0);
    const imagePart = find(image.file);
    // At its full length from the start, so that no two threads wait for each other to make it longer.
    await imagePart.handle.truncate(plan.imageSize).catch(rejected(image.file));
    for (const extent of plan.extents) {
      if (extent.kind === 'data') await encryptExtent(plan, source, imagePart, extent, watching);
      else if (extent.kind === 'integrity') await writeStart(imagePart, extent);
      else if (extent.kind === 'file') {
        await copyFile(extent.source, extent.size, (bytes, at) => write(imagePart, bytes, extent.at + at));
      } else await write(find(targetOf(extent, files)), extent.bytes, extent.at);
    }
    await checkUnchanged(source, before);
    watching.stop?.throwIfAborted();
  };
  await writeParts(wanted, fill, announce);
}

function targetOf({ file }: BytesExtent, { image, header }: ImageFiles): string {
  return file === 'image' || header === undefined ? image.file : header.file;
}

async function encryptExtent(
  { sectors }: DiskPlan,
  { file, handle, size, stream }: RawSource,
  target: PartFile,
  { at, size: length, used }: DataExtent,
  watching: Watching,
): Promise<void> {
  // With tags among them the data lie elsewhere, and of units that are not used nothing is written.
  const isWhole = used === undefined && sectors.tags === undefined;
  if (isWhole) await allocate(target.handle, target.file, { at, size: length }, watching.stop);
  await encrypt({
    key: sectors.key,
    sectorSize: sectors.sectorSize as SectorSize,
    tagging:
      sectors.tags === undefined ? undefined : { tags: sectors.tags, layout: sectors.layout, ivKey: sectors.ivKey },
    source: { file, fd: handle.fd, size },
    stream,
    target: { file: target.file, fd: target.handle.fd, directFd: target.direct?.fd, at, size: length, used },
    ...watching,
  });
}

/** Writes superblock and journal of sectors with tags. */
async function writeStart(part: PartFile, { at, layout }: IntegrityExtent): Promise<void> {
  let end = at;
  for (const piece of integrityStart(layout)) {
    await write(part, piece, end);
    end += piece.length;
  }
}

/** Writes all of these bytes at a place of a file. */
export async function write({ file, handle }: PartFile, bytes: Uint8Array | string, at: number): Promise<void> {
  const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  try {
    let done = 0;
    while (done < buffer.length)
      done += (await handle.write(buffer, done, buffer.length - done, at + done)).bytesWritten;
  } catch (cause) {
    throw ioError(cause, file, 'write');
  }
}

/** Half of one state and half of another is neither: a source that someone writes to meanwhile makes no image. */
export async function checkUnchanged({ file, handle }: RawSource, before: FileState): Promise<void> {
  const after = await handle.stat({ bigint: true });
  if (after.mtimeNs === before.mtimeNs && after.size === before.size) return;
  throw new BootsealError('io', `${file} was changed while it was read`, {
    hint: 'make the image from a file that nothing writes to, such as a copy or a snapshot',
  });
}

const rejected = (file: string) => (cause: unknown) => Promise.reject(ioError(cause, file, 'write'));
