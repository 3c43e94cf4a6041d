/** @module Disk images and block devices, read at any place. */
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { BootsealError } from '../core/errors.ts';
import { type Disk, slice } from '../core/luks/disk.ts';
import { ioError } from './io-error.ts';

/** An open file as a disk. */
export interface OpenDisk extends Disk {
  close(): Promise<void>;
}

/** Opens an image or block device for reading. Throws `io` when it is neither or cannot be read. */
export async function openDisk(file: string): Promise<OpenDisk> {
  try {
    const handle = await openAtOnce(file);
    try {
      return { size: await sizeOf(handle, file), read: reader(handle, file), close: () => handle.close() };
    } catch (cause) {
      await handle.close();
      throw cause;
    }
  } catch (cause) {
    throw ioError(cause, file, 'read');
  }
}

/** Opens a file for reading; a pipe that nobody writes to too, which else would be waited for. Throws as open(2). */
export function openAtOnce(file: string): Promise<fs.FileHandle> {
  return fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK);
}

/** Returns part of an open file as a disk; `name` is for messages. */
export function fileDisk(handle: fs.FileHandle, name: string, start: number, size: number): Disk {
  return slice({ size: start + size, read: reader(handle, name) }, start, size);
}

/** Runs `use` with a file as a disk and closes it after. */
export async function withDisk<T>(file: string, use: (disk: Disk) => Promise<T>): Promise<T> {
  const disk = await openDisk(file);
  try {
    return await use(disk);
  } finally {
    await disk.close();
  }
}

/** Returns how an open file is read at any place. */
export function reader(handle: fs.FileHandle, file: string): Disk['read'] {
  return async (at, size) => {
    try {
      const bytes = new Uint8Array(size);
      let total = 0;
      while (total < size) {
        const { bytesRead } = await handle.read(bytes, total, size - total, at + total);
        if (bytesRead === 0) break;
        total += bytesRead;
      }
      return bytes.subarray(0, total);
    } catch (cause) {
      throw ioError(cause, file, 'read');
    }
  };
}

async function sizeOf(handle: fs.FileHandle, file: string): Promise<number> {
  const stat = await handle.stat();
  if (stat.isFile()) return stat.size;
  if (!stat.isBlockDevice()) {
    throw new BootsealError('io', `cannot read ${file}: neither a file nor a block device`, {
      hint: 'an image is read at many places: write a stream to a file first',
    });
  }
  return blockDeviceSize(handle);
}

/** Node has no call for the size of a block device: the last byte that can be read is looked for. */
async function blockDeviceSize(handle: fs.FileHandle): Promise<number> {
  const byte = new Uint8Array(1);
  let [present, absent] = [0, 2 ** 50];
  while (present < absent) {
    const middle = Math.floor((present + absent) / 2);
    const { bytesRead } = await handle.read(byte, 0, 1, middle);
    if (bytesRead === 1) present = middle + 1;
    else absent = middle;
  }
  return present;
}
