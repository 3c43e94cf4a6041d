/** @module Bytes of a known length as text, in either of the encodings that people have them in. */
import { base64ToBytes } from '../core/base64.ts';
import { BootsealError } from '../core/errors.ts';
import { hexToBytes, isHexText } from '../core/hex.ts';

/**
 * Returns the bytes of hexadecimal or base64 text, where they are what is wanted. Digits alone are never base64: the 64 of a digest of
 * SEV would be 48 bytes, as long as a digest of SNP.
 */
export function hexOrBase64(text: string, isWanted: (bytes: Uint8Array) => boolean): Uint8Array | undefined {
  const bytes = decoded(text);
  return bytes !== undefined && isWanted(bytes) ? bytes : undefined;
}

function decoded(text: string): Uint8Array | undefined {
  try {
    return isHexText(text) ? hexToBytes(text) : base64ToBytes(text);
  } catch (error) {
    if (error instanceof BootsealError) return undefined;
    throw error;
  }
}

/** Returns how many hexadecimal digits the text is, when it is too many for the name of a file; undefined for other text. */
export function manyHexDigits(text: string): number | undefined {
  const digits = text.replace(/^0x/i, '').length;
  return isHexText(text) && digits >= 32 ? digits : undefined;
}
