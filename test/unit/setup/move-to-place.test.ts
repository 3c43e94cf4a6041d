import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { scratch } from '../../cli/script.ts';

const { moveToPlace } = createRequire(import.meta.url)('../../../bin/setup/steps.js') as {
  moveToPlace(folder: string, place: string): void;
};

it('lets two set-ups that run at once have the same folder: the first one to finish places it', () => {
  const { folder, remove } = scratch();
  const at = (name: string) => path.join(folder, name);
  for (const name of ['first', 'second']) {
    fs.mkdirSync(at(name));
    fs.writeFileSync(path.join(at(name), 'file'), name);
  }
  moveToPlace(at('first'), at('place'));
  moveToPlace(at('second'), at('place'));
  expect(fs.readFileSync(path.join(at('place'), 'file'), 'utf8')).toBe('first');
  // Anything else that goes wrong is told.
  expect(() => moveToPlace(at('missing'), at('place'))).toThrow(/ENOENT/);
  expect(() => moveToPlace(at('second'), path.join(at('place'), 'file'))).toThrow(/ENOTDIR/);
  remove();
});
