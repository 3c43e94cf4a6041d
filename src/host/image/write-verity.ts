/** @module A planned disk with a hash tree on the disk, and its manifest beside it. */
import type { DiskExtent, PartitionTable } from '../../core/disk/shape.ts';
import type { VerityPlan } from '../../core/disk/verity-disk.ts';
import { printVerityManifest, type VerityManifest } from '../../core/disk/verity-manifest.ts';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';
import { type NewPart, type PartFile, writeParts } from '../part-file.ts';
import { copyFile } from './copy-file.ts';
import { writeHashTree } from './hash-tree.ts';
import type { RawSource } from './source.ts';
import { checkUnchanged, type Watching, write } from './write-image.ts';

/**
 * Writes a disk and returns its manifest; the disk gets its name last, after the manifest.
 *
 * @param describe returns the manifest, for which the root hash must be known
 * @param announce is told it when both have their names; when it throws, they are taken back
 * @throws `io` when a file cannot be read, changes meanwhile, exists or cannot be written; what `stop` was aborted with. Nothing is
 * left in any of these cases
 */
export async function writeVerity(
  plan: VerityPlan,
  source: RawSource,
  files: { readonly image: NewPart; readonly manifest: NewPart },
  describe: (rootHash: Uint8Array, partitionTable: PartitionTable | undefined) => VerityManifest,
  watching: Watching,
  announce?: (manifest: VerityManifest) => void,
): Promise<VerityManifest> {
  const before = source.state ?? (await source.handle.stat({ bigint: true }));
  const fill = async ([manifestPart, image]: readonly PartFile[]) => {
    if (manifestPart === undefined || image === undefined) {
      throw new BootsealError('usage', 'two files are written', {
        hint: 'give one file for the disk and one for its manifest',
      });
    }
    await image.handle
      .truncate(plan.diskSize)
      .catch((cause: unknown) => Promise.reject(ioError(cause, image.file, 'write')));
    const rootHash = await writeHashTree(plan, source, image, watching);
    const rest = plan.finish(rootHash);
    for (const extent of [...plan.extents, ...rest.extents]) await writeExtent(image, extent);
    const manifest = describe(rootHash, rest.partitionTable);
    await write(manifestPart, printVerityManifest(manifest), 0);
    await checkUnchanged(source, before);
    watching.stop?.throwIfAborted();
    return manifest;
  };
  return writeParts([files.manifest, files.image], fill, announce);
}

async function writeExtent(image: PartFile, extent: DiskExtent): Promise<void> {
  if (extent.kind === 'bytes') await write(image, extent.bytes, extent.at);
  else if (extent.kind === 'file') {
    await copyFile(extent.source, extent.size, (bytes, at) => write(image, bytes, extent.at + at));
  } else {
    throw new BootsealError('usage', 'a disk with a hash tree has no encrypted data', {
      hint: 'give a plan of data, hash tree and partitions',
    });
  }
}
