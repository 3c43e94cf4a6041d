/** @module A folder for files that go when the work ends: among them are keys and a guest's memory. */
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { ioError, OTHER_TMPDIR } from '../host/io-error.ts';

/** What the system says of a place that cannot be written, or not any more. */
const NO_PLACE = ['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'EIO', 'EFBIG'];

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
    if (isOfPlace(error, folder)) throw full(error);
    throw saysFull(error, folder)
      ? new BootsealError('io', error.message, { hint: OTHER_TMPDIR, cause: error })
      : error;
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

/** What is written through an open file fails without a path. */
function isOfPlace(error: unknown, folder: string): boolean {
  const { code = '', path: file = folder } = error as NodeJS.ErrnoException;
  return NO_PLACE.includes(code) && file.startsWith(folder);
}

/** What was told already, by the name of the file. */
function saysFull(error: unknown, folder: string): error is BootsealError {
  return (
    error instanceof BootsealError && error.kind === 'io' && error.message.includes(folder) && FULL.test(error.message)
  );
}

/** In the words of ioError. */
const FULL = /: (?:no space left on the device|EDQUOT)/;

function full(cause: unknown): BootsealError {
  const error = ioError(cause, os.tmpdir(), 'write');
  // No other folder lifts the limit of the process.
  if ((cause as NodeJS.ErrnoException).code === 'EFBIG') return error;
  return new BootsealError('io', error.message, { hint: OTHER_TMPDIR, cause });
}
