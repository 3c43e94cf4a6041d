/** @module The raw image that a disk is made from. */
import type * as fs from 'node:fs/promises';
import { BootsealError } from '../../core/errors.ts';
import type { Disk } from '../../core/luks/disk.ts';
import { openAtOnce, reader } from '../disk.ts';
import { ioError } from '../io-error.ts';

/** What changes when somebody writes to a file. */
export interface FileState {
  readonly mtimeNs: bigint;
  readonly size: bigint;
}

/** An open raw image. */
export interface RawSource {
  readonly file: string;
  readonly handle: fs.FileHandle;
  /** Bytes. */
  readonly size: number;
  /** All of it, when it comes as a stream, of which `handle` has only the start. */
  readonly stream?: AsyncIterable<Uint8Array>;
  /** The state in which it was looked at, when it must be read in no other; else that at the first byte counts. */
  readonly state?: FileState;
}

/** Runs `use` with an open raw image and closes it after; throws `io` when it is no file or cannot be read. */
export async function withSource<T>(file: string, use: (source: RawSource) => Promise<T>): Promise<T> {
  const handle = await openAtOnce(file).catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      throw new BootsealError('io', `cannot read ${file}: it is no regular file`, {
        hint: 'it is read at many places: write a device to a file first; a stream goes to standard input, with --from -',
      });
    }
    return await use({ file, handle, size: stat.size });
  } finally {
    await handle.close();
  }
}

/** Returns the first bytes, at most `size`. */
export function readStart({ file, handle }: RawSource, size: number): Promise<Uint8Array> {
  return reader(handle, file)(0, size);
}

/** Returns an open image as a disk. */
export function sourceDisk({ file, handle, size }: RawSource): Disk {
  return { size, read: reader(handle, file) };
}
