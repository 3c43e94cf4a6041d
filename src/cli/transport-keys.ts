/** @module Reading the transport keys of a session. */
import * as path from 'node:path';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { parseTk, TRANSPORT_KEY_SIZE, type TransportKeys } from '../core/session/transport-keys.ts';
import { type Io, readInput } from './io.ts';

/** A file that is no key file is named as such, not read whole; bytes. */
const LIMIT = 4096;

/** Reads a `tk` file, TEK and TIK of 16 bytes each; throws `format` when it has another length, `io`. */
export async function readTransportKeys(io: Io, file: string): Promise<TransportKeys> {
  const bytes = await readInput(io, file, LIMIT);
  try {
    return parseTk(bytes);
  } finally {
    wipe(bytes);
  }
}

/** Reads a file that holds the TIK alone, 16 bytes; throws `format` when it has another length, `io`. */
export async function readTik(io: Io, file: string): Promise<Uint8Array> {
  const bytes = await readInput(io, file, LIMIT);
  if (bytes.length === TRANSPORT_KEY_SIZE) return bytes;
  throw new BootsealError('format', `${file}: a TIK has ${TRANSPORT_KEY_SIZE} bytes, this has ${bytes.length}`, {
    hint: 'a file of 32 bytes holds TEK and TIK and is given with --tk',
  });
}

/** Returns the `tk` file that session create put beside the record. */
export function besideRecord(record: string): string {
  return path.join(path.dirname(record), 'tk');
}
