import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { copyFile } from '../../src/host/image/copy-file.ts';
import { scratch } from '../cli/script.ts';
import { noise } from './raw-image.ts';

const { folder, remove } = scratch();
afterAll(remove);
const file = path.join(folder, 'a.efi');
const SIZE = 3 * 2 ** 20 + 5;

it('is copied whole', async () => {
  const bytes = noise(SIZE);
  fs.writeFileSync(file, bytes);
  const copy = Buffer.alloc(SIZE);
  await copyFile(file, SIZE, async (piece, at) => void copy.set(piece, at));
  expect(copy.equals(bytes)).toBe(true);
});

it.each([
  ['is written to in place', () => fs.writeFileSync(file, Buffer.alloc(SIZE, 1), { flag: 'r+' })],
  ['grows', () => fs.appendFileSync(file, 'more')],
  ['is cut', () => fs.truncateSync(file, 2 ** 20)],
])('is refused when it %s meanwhile', async (_, change) => {
  fs.writeFileSync(file, noise(SIZE));
  const copying = copyFile(file, SIZE, async (_bytes, at) => {
    if (at === 0) change();
  });
  await expect(copying).rejects.toMatchObject({ kind: 'io', message: `${file} was changed while the disk was made` });
});
