/** @module Names for the files that printed lines of shell make. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type Io, resolvePath } from './io.ts';

/**
 * Returns a name for `wanted` (`code.fd`, `code-2.fd`, and so on) that nothing here has: the lines destroy no file. None has the name of
 * an input elsewhere either, since the lines may be run there.
 */
export function freeName(io: Io, inputs: readonly string[], wanted: string): string {
  const names = new Set(inputs.map((input) => path.basename(input)));
  const { name: stem, ext } = path.parse(wanted);
  for (let i = 1; ; i++) {
    const name = i === 1 ? wanted : `${stem}-${i}${ext}`;
    if (!names.has(name) && !isThere(resolvePath(io, name))) return name;
  }
}

/** A link that leads nowhere is there too: what is written to it makes its target. */
function isThere(file: string): boolean {
  try {
    return fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // Nothing can be made in a folder that cannot be searched.
    return false;
  }
}
