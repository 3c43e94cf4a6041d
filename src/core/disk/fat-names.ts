/**
 * @module Names in a directory of FAT: a short one of 8 and 3 letters for everybody, and a long one in front of it
 * (Microsoft FAT32 File System Specification 1.03, "FAT Long Directory Entries").
 */
import { BootsealError } from '../errors.ts';

/** A name in both forms. */
export interface FatName {
  /** 11 bytes: 8 and 3, filled up with blanks. */
  readonly short: Uint8Array;
  /** UTF-16 units of the long name; undefined where the short one says it all. */
  readonly long: readonly number[] | undefined;
}

const MAX_UNITS = 255;
const FORBIDDEN = /[\p{Cc}"*/:<>?\\|]/u;
const SHORT_NAME = /^[A-Z0-9!#$%&'()@^_`{}~-]{1,8}(?:\.[A-Z0-9!#$%&'()@^_`{}~-]{1,3})?$/;
const NOT_SHORT = /[^A-Z0-9!#$%&'()@^_`{}~-]/gu;

/**
 * Returns the names of everything in one directory, in their order.
 *
 * @throws `usage` for a name that FAT cannot hold, and for two that differ only in case
 */
export function fatNames(names: readonly string[]): readonly FatName[] {
  const seen = new Set<string>();
  for (const name of names) {
    checkName(name);
    const upper = name.toUpperCase();
    if (seen.has(upper)) {
      throw new BootsealError('usage', `FAT knows no case, and ${show(name)} is there twice`, {
        hint: 'rename one of the two',
      });
    }
    seen.add(upper);
  }
  // Names that need no number first: a number must not make another name of one of them.
  const taken = new Set([...seen].filter((upper) => SHORT_NAME.test(upper)));
  return names.map((name) => {
    const upper = name.toUpperCase();
    const short = SHORT_NAME.test(upper) ? upper : numbered(upper, taken);
    const long = name === short ? undefined : Array.from({ length: name.length }, (_, i) => name.charCodeAt(i));
    return { short: pad(short), long };
  });
}

function checkName(name: string): void {
  if (name.length > MAX_UNITS) {
    throw new BootsealError('usage', `FAT has names of at most ${MAX_UNITS} letters: ${show(name)}`, {
      hint: 'give it a shorter name',
    });
  }
  if (FORBIDDEN.test(name) || /[. ]$/.test(name) || name === '') {
    throw new BootsealError('usage', `FAT cannot hold the name ${show(name)}`, {
      hint: 'it takes no control characters, none of " * / : < > ? \\ |, and no dot or blank at the end',
    });
  }
}

const show = (name: string): string => JSON.stringify(name.slice(0, 64));

/** Returns `NAME~1.EXT` with the first number that is free. */
function numbered(upper: string, taken: Set<string>): string {
  const dot = upper.lastIndexOf('.');
  const clean = (part: string) => part.replaceAll(/[. ]/g, '').replaceAll(NOT_SHORT, '_');
  const base = clean(dot > 0 ? upper.slice(0, dot) : upper);
  const extension = dot > 0 ? clean(upper.slice(dot + 1)).slice(0, 3) : '';
  for (let number = 1; ; number++) {
    const tail = `~${number}`;
    const short = `${base.slice(0, 8 - tail.length)}${tail}${extension === '' ? '' : `.${extension}`}`;
    if (taken.has(short)) continue;
    taken.add(short);
    return short;
  }
}

function pad(short: string): Uint8Array {
  const [base = '', extension = ''] = short.split('.');
  return Uint8Array.from(base.padEnd(8) + extension.padEnd(3), (letter) => letter.charCodeAt(0));
}
