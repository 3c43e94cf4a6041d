/** @module Reading the transport keys of a session. */
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import type { TransportKeys } from '../core/secret/packet-cipher.ts';
import { type Io, readInput } from './io.ts';

const LIMIT = 4096;

/** Reads a `tk` file, TEK and TIK of 16 bytes each; throws `format` when it has another length, `io`. */
export async function readTransportKeys(io: Io, file: string): Promise<TransportKeys> {
  const keys = await readKey(io, file, 32, 'transport keys (TEK and TIK)');
  return { tek: keys.subarray(0, 16), tik: keys.subarray(16) };
}

/** Reads a file that holds the TIK alone, 16 bytes; throws `format` when it has another length, `io`. */
export async function readTik(io: Io, file: string): Promise<Uint8Array> {
  return readKey(io, file, 16, 'TIK');
}

/** Returns the `tk` file that session create put beside the record. */
export function besideRecord(record: string): string {
  return path.join(path.dirname(record), 'tk');
}

async function readKey(io: Io, file: string, size: number, what: string): Promise<Uint8Array> {
  const key = await readInput(io, file, LIMIT);
  if (key.length === size) return key;
  const hint =
    key.length === 48 - size
      ? 'a file of 32 bytes holds both keys and is given with --tk, one of 16 bytes holds the TIK and is given with --tik'
      : 'keys are raw bytes, not text';
  throw new BootsealError('format', `${what} in ${file}: needs ${size} bytes, got ${key.length}`, { hint });
}
