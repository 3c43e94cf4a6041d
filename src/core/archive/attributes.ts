/** @module Extended attributes as the text that setfattr takes (attr package, setfattr(1), `--restore`), and what fakeroot can keep of them. */

import { BootsealError } from '../errors.ts';
import { bytesToHex } from '../hex.ts';
import { shownPath } from './entry.ts';
import type { Inode } from './tree.ts';

/** Returns the text for one file. Everything that could mean something else is in octal. */
export function attributesText(path: string, { xattrs }: Inode): string {
  if (xattrs.size === 0) return '';
  const lines = [...xattrs].map(
    ([name, value]) => `${inOctal(name)}=${value.length === 0 ? '""' : `0x${bytesToHex(value)}`}\n`,
  );
  return `# file: ${inOctal(path)}\n${lines.join('')}\n`;
}

const inOctal = (text: string): string =>
  text.replace(/[^A-Za-z0-9_./-]/g, (letter) => `\\${letter.charCodeAt(0).toString(8).padStart(3, '0')}`);

/** What one message between fakeroot's library and its daemon takes (version 1.31, measured): a name with value, or all names of a file. */
const MESSAGE = 1024;

/** Throws `format` naming the file for attributes that fakeroot cannot keep. */
export function checkAttributes(path: string, { xattrs }: Inode): void {
  let names = 0;
  for (const [name, value] of xattrs) {
    names += name.length + 1;
    if (name.length + 1 + value.length > MESSAGE) {
      throw tooLarge(`${shownPath(path)}: the attribute ${shownPath(name)} has ${value.length} bytes`);
    }
  }
  if (names > MESSAGE) throw tooLarge(`${shownPath(path)}: the names of its attributes have ${names} bytes`);
}

function tooLarge(what: string): BootsealError {
  return new BootsealError('format', `${what}, and what makes EROFS of archives keeps ${MESSAGE}`, {
    hint: 'unpack the archive as root and give the folder, take --filesystem ext4, or leave the attribute out',
  });
}
