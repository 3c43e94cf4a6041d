/** @module Reading the transport keys of a session. */
import * as path from 'node:path';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { parseTk, TRANSPORT_KEY_SIZE, type TransportKeys } from '../core/session/transport-keys.ts';
import { type Io, readHidden, readInput } from './io.ts';

/** A file that is no key file is named as such, not read whole; bytes. */
const LIMIT = 4096;

const TAKES_FILE = 'keys are read from a file: give its path, never the key itself';

/**
 * Reads the `tk` file given with `--tk`, or the one beside `record`: TEK and TIK of 16 bytes each. Throws `format` when it has
 * another length, `io`.
 */
export async function readTransportKeys(io: Io, given: string | undefined, record = ''): Promise<TransportKeys> {
  const bytes =
    given === undefined
      ? await readInput(io, besideRecord(record), LIMIT)
      : await readHidden(io, given, LIMIT, 'the file given with --tk', TAKES_FILE);
  try {
    return parseTk(bytes);
  } finally {
    wipe(bytes);
  }
}

/** Reads a file that holds the TIK alone, 16 bytes; throws `format` when it has another length, `io`. */
export async function readTik(io: Io, file: string): Promise<Uint8Array> {
  const bytes = await readHidden(io, file, LIMIT, 'the file given with --tik', TAKES_FILE);
  if (bytes.length === TRANSPORT_KEY_SIZE) return bytes;
  throw new BootsealError('format', `${file}: a TIK has ${TRANSPORT_KEY_SIZE} bytes, this has ${bytes.length}`, {
    hint: 'a file of 32 bytes holds TEK and TIK and is given with --tk',
  });
}

/** Throws `usage` when record or keys are to be read from standard input by a command that marks both used. */
export function checkMarkable({ record, tk }: { readonly record: string; readonly tk?: string }): void {
  for (const [option, given, made] of [
    ['--record', record, 'record.json'],
    ['--tk', tk, 'tk'],
  ]) {
    if (given !== '-') continue;
    throw new BootsealError('usage', `${option} needs the file itself: it is marked that it served`, {
      hint: `give the path of ${made} in the folder that session create or launch prepare made`,
    });
  }
}

/** Returns the `tk` file that session create put beside the record. */
export function besideRecord(record: string): string {
  return path.join(path.dirname(record), 'tk');
}
