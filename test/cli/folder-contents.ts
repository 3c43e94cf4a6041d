/** @module What a folder holds, to be compared with what it holds later. */
import * as fs from 'node:fs';
import * as path from 'node:path';

/** Returns modes and bytes of all that is in a folder, by name. */
export function folderContents(folder: string): Readonly<Record<string, string>> {
  const names = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names.map((name) => {
      const stat = fs.lstatSync(path.join(folder, name));
      const content = stat.isFile() ? fs.readFileSync(path.join(folder, name)).toString('base64') : '';
      return [name, `${stat.mode} ${content}`];
    }),
  );
}
