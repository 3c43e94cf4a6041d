/** @module Values of fixed length on the command line: digests and IDs of SNP. */
import { BootsealError } from '../core/errors.ts';
import { hexToBytes } from '../core/hex.ts';
import { hexOrBase64, manyHexDigits } from './hex-or-base64.ts';
import { type Io, readInput } from './io.ts';

/** A file with a digest in it is no larger; bytes. */
const LIMIT = 1024;
const DIGEST_SIZE = 48;

const HINT = 'give it as measure snp prints it: 96 hexadecimal digits, or base64';

/** Returns the 48 bytes of a digest: as text, hexadecimal or base64, or the name of a file with that text, or `-`. Throws `usage`, `io`. */
export async function snpDigest(io: Io, text: string, option: string): Promise<Uint8Array> {
  const asText = decoded(text);
  if (asText !== undefined) return asText;
  const digits = manyHexDigits(text);
  if (digits !== undefined) throw wrongLength(option, `${digits} hexadecimal digits`);
  const content = Buffer.from(await readInput(io, text, LIMIT))
    .toString('latin1')
    .trim();
  const inFile = decoded(content);
  if (inFile === undefined) throw wrongLength(option, `what is in ${text === '-' ? 'standard input' : text}`);
  return inFile;
}

const decoded = (text: string) => hexOrBase64(text, (bytes) => bytes.length === DIGEST_SIZE);

const wrongLength = (option: string, what: string): BootsealError =>
  new BootsealError('usage', `${option}: ${what} is no SNP digest of ${DIGEST_SIZE} bytes`, { hint: HINT });

/** Reads the 16 bytes of an ID, as 32 hexadecimal digits in the order in which they are stored; throws `usage`. */
export function sixteenBytes(text: string, option: string): Uint8Array {
  if (/^[0-9a-f]{32}$/i.test(text)) return hexToBytes(text);
  throw new BootsealError('usage', `${option} takes 32 hexadecimal digits, not ${JSON.stringify(text.slice(0, 64))}`, {
    hint: 'reports show the bytes in this order; a GUID is stored in another one, and is not taken',
  });
}
