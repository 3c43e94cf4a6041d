/** @module Keys that open a disk: given in files, or made here. */
import { bytesToBase64 } from '../core/base64.ts';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { endsInNewline } from '../core/luks/key-strength.ts';
import { MAX_PAYLOAD } from '../core/secret/limits.ts';
import type { Io } from './io.ts';
import { readKeyFile } from './key-file.ts';

/** Options about the key that a launch releases. */
export interface KeyOptions {
  readonly keyFile?: string;
  readonly newKey?: string;
  readonly keepNewline?: boolean;
}

/** 256 bits. */
const NEW_KEY_SIZE = 32;

/**
 * Returns the key that the options give, which is the caller's to wipe; undefined where they ask for a new one.
 *
 * @throws `usage` for none or both, and as {@link readNewKey}
 */
export async function readGivenKey(
  io: Io,
  { keyFile, newKey, keepNewline = false }: KeyOptions,
): Promise<Uint8Array | undefined> {
  if ((keyFile === undefined) === (newKey === undefined)) {
    throw new BootsealError('usage', 'a disk needs a key: give either --key-file or --new-key', {
      hint: '--new-key FILE makes a key and writes it there',
    });
  }
  return keyFile === undefined ? undefined : readNewKey(io, keyFile, keepNewline);
}

/**
 * Returns a new key, which is the caller's to wipe: 32 random bytes in base64, text without a line break, which every way to hand
 * over a key leaves as it is.
 */
export function newImageKey(random: (size: number) => Uint8Array): Uint8Array {
  const raw = random(NEW_KEY_SIZE);
  const bytes = new Uint8Array(Buffer.from(bytesToBase64(raw), 'ascii'));
  wipe(raw);
  return bytes;
}

/**
 * Reads a key that shall open a disk from now on; it is the caller's to wipe.
 *
 * @throws `usage` for an empty key and for text that ends in a line break; `io`; `format` when no launch secret could hold it
 */
export async function readNewKey(io: Io, file: string, keepNewline: boolean): Promise<Uint8Array> {
  const bytes = await readKeyFile(io, file, MAX_PAYLOAD);
  if (bytes.length === 0) {
    throw new BootsealError('usage', `the key in ${file} is empty`, {
      hint: 'put a key into the file, or have --new-key make one',
    });
  }
  if (!keepNewline && endsInNewline(bytes)) {
    wipe(bytes);
    throw new BootsealError('usage', `the key in ${file} ends in a line break, which is missing when it is typed`, {
      hint: 'take the line break out of the file, or say --keep-newline when the guest gets the file as it is',
    });
  }
  return bytes;
}
