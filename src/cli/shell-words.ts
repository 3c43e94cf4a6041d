/** @module Text as words of a POSIX shell's command, on one line each and without control characters. */
import { printable } from './io.ts';

/** Returns `text` as one word; `$(…)` would take newlines off its end, so that one with such is not to be given. */
export function shellWord(text: string): string {
  if (printable(text) !== text) return `"$(printf '${printfText(text)}')"`;
  return /^[A-Za-z0-9_./:=,+@%-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Returns what makes printf, which gets it in single quotes, print `text`. */
export function printfText(text: string): string {
  return Array.from(text, (letter) => {
    if (letter === '%') return '%%';
    return /['\\]/.test(letter) || printable(letter) !== letter ? printfBytes(Buffer.from(letter)) : letter;
  }).join('');
}

/** Returns what makes printf print `bytes`: POSIX gives it no hexadecimal digits. */
export function printfBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
}
