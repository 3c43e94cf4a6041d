/** @module The key of a new disk: given in a file, or made here. */
import { bytesToBase64 } from '../core/base64.ts';
import { wipe } from '../core/bytes.ts';
import { BootsealError } from '../core/errors.ts';
import { endsInNewline } from '../core/luks/key-strength.ts';
import { MAX_PAYLOAD } from '../core/secret/limits.ts';
import { type Io, readInput } from './io.ts';

/** Options about the key. */
export interface KeyOptions {
  readonly keyFile?: string;
  readonly newKey?: string;
  readonly keepNewline?: boolean;
}

/** A key; the bytes are the caller's to wipe. */
export interface ImageKey {
  readonly bytes: Uint8Array;
}

/** 256 bits. */
const NEW_KEY_SIZE = 32;

/**
 * Returns the key that the options give. A new one is 32 random bytes in base64: text without a line break, which every way to
 * hand over a key leaves as it is.
 *
 * @throws `usage` for none or both, for an empty key and for text that ends in a line break; `io`; `format` when no launch
 * secret could hold it
 */
export async function imageKey(io: Io, { keyFile, newKey, keepNewline = false }: KeyOptions): Promise<ImageKey> {
  if ((keyFile === undefined) === (newKey === undefined)) {
    throw new BootsealError('usage', 'a disk needs a key: give either --key-file or --new-key');
  }
  if (keyFile === undefined) {
    const random = io.randomBytes(NEW_KEY_SIZE);
    const bytes = new Uint8Array(Buffer.from(bytesToBase64(random), 'ascii'));
    wipe(random);
    return { bytes };
  }
  const bytes = await readInput(io, keyFile, MAX_PAYLOAD);
  if (bytes.length === 0) throw new BootsealError('usage', `the key in ${keyFile} is empty`);
  if (!keepNewline && endsInNewline(bytes)) {
    wipe(bytes);
    throw new BootsealError('usage', `the key in ${keyFile} ends in a line break, which is missing when it is typed`, {
      hint: 'take the line break out of the file, or say --keep-newline when the guest gets the file as it is',
    });
  }
  return { bytes };
}
