/** @module A folder for files that go when the work ends: among them are keys and a guest's memory. */
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { ioError } from '../host/files.ts';

/** What to do when temporary files have no place. */
export const OTHER_TMPDIR = 'make room there, or set TMPDIR to a folder of yours that has more';

/** What the system says of a place that cannot be written, or not any more. */
const NO_PLACE = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO'];

/**
 * Runs `work` in a new folder where temporary files go (TMPDIR), and removes it. Throws `io` when the folder cannot be made or is full;
 * what `work` throws.
 */
export async function withTemporaryFolder<T>(prefix: string, work: (folder: string) => Promise<T>): Promise<T> {
  const place = os.tmpdir();
  const folder = await fs.mkdtemp(path.join(place, prefix)).catch((cause: unknown) => Promise.reject(full(cause)));
  try {
    return await work(folder);
  } catch (error) {
    throw isOfPlace(error, folder) ? full(error) : error;
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

/** What is written through an open file fails without a path. */
function isOfPlace(error: unknown, folder: string): boolean {
  const { code = '', path: file = folder } = error as NodeJS.ErrnoException;
  return NO_PLACE.includes(code) && file.startsWith(folder);
}

function full(cause: unknown): BootsealError {
  const { message } = ioError(cause, os.tmpdir(), 'write');
  return new BootsealError('io', message, { hint: OTHER_TMPDIR, cause });
}
