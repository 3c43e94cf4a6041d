/** @module Hexadecimal text. */
import { BootsealError } from './errors.ts';

const DIGITS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Returns lower-case digits, two per byte, without a prefix. */
export function bytesToHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += DIGITS[byte];
  return text;
}

/** Tells whether text is hexadecimal digits, with or without `0x`: where their number is a multiple of four it is base64 of other bytes as well, which nobody means. */
export function isHexText(text: string): boolean {
  return /^(0x)?[0-9a-f]+$/i.test(text);
}

/** Reads hexadecimal digits of either case, with or without `0x`; throws `format` for anything else. */
export function hexToBytes(text: string): Uint8Array {
  const digits = text.replace(/^0x/i, '');
  if (digits.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(digits)) {
    throw new BootsealError('format', 'not an even number of hexadecimal digits', {
      hint: 'give two digits 0-9 and a-f for each byte, with or without 0x before them all',
    });
  }
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
