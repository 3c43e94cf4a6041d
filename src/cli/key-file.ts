/** @module A file with the key of a disk, whose name is never repeated: people type the key itself there. */
import { type Io, readHidden } from './io.ts';

/** Reads it, at most `limit` bytes; they are the caller's to wipe. Throws `io`, `format`. */
export function readKeyFile(io: Io, file: string, limit: number): Promise<Uint8Array> {
  return readHidden(
    io,
    file,
    limit,
    'the key file',
    'give the path of the file that holds the key, and look who may read it (ls -l)',
  );
}
