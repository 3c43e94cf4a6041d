/** @module Base64 (RFC 4648 section 4), strict: one text for one value, so that nothing is silently dropped. */
import { BootsealError } from './errors.ts';

const HINT = 'give it as it was written: padded, without line breaks or other characters';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const TEXT = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Returns padded base64 without line breaks. */
export function bytesToBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += ALPHABET.charAt(group >> 18) + ALPHABET.charAt((group >> 12) & 63);
    text += left > 1 ? ALPHABET.charAt((group >> 6) & 63) : '=';
    text += left > 2 ? ALPHABET.charAt(group & 63) : '=';
  }
  return text;
}

/** Reads padded base64; throws `format` for other characters, missing padding or non-zero unused bits. */
export function base64ToBytes(text: string): Uint8Array {
  if (text.length % 4 !== 0 || !TEXT.test(text)) throw new BootsealError('format', 'not base64', { hint: HINT });
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const out = new Uint8Array((text.length / 4) * 3 - padding);
  let at = 0;
  for (let i = 0; i < text.length; i += 4) {
    let group = 0;
    for (let j = 0; j < 4; j++) group = (group << 6) | Math.max(0, ALPHABET.indexOf(text.charAt(i + j)));
    const inGroup = Math.min(3, out.length - at);
    if ((group & ((1 << (8 * (3 - inGroup))) - 1)) !== 0) {
      throw new BootsealError('format', 'not base64: unused bits are set', { hint: HINT });
    }
    for (let j = 0; j < inGroup; j++) out[at++] = (group >> (16 - 8 * j)) & 0xff;
  }
  return out;
}
