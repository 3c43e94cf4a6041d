/** @module Bytes of a known length as text, in either of the encodings that people have them in. */
import { base64ToBytes } from '../core/base64.ts';
import { BootsealError } from '../core/errors.ts';
import { hexToBytes } from '../core/hex.ts';

/** Returns the bytes of hexadecimal or base64 text, where they are what is wanted: digits are base64 of other bytes as well. */
export function hexOrBase64(text: string, isWanted: (bytes: Uint8Array) => boolean): Uint8Array | undefined {
  for (const decode of [hexToBytes, base64ToBytes]) {
    try {
      const bytes = decode(text);
      if (isWanted(bytes)) return bytes;
    } catch (error) {
      if (!(error instanceof BootsealError)) throw error;
    }
  }
  return undefined;
}
