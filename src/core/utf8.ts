/** @module UTF-8 (RFC 3629), strict: what is not UTF-8 is refused, never replaced. */
import { BootsealError } from './errors.ts';
import { bytesToHex } from './hex.ts';

const PIECE = 4096;

/** Returns the text's bytes; throws `format` when half of a surrogate pair stands alone in it. */
export function encodeUtf8(text: string): Uint8Array {
  let escaped: string;
  try {
    escaped = encodeURIComponent(text);
  } catch (cause) {
    throw new BootsealError('format', 'a text holds half a character', { hint: 'write it again in UTF-8', cause });
  }
  const bytes: number[] = [];
  for (let i = 0; i < escaped.length; i++) {
    const isEscape = escaped.charAt(i) === '%';
    bytes.push(isEscape ? Number.parseInt(escaped.slice(i + 1, i + 3), 16) : escaped.charCodeAt(i));
    if (isEscape) i += 2;
  }
  return Uint8Array.from(bytes);
}

/** Returns the text that the bytes are in UTF-8; throws `format` naming `where` when they are not. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  if (bytes.every((byte) => byte < 0x80)) return decodeAscii(bytes);
  try {
    return decodeURIComponent(bytesToHex(bytes).replace(/../g, '%$&'));
  } catch (cause) {
    throw new BootsealError('format', `${where}: not UTF-8`, {
      hint: 'write it again in UTF-8, or give the file that is meant',
      cause,
    });
  }
}

function decodeAscii(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += PIECE) text += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return text;
}
