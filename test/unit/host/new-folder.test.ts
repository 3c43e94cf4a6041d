import * as fs from 'node:fs';
import * as promises from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkNewFolder, liesIn, rehearseNewFolder, writeNewFolder } from '../../../src/host/new-folder.ts';
import { scratch } from '../../cli/script.ts';
import { HINT } from '../../failure.ts';

/** The real file system, with a place for a test to make one rename fail. */
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof promises>();
  return { ...real, rename: vi.fn(real.rename) };
});
const { rename: realRename } = await vi.importActual<typeof promises>('node:fs/promises');
const rename = vi.mocked(promises.rename);

const FILES = [
  { name: 'tk', bytes: 'new key', mode: 0o600 },
  { name: 'godh', bytes: 'new godh', mode: 0o644 },
];
const NAMES = ['tk', 'godh'];

let folder: string;
let remove: () => void;
let target: string;

beforeEach(() => {
  ({ folder, remove } = scratch());
  target = path.join(folder, 'launch');
  rename.mockImplementation(realRename);
});
afterEach(() => remove());

const put = (name: string, text = 'kept') => {
  fs.mkdirSync(path.dirname(path.join(target, name)), { recursive: true });
  fs.writeFileSync(path.join(target, name), text);
};
const written = (name = 'tk') => fs.readFileSync(path.join(target, name), 'utf8');

/** Makes the renames fail that `fails` picks, by their number from 1. */
function failRename(fails: (count: number) => boolean): void {
  let count = 0;
  rename.mockImplementation(async (from, to) => {
    count += 1;
    if (fails(count)) throw Object.assign(new Error('injected'), { code: 'EACCES' });
    return realRename(from, to);
  });
}

describe('writeNewFolder', () => {
  it('writes the files with their modes, for their owner alone', async () => {
    await writeNewFolder(target, FILES);
    expect(fs.readdirSync(target).sort()).toEqual(['godh', 'tk']);
    expect(written()).toBe('new key');
    const modes = ['', 'tk', 'godh'].map((name) => fs.statSync(path.join(target, name)).mode & 0o777);
    expect(modes).toEqual([0o700, 0o600, 0o644]);
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it.each([false, true])('takes the place of an empty folder (replace: %s)', async (replace) => {
    fs.mkdirSync(target);
    await writeNewFolder(target, FILES, replace);
    expect(written()).toBe('new key');
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it('refuses a folder with something in it, and says how to replace it', async () => {
    put('tk');
    await expect(writeNewFolder(target, FILES)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${target}: it exists already`,
      hint: expect.stringContaining('--force'),
    });
    expect(written()).toBe('kept');
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it('refuses a folder that got something between the look and the rename', async () => {
    rename.mockImplementation(async (from, to) => {
      put('tk');
      return realRename(from, to);
    });
    await expect(writeNewFolder(target, FILES)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${target}: it exists already`,
      hint: expect.stringContaining('--force'),
    });
    expect(written()).toBe('kept');
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });
});

describe('rehearseNewFolder', () => {
  it.each(['nothing', 'an empty folder', 'an earlier one'])('leaves %s as it was', async (there) => {
    if (there !== 'nothing') fs.mkdirSync(target, { mode: 0o750 });
    if (there === 'an earlier one') put('tk', 'old key');
    const before = fs.existsSync(target) ? fs.statSync(target).ino : undefined;
    await rehearseNewFolder(target, ['tk'], there === 'an earlier one');
    expect(fs.readdirSync(folder)).toEqual(there === 'nothing' ? [] : ['launch']);
    expect(fs.existsSync(target) ? fs.statSync(target).ino : undefined).toBe(before);
    if (there === 'an earlier one') expect(fs.readFileSync(path.join(target, 'tk'), 'utf8')).toBe('old key');
  });

  it('refuses where the rename would fail, as on a mounted folder, and leaves what is there', async () => {
    fs.mkdirSync(target);
    const before = fs.statSync(target).ino;
    failRename((count) => count === 1);
    await expect(rehearseNewFolder(target, [])).rejects.toMatchObject({ kind: 'io' });
    expect(fs.readdirSync(folder)).toEqual(['launch']);
    expect(fs.statSync(target).ino).toBe(before);
  });

  it('refuses a name that grows too long while it is written', async () => {
    const long = path.join(folder, 'o'.repeat(245));
    await expect(rehearseNewFolder(long, [])).rejects.toMatchObject({
      kind: 'io',
      message: expect.stringContaining('the name is too long'),
    });
    expect(fs.readdirSync(folder)).toEqual([]);
  });
});

describe('writeNewFolder with replace', () => {
  it('replaces what it wrote before, or a part of that', async () => {
    await writeNewFolder(target, [{ name: 'tk', bytes: 'old', mode: 0o600 }]);
    await writeNewFolder(target, FILES, true);
    expect(written()).toBe('new key');
    expect(fs.readdirSync(target).sort()).toEqual(['godh', 'tk']);
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it.each(['notes.txt', 'tk/notes.txt', 'godh2', '.hidden'])('refuses a folder that also holds %s', async (name) => {
    put(name);
    const refusal = {
      kind: 'io',
      message: `cannot replace ${target}: it holds "${name.split('/')[0]}", which this command does not write`,
      hint: expect.stringContaining('choose another name'),
    };
    await expect(checkNewFolder(target, NAMES, true)).rejects.toMatchObject(refusal);
    await expect(writeNewFolder(target, FILES, true)).rejects.toMatchObject(refusal);
    expect(written(name)).toBe('kept');
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it('refuses a folder in which a file is a link', async () => {
    fs.mkdirSync(target);
    fs.symlinkSync('/etc/hostname', path.join(target, 'tk'));
    await expect(writeNewFolder(target, FILES, true)).rejects.toMatchObject({ kind: 'io', hint: HINT });
    expect(fs.readlinkSync(path.join(target, 'tk'))).toBe('/etc/hostname');
  });

  it.each(['link', 'file'])('refuses a %s, even one to a folder it could replace', async (what) => {
    const other = path.join(folder, 'other');
    await writeNewFolder(other, FILES);
    if (what === 'link') fs.symlinkSync(other, target);
    else fs.writeFileSync(target, 'kept');
    for (const replace of [false, true]) {
      await expect(writeNewFolder(target, FILES, replace)).rejects.toMatchObject({
        kind: 'io',
        message: `cannot write ${target}: it exists already and is no folder`,
        hint: expect.stringContaining('choose another name'),
      });
    }
    expect(fs.lstatSync(target).isDirectory()).toBe(false);
    expect(fs.readdirSync(folder).sort()).toEqual(['launch', 'other']);
  });

  it.each([
    ['the old folder cannot be moved', 1],
    ['the new folder cannot take its place', 2],
  ])('leaves the old folder as it was when %s', async (_, failing) => {
    put('tk', 'old key');
    failRename((count) => count === failing);
    await expect(writeNewFolder(target, FILES, true)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${target}: permission denied`,
    });
    expect(written()).toBe('old key');
    expect(fs.readdirSync(target)).toEqual(['tk']);
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it('keeps the old folder and says where it is when it cannot be put back', async () => {
    put('tk', 'old key');
    failRename((count) => count > 1);
    const failed = await writeNewFolder(target, FILES, true).catch((error: Error) => error.message);
    const [kept = '', ...others] = fs.readdirSync(folder);
    expect(others).toEqual([]);
    expect(failed).toBe(`cannot write ${target}, and what was there is now ${path.join(folder, kept)}`);
    expect(fs.readFileSync(path.join(folder, kept, 'tk'), 'utf8')).toBe('old key');
  });

  it('puts the old folder back when something came into it meanwhile', async () => {
    put('tk', 'old key');
    rename.mockImplementationOnce(async (from, to) => {
      put('notes.txt');
      return realRename(from, to);
    });
    await expect(writeNewFolder(target, FILES, true)).rejects.toMatchObject({
      message: `cannot replace ${target}: it holds "notes.txt", which this command does not write`,
    });
    expect([written(), written('notes.txt')]).toEqual(['old key', 'kept']);
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });
});

describe('writeNewFolder with folders in it', () => {
  const TREE = [
    { name: 'etc/a/hook', bytes: 'hook', mode: 0o755 },
    { name: 'etc/a/b/conf', bytes: 'conf', mode: 0o664 },
    { name: 'readme', bytes: 'readme', mode: 0o444 },
  ];
  const modeOf = (name: string) => fs.statSync(path.join(target, name)).mode & 0o777;

  it('makes them, with exactly the modes that were asked for', async () => {
    await writeNewFolder(target, TREE, false, { folderMode: 0o775 });
    expect(['', 'etc', 'etc/a', 'etc/a/b'].map(modeOf)).toEqual([0o775, 0o775, 0o775, 0o775]);
    expect(TREE.map(({ name }) => modeOf(name))).toEqual(TREE.map(({ mode }) => mode));
    expect(written('etc/a/b/conf')).toBe('conf');
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it('makes them for their owner alone when nothing is asked for', async () => {
    await writeNewFolder(target, TREE);
    expect(['', 'etc', 'etc/a/b'].map(modeOf)).toEqual([0o700, 0o700, 0o700]);
  });

  it('replaces what it wrote before, or a part of that', async () => {
    put('etc/a/hook', 'old');
    await writeNewFolder(target, TREE, true);
    expect(written('etc/a/hook')).toBe('hook');
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it.each([
    ['etc/a/b/notes.txt', 'etc/a/b/notes.txt'],
    ['etc/c/notes.txt', 'etc/c'],
    ['etc/a/hook/notes.txt', 'etc/a/hook'],
    ['etc', 'etc'],
  ])('refuses a folder that also holds %s', async (name, named) => {
    put(name);
    await expect(writeNewFolder(target, TREE, true)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot replace ${target}: it holds "${named}", which this command does not write`,
    });
    expect(written(name)).toBe('kept');
    expect(fs.readdirSync(folder)).toEqual(['launch']);
  });

  it('refuses a link in the place of a folder', async () => {
    fs.mkdirSync(path.join(folder, 'elsewhere', 'a'), { recursive: true });
    fs.writeFileSync(path.join(folder, 'elsewhere', 'a', 'hook'), 'kept');
    fs.mkdirSync(target);
    fs.symlinkSync('../elsewhere', path.join(target, 'etc'));
    await expect(writeNewFolder(target, TREE, true)).rejects.toMatchObject({ kind: 'io', hint: HINT });
    expect(fs.readFileSync(path.join(folder, 'elsewhere', 'a', 'hook'), 'utf8')).toBe('kept');
  });
});

describe('liesIn', () => {
  it('sees through links and dots, and knows a name that only begins alike', async () => {
    put('tk');
    fs.mkdirSync(path.join(folder, 'launch2'));
    fs.writeFileSync(path.join(folder, 'launch2', 'tk'), '');
    fs.symlinkSync(path.join(target, 'tk'), path.join(folder, 'link'));
    const inside = ['launch', 'launch/tk', 'link', 'launch2/../launch/tk'];
    const outside = ['launch2', 'launch2/tk', 'launch/none', 'none', ''];
    const asked = [...inside, ...outside].map((name) => liesIn(target, path.join(folder, name)));
    expect(await Promise.all(asked)).toEqual([...inside.map(() => true), ...outside.map(() => false)]);
    expect(await liesIn('/', target)).toBe(true);
    expect(await liesIn(path.join(folder, 'none'), target)).toBe(false);
  });
});
