/** @module A file that is copied to a place in a new disk, as it is. */
import { constants } from 'node:fs';
import * as fs from 'node:fs/promises';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';

const PIECE = 1 << 20;

/**
 * Copies a whole file of `size` bytes.
 *
 * @param write takes each piece before it returns
 * @throws `io` when it cannot be read, has another size than was planned, or is written to meanwhile
 */
export async function copyFile(
  file: string,
  size: number,
  write: (bytes: Uint8Array, at: number) => Promise<void>,
): Promise<void> {
  // What was a file when the disk was planned must not be a link now.
  const handle = await fs
    .open(file, constants.O_RDONLY | constants.O_NOFOLLOW)
    .catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
  try {
    const before = await handle.stat({ bigint: true });
    if (before.size !== BigInt(size)) throw changed(file);
    const piece = new Uint8Array(Math.min(PIECE, size));
    for (let at = 0; at < size; ) {
      const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, size - at), at);
      if (bytesRead === 0) throw changed(file);
      await write(piece.subarray(0, bytesRead), at);
      at += bytesRead;
    }
    const after = await handle.stat({ bigint: true });
    if (after.mtimeNs !== before.mtimeNs || after.size !== before.size) throw changed(file);
  } catch (cause) {
    throw ioError(cause, file, 'read');
  } finally {
    await handle.close();
  }
}

const changed = (file: string): BootsealError =>
  new BootsealError('io', `${file} was changed while the disk was made`, {
    hint: 'make the disk from files that nothing writes to, such as a copy or a snapshot',
  });
