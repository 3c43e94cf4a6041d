/** @module A file as an archive describes it, whatever kind of archive that is. */
import { BootsealError } from '../errors.ts';
import { decodeUtf8 } from '../utf8.ts';
import type { Time } from './pax.ts';

/** What to do about an archive that is broken, or means one thing to one reader and another to the next. */
export const ARCHIVE_AGAIN = {
  hint: 'make the archive again with GNU tar, or give the folder with its files',
} as const;

const RENAME = { hint: 'give it another name, and make the archive again' } as const;

/** What a file is. `link` is one more name of a file that stands in the archive before it. */
export type EntryKind = 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

/** A file without its content. Names have one letter a byte. */
export interface Entry {
  /** From the root, without a slash at either end; empty for the root itself. */
  readonly path: string;
  readonly kind: EntryKind;
  /** Permission bits with set-user-ID, set-group-ID and sticky bit. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Time;
  /** Bytes of content; 0 for all but files. */
  readonly size: number;
  /** Where a symbolic link leads; of a `link`, the path of the other name; else empty. */
  readonly target: string;
  readonly device: { readonly major: number; readonly minor: number };
  /** Extended attributes by name. */
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

const MAX_NAME = 255;
const MAX_PATH = 4000;

/**
 * Returns a path of an archive from the root: without "./" before it, slashes after it, and empty parts.
 *
 * @throws `format` for what leads out of the root (absolute, `..`) and for names that Linux or our tools cannot take
 */
export function entryPath(path: string, where: string): string {
  if (path.startsWith('/')) throw new BootsealError('format', `${where} is absolute`, ARCHIVE_AGAIN);
  if (path.length > MAX_PATH) throw new BootsealError('format', `${where}: longer than ${MAX_PATH} bytes`, RENAME);
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  for (const part of parts) checkName(part, where);
  return parts.join('/');
}

/** Throws `format` for a name that no file may have here. */
function checkName(name: string, where: string): void {
  if (name === '..') throw new BootsealError('format', `${where} leads out of the archive by ".."`, ARCHIVE_AGAIN);
  if (name.length > MAX_NAME)
    throw new BootsealError('format', `${where}: a name longer than ${MAX_NAME} bytes`, RENAME);
  checkLine(name, where);
}

/** debugfs reads a line for each command, and C ends texts at a zero. */
export function checkLine(text: string, where: string): void {
  const bad = /[\0\n]/.exec(text)?.[0];
  if (bad === undefined) return;
  throw new BootsealError('format', `${where}: a name with a ${bad === '\n' ? 'line break' : 'zero byte'}`, RENAME);
}

const SHOWN = 200;

/** Returns a path for people, in quotes. */
export function shownPath(path: string): string {
  const bytes = Uint8Array.from(path.slice(0, SHOWN), (letter) => letter.charCodeAt(0));
  let text: string;
  try {
    text = decodeUtf8(bytes, 'path');
  } catch {
    text = path.slice(0, SHOWN);
  }
  return JSON.stringify(path.length > SHOWN ? `${text}…` : text);
}
