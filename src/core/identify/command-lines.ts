/**
 * @module What may have been measured of a command line: what the owner believes, and the usual slips in it. Editors and `echo` add
 * newlines; virtee/sev and snpguest up to 8.0.0 trim command lines (src/measurement/sev_hashes.rs).
 */
import { concat } from '../bytes.ts';
import type { Hashes } from '../hash.ts';
import { bytesToHex } from '../hex.ts';
import { encodeUtf8 } from '../utf8.ts';
import type { BootSlip } from './boots.ts';

/** One candidate, without the NUL that ends it. */
export interface PossibleCommandLine {
  readonly bytes: Uint8Array;
  readonly slips: readonly BootSlip[];
}

/** Returns each candidate once, those with fewer slips first; an empty one when nothing is believed. */
export function possibleCommandLines(believed: readonly Uint8Array[]): readonly PossibleCommandLine[] {
  const lines = believed.length === 0 ? [new Uint8Array()] : believed;
  const all: PossibleCommandLine[] = [...lines.map((bytes) => ({ bytes, slips: [] })), ...lines.flatMap(slipped)];
  const seen = new Set<string>();
  return all
    .sort((a, b) => a.slips.length - b.slips.length)
    .filter(({ bytes }) => {
      const key = bytes.join();
      return !seen.has(key) && seen.add(key);
    });
}

/** Returns the slips of one command line by what is then measured of it, SHA-256 in hexadecimal. */
export function commandLineSlips(line: Uint8Array, hashes: Hashes): ReadonlyMap<string, readonly BootSlip[]> {
  const some = possibleCommandLines([line]).filter(({ slips }) => slips.length > 0);
  return new Map(some.map(({ bytes, slips }) => [bytesToHex(hashCommandLine(bytes, hashes)), slips]));
}

/** Returns what QEMU hashes, with the NUL that ends it. */
export function hashCommandLine(line: Uint8Array, hashes: Hashes): Uint8Array {
  return hashes.sha256(concat(line, Uint8Array.of(0)));
}

function slipped(line: Uint8Array): readonly PossibleCommandLine[] {
  const one = (bytes: Uint8Array, ...slips: readonly BootSlip[]) => ({ bytes, slips });
  const ended = (end: string, of = line) => concat(of, encodeUtf8(end));
  return [
    one(withoutNewline(line), 'cmdline-without-newline'),
    one(withoutCrlf(line), 'cmdline-without-newline'),
    one(trimmed(line), 'cmdline-trimmed'),
    one(ended('\n'), 'cmdline-with-newline'),
    one(ended('\n', withoutLineEnd(line)), 'cmdline-with-newline'),
    one(ended(' '), 'cmdline-with-space'),
    one(withoutInitrdWord(line), 'cmdline-without-initrd-word'),
    one(new Uint8Array(), 'cmdline-empty'),
    one(ended('  '), 'cmdline-with-spaces'),
    one(concat(encodeUtf8(' '), line), 'cmdline-with-leading-space'),
    one(ended('\r\n', withoutLineEnd(line)), 'cmdline-with-crlf'),
    one(ended('\r\n'), 'cmdline-with-crlf'),
    one(ended(' \n'), 'cmdline-with-space', 'cmdline-with-newline'),
    one(withoutInitrdWord(withoutNewline(line)), 'cmdline-without-newline', 'cmdline-without-initrd-word'),
  ];
}

const RETURN = 0x0d;
const NEWLINE = 0x0a;
const SPACE = 0x20;
const WORD = 'initrd=initrd';

const withoutNewline = (line: Uint8Array) => (line.at(-1) === NEWLINE ? line.subarray(0, -1) : line);

/** As an editor of Windows ends lines. */
function withoutCrlf(line: Uint8Array): Uint8Array {
  return line.at(-1) === NEWLINE && line.at(-2) === RETURN ? line.subarray(0, -2) : line;
}

/** Without the end of its last line, of either kind. */
function withoutLineEnd(line: Uint8Array): Uint8Array {
  const bare = withoutCrlf(line);
  return bare === line ? withoutNewline(line) : bare;
}

/** At the end, and since tianocore/edk2 pull request 11115 at the start. */
function withoutInitrdWord(line: Uint8Array): Uint8Array {
  const [end, start] = [encodeUtf8(` ${WORD}`), encodeUtf8(`${WORD} `)];
  const at = line.length - end.length;
  if (at >= 0 && end.every((byte, i) => line[at + i] === byte)) return line.subarray(0, at);
  return start.every((byte, i) => line[i] === byte) ? line.subarray(start.length) : line;
}

function trimmed(line: Uint8Array): Uint8Array {
  const blank = (byte: number) => byte === SPACE || (byte >= 0x09 && byte <= 0x0d);
  const first = line.findIndex((byte) => !blank(byte));
  return first < 0 ? new Uint8Array() : line.subarray(first, line.findLastIndex((byte) => !blank(byte)) + 1);
}
