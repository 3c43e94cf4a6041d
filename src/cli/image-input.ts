/** @module The image, header and key that the commands of `bootseal image` read. */

import { wipe } from '../core/bytes.ts';
import { findImage } from '../core/disk/find-image.ts';
import type { Gpt, Partition } from '../core/disk/read-gpt.ts';
import { BootsealError } from '../core/errors.ts';
import { type ImageData, openData } from '../core/luks/data.ts';
import type { Disk } from '../core/luks/disk.ts';
import { type LuksHeader, readHeader, type Unlocked, unlock } from '../core/luks/image.ts';
import { dataSegment } from '../core/luks/segment.ts';
import { withDisk } from '../host/disk.ts';
import { nodeLuksCrypto } from '../host/node-luks.ts';
import { type Io, resolvePath } from './io.ts';
import { readKeyFile } from './key-file.ts';
import { parseUnsigned } from './numbers.ts';

export const HEADER_HELP = 'file with the header, where it is not in the image (detached)';
export const PARTITION_HELP =
  'which partition it is (default: the one with a LUKS header; with --header, the one root)';
export const KEY_FILE_HELP = 'file with the key: all its bytes, a newline at its end too; - for standard input';
export const KEYSLOT_HELP = 'try only this keyslot (default: all but those of priority 0)';

/** Options of every command that reads an image. */
export interface ImageOptions {
  readonly header?: string;
  readonly partition?: number;
}

/** Options of the commands that open an image. */
export interface OpeningOptions extends ImageOptions {
  readonly keyFile: string;
  readonly keyslot?: number;
}

/** An image whose header was read. */
export interface ImageInput {
  readonly image: Disk;
  /** The partition that the image is, undefined for a whole disk. */
  readonly partition: Partition | undefined;
  /** Of the whole disk; undefined where it has none. */
  readonly table: Gpt | undefined;
  /** Of the file. */
  readonly format: 'raw' | 'qcow2';
  /** Bytes of the whole disk. */
  readonly diskSize: number;
  /** Where the header is: the image itself, unless it is detached. */
  readonly headerDisk: Disk;
  readonly header: LuksHeader;
  readonly detached: boolean;
}

/** Bytes; as cryptsetup's --key-file. */
const MAX_KEY_FILE = 8 << 20;
const MAX_KEYSLOT = 31;
const MAX_PARTITION = 1024;

/** Reads the number of a keyslot; throws `usage`. */
export function parseKeyslot(text: string): number {
  return parseUnsigned(text, '--keyslot', MAX_KEYSLOT);
}

/** Reads the number of a partition; throws `usage`. */
export function parsePartition(text: string): number {
  return parseUnsigned(text, '--partition', MAX_PARTITION);
}

/** Opens an image, and the file of its header where that is another, for as long as `use` runs. Throws `usage` for `-`. */
export async function withImage<T>(
  io: Io,
  file: string,
  { header: headerFile, partition: wanted }: ImageOptions,
  use: (input: ImageInput) => Promise<T>,
): Promise<T> {
  if (file === '-' || headerFile === '-') {
    throw new BootsealError('usage', 'an image is not read from standard input', {
      hint: 'it is read at many places: write it to a file first',
    });
  }
  return withDisk(resolvePath(io, file), async (disk) => {
    const detached = headerFile !== undefined;
    const { disk: image, partition, table, format, diskSize } = await findImage(disk, { partition: wanted, detached });
    const found = { image, partition, table, format, diskSize };
    if (headerFile === undefined) {
      return use({ ...found, headerDisk: image, header: await readHeader(image), detached: false });
    }
    return withDisk(resolvePath(io, headerFile), async (headerDisk) =>
      use({ ...found, headerDisk, header: await readHeader(headerDisk), detached: true }),
    );
  });
}

/** Returns the volume key and the data that it opens; whoever asks wipes the key. Throws `key` when no keyslot opens. */
export async function openImage(
  io: Io,
  { image, headerDisk, header, detached }: ImageInput,
  { keyFile, keyslot }: OpeningOptions,
): Promise<Unlocked & { readonly data: ImageData }> {
  const data = await openData(image, dataSegment(header, image.size, detached));
  const passphrase = await readKeyFile(io, keyFile, MAX_KEY_FILE);
  try {
    return { data, ...(await unlock(header, headerDisk, passphrase, nodeLuksCrypto, keyslot)) };
  } finally {
    wipe(passphrase);
  }
}
