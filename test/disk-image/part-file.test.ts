import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PartFile, writeParts } from '../../src/host/part-file.ts';
import { scratch } from '../cli/script.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

const named = (...names: string[]) =>
  names.map((name) => ({ file: path.join(folder, name), mode: 0o640, replace: false }));
const replacing = (...names: string[]) => named(...names).map((part) => ({ ...part, replace: true }));
const fill = (parts: readonly PartFile[]) =>
  Promise.all(parts.map(({ handle, file }) => handle.writeFile(`of ${path.basename(file)}`))).then(() => {});
const read = (name: string): string => fs.readFileSync(path.join(folder, name), 'utf8');

describe('writeParts', () => {
  it('gives files their names only when all are written', async () => {
    await writeParts(named('a', 'b'), async (parts) => {
      await fill(parts);
      expect(fs.readdirSync(folder).every((name) => /^[ab]\.[0-9a-f]{12}\.part$/.test(name))).toBe(true);
    });
    expect(fs.readdirSync(folder)).toEqual(['a', 'b']);
    expect([read('a'), read('b')]).toEqual(['of a', 'of b']);
    expect(fs.statSync(path.join(folder, 'a')).mode & 0o777).toBe(0o640);
  });

  it('leaves nothing when writing fails', async () => {
    const write = async (parts: readonly PartFile[]) => {
      await fill(parts);
      throw new Error('stop');
    };
    await expect(writeParts(named('a', 'b'), write)).rejects.toThrow('stop');
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it('refuses a name that exists before anything is written', async () => {
    fs.writeFileSync(path.join(folder, 'b'), 'mine');
    const write = async () => expect.unreachable();
    await expect(writeParts(named('a', 'b'), write)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${path.join(folder, 'b')}: it exists already`,
      hint: expect.stringContaining('--force'),
    });
    expect(fs.readdirSync(folder)).toEqual(['b']);
  });

  it('takes back the first name when the second is taken meanwhile', async () => {
    const write = async (parts: readonly PartFile[]) => {
      await fill(parts);
      fs.writeFileSync(path.join(folder, 'b'), 'mine');
    };
    await expect(writeParts(named('a', 'b'), write)).rejects.toMatchObject({
      kind: 'io',
      hint: expect.stringContaining('--force'),
    });
    expect(fs.readdirSync(folder)).toEqual(['b']);
    expect(read('b')).toBe('mine');
  });

  it('replaces files when told to, but nothing that is no file', async () => {
    fs.writeFileSync(path.join(folder, 'a'), 'old');
    await writeParts(replacing('a'), fill);
    expect(read('a')).toBe('of a');
    fs.mkdirSync(path.join(folder, 'b'));
    await expect(writeParts(named('b'), fill)).rejects.toMatchObject({
      kind: 'io',
      message: expect.stringContaining('is a directory'),
      hint: 'a folder is there: choose another name',
    });
    await expect(writeParts(replacing('a', 'b'), fill)).rejects.toMatchObject({
      kind: 'io',
      message: expect.stringContaining('is a directory'),
    });
    fs.symlinkSync('a', path.join(folder, 'c'));
    await expect(writeParts(replacing('c'), fill)).rejects.toMatchObject({ kind: 'io' });
    expect(read('a')).toBe('of a');
  });

  it('replaces all of them or none, and keeps no second name of what was there', async () => {
    fs.writeFileSync(path.join(folder, 'a'), 'old a');
    fs.writeFileSync(path.join(folder, 'c'), 'old c');
    // The second name is taken while the files are written.
    const late = (parts: Parameters<typeof fill>[0]) => {
      fs.mkdirSync(path.join(folder, 'b'));
      return fill(parts);
    };
    await expect(writeParts(replacing('a', 'c', 'b'), late)).rejects.toMatchObject({ kind: 'io' });
    expect([read('a'), read('c')]).toEqual(['old a', 'old c']);
    expect(fs.readdirSync(folder).sort()).toEqual(['a', 'b', 'c']);
    fs.rmdirSync(path.join(folder, 'b'));
    await writeParts(replacing('a', 'c', 'b'), fill);
    expect([read('a'), read('c'), read('b')]).toEqual(['of a', 'of c', 'of b']);
    expect(fs.readdirSync(folder).sort()).toEqual(['a', 'b', 'c']);
  });

  it('names the place that cannot be written', async () => {
    await expect(writeParts(named('none/a'), fill)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${path.join(folder, 'none/a')}: no such file or directory`,
    });
  });
});
