/** @module The disk of a launch, held against its manifest: what `launch prepare` binds the guest to must be the disk that is there. */
import * as path from 'node:path';
import { openQcow2 } from '../core/disk/read-qcow2.ts';
import { BootsealError } from '../core/errors.ts';
import type { DiskDescription } from '../core/launch/description.ts';
import { type DiskManifest, parseDiskManifest } from '../core/launch/disk-manifest.ts';
import { decodeUtf8 } from '../core/utf8.ts';
import { withDisk } from '../host/disk.ts';
import { readSmallFile } from '../host/files.ts';
import { withImage } from './image-input.ts';
import { hashHeader } from './image-pinned.ts';
import { type Io, remark, resolvePath } from './io.ts';

/** Bytes. */
const LIMIT = 1 << 20;

/**
 * Returns what the manifest says of the disk.
 *
 * @param lab whether it is a rehearsal, in which a disk may be one whose keys follow from a seed
 * @throws `mismatch` when the disk is another, `format` when one of them is broken, `usage` when the description calls it by another format, and
 * for a disk from a seed, `io`
 */
export async function describedDisk(io: Io, disk: DiskDescription, lab: boolean): Promise<DiskManifest> {
  const { image, format, manifest: name } = disk;
  const manifest = parseDiskManifest(decodeUtf8(await readSmallFile(resolvePath(io, name), LIMIT), name), name);
  if (manifest.testOnly) takeTestOnly(io, name, lab);
  if (manifest.imageFormat !== format) {
    throw new BootsealError('usage', `disk.format: ${format}, and ${name} is about a disk in ${manifest.imageFormat}`, {
      hint: `write disk.format: ${manifest.imageFormat}, or name the manifest of the disk that is meant`,
    });
  }
  const found = await onDisk(io, disk, manifest);
  for (const [what, is, should] of [
    ['format of the disk', found.format, format],
    ['size of the disk', found.diskBytes, manifest.diskBytes],
    ['UUID in the header', found.uuid, manifest.uuid],
    ['SHA-256 of the header', found.sha256, manifest.header.sha256],
  ] as const) {
    if (is === should) continue;
    throw new BootsealError('mismatch', `${image} is not the disk of ${name}: the ${what} is ${is}, not ${should}`, {
      hint: 'the disk was swapped or changed, or its manifest is an old one: compare both with what image build made',
    });
  }
  return manifest;
}

function takeTestOnly(io: Io, name: string, lab: boolean): void {
  const what = `${name}: the disk was made from a seed, so that its keys are no secrets`;
  if (!lab) {
    throw new BootsealError('usage', what, {
      hint: 'build it without --seed; only a rehearsal (--lab) takes this one',
    });
  }
  remark(io, 'warning', what);
}

async function onDisk(io: Io, { image, manifest: name }: DiskDescription, { header }: DiskManifest) {
  const diskBytes = await withDisk(resolvePath(io, image), async (disk) => ((await openQcow2(disk)) ?? disk).size);
  const detached = header.file === null ? {} : { header: path.join(path.dirname(name), header.file) };
  return withImage(io, image, detached, async ({ format, headerDisk, header: luks }) => ({
    ...{ format, diskBytes },
    uuid: luks.version === 1 ? luks.uuid : luks.current.uuid,
    sha256: await hashHeader(headerDisk, header.bytes),
  }));
}
