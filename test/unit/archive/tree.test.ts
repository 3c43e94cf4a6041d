import { describe, expect, it } from 'vitest';
import { type Entry, entryPath, shownPath } from '../../../src/core/archive/entry.ts';
import {
  addEntry,
  type Directory,
  emptyTree,
  findNode,
  isDirectory,
  overlay,
  walkTree,
} from '../../../src/core/archive/tree.ts';
import { addLayer, whiteoutOf } from '../../../src/core/archive/whiteout.ts';

function entry(path: string, kind: Entry['kind'] = 'file', over: Partial<Entry> = {}): Entry {
  const [device, mtime] = [
    { major: 0, minor: 0 },
    { seconds: 7, nanoseconds: 0 },
  ];
  return { path, kind, mode: 0o644, uid: 1, gid: 1, mtime, size: 0, target: '', device, xattrs: new Map(), ...over };
}

const link = (path: string, target: string) => entry(path, 'link', { target });

/** Puts archives over each other; returns the tree. */
function build(layers: boolean, ...archives: readonly Entry[][]): Directory {
  const tree = emptyTree();
  for (const [number, entries] of archives.entries()) {
    const over = overlay(tree, number, `layer ${number}`);
    if (layers) addLayer(over, entries);
    else for (const [i, one] of entries.entries()) addEntry(over, one, i);
  }
  return tree;
}

const paths = (tree: Directory) => [...walkTree(tree)].map(({ path }) => path);
const refuse = (message: string, ...entries: Entry[]) => {
  expect(() => build(false, entries)).toThrow(expect.objectContaining({ kind: 'format', message }));
};

describe('addEntry', () => {
  it('makes the directories that nobody describes, each one of its own', () => {
    const tree = build(false, [entry('a/b/c'), entry('d/e')]);
    expect(paths(tree)).toEqual(['a', 'a/b', 'a/b/c', 'd', 'd/e']);
    const [a, d] = [findNode(tree, 'a'), findNode(tree, 'd')] as Directory[];
    expect(a?.inode).toEqual({ ...d?.inode });
    expect(a?.inode).not.toBe(d?.inode);
    expect(a?.inode).toMatchObject({ mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 0 }, kind: 'directory' });
  });

  it('describes the root, and directories before or after what is in them', () => {
    const tree = build(false, [entry('a/b'), entry('a', 'directory', { mode: 0o700 }), entry('', 'directory')]);
    expect(tree.inode).toMatchObject({ uid: 1, place: { archive: 0, entry: 2 } });
    expect(findNode(tree, 'a')).toMatchObject({ inode: { mode: 0o700 } });
    expect(paths(tree)).toEqual(['a', 'a/b']);
  });

  it('takes the last of two files, whose other names keep the first', () => {
    const tree = build(false, [entry('a'), link('b', 'a'), entry('a')]);
    expect(findNode(tree, 'a')).toMatchObject({ place: { archive: 0, entry: 2 } });
    expect(findNode(tree, 'b')).toMatchObject({ place: { archive: 0, entry: 0 } });
  });

  it('gives one file several names', () => {
    const tree = build(false, [entry('a/x', 'symlink', { target: 't' }), link('b', 'a/x'), link('c', 'b')]);
    expect(findNode(tree, 'c')).toBe(findNode(tree, 'a/x'));
  });

  it('walks in the order of bytes, directories first', () => {
    const names = ['b', 'a0', 'a/z', 'a', '\u00ff', 'Z'].map((path) =>
      entry(path, path === 'a' ? 'directory' : 'file'),
    );
    expect(paths(build(false, names))).toEqual(['Z', 'a', 'a/z', 'a0', 'b', '\u00ff']);
  });

  it('refuses what lies in something that is no directory', () => {
    refuse(
      'layer 0: "a/b": its directory "a" is a symbolic link',
      entry('a', 'symlink', { target: '/etc' }),
      entry('a/b'),
    );
    refuse('layer 0: "a/b/c": its directory "a/b" is no directory', entry('a/b'), entry('a/b/c'));
    refuse('layer 0: "a/b": its directory "a" is no directory', entry('a', 'fifo'), entry('a/b', 'directory'));
  });

  it('refuses a path that is two things in one archive', () => {
    refuse('layer 0: "a": stands there as file and as symlink', entry('a'), entry('a', 'symlink', { target: 'x' }));
    refuse('layer 0: "a": stands there as directory and as file', entry('a/b'), entry('a'));
    refuse('layer 0: "a": stands there as file and as directory', entry('a'), entry('a', 'directory'));
  });

  it('refuses names of what is not there, or of a directory', () => {
    refuse('layer 0: "a": another name of "b", which is not there', link('a', 'b'));
    refuse('layer 0: "a": another name of "d", a directory', entry('d', 'directory'), link('a', 'd'));
    const through = [entry('s', 'symlink', { target: 'd' }), entry('d/x'), link('a', 's/x')];
    refuse('layer 0: "a": another name of "s/x", which is not there', ...through);
  });
});

describe('addLayer', () => {
  it('replaces files, keeps directories, and lets one become the other', () => {
    const tree = build(
      true,
      [entry('d/keep'), entry('d/old'), entry('f'), entry('gone/x')],
      [entry('d', 'directory', { uid: 5 }), entry('d/old', 'fifo'), entry('f/now'), entry('gone')].filter(
        ({ path }) => path !== 'f/now',
      ),
      [entry('f', 'directory'), entry('f/now')],
    );
    expect(paths(tree)).toEqual(['d', 'd/keep', 'd/old', 'f', 'f/now', 'gone']);
    expect(findNode(tree, 'd')).toMatchObject({ inode: { uid: 5 } });
    expect(findNode(tree, 'd/old')).toMatchObject({ kind: 'fifo', place: { archive: 1, entry: 1 } });
    expect(isDirectory(findNode(tree, 'gone'))).toBe(false);
  });

  it('takes away files and folders of the layers below, whatever the order in the layer', () => {
    const below = [entry('a/x'), entry('a/y/z'), entry('b')];
    expect(paths(build(true, below, [entry('a/.wh.x'), entry('.wh.b'), entry('a/.wh.none')]))).toEqual([
      'a',
      'a/y',
      'a/y/z',
    ]);
    expect(paths(build(true, below, [entry('a/.wh.y')]))).toEqual(['a', 'a/x', 'b']);
    const again = build(true, below, [entry('b'), entry('.wh.b')]);
    expect(findNode(again, 'b')).toMatchObject({ place: { archive: 1, entry: 0 } });
  });

  it('empties a folder of what is below, but not of its own', () => {
    const below = [entry('a/x'), entry('a/y/z'), entry('b')];
    const tree = build(true, below, [entry('a/new'), entry('a/.wh..wh..opq'), entry('a', 'directory')]);
    expect(paths(tree)).toEqual(['a', 'a/new', 'b']);
    expect(paths(build(true, below, [entry('.wh..wh..opq'), entry('c')]))).toEqual(['c']);
    expect(paths(build(true, below, [entry('none/.wh..wh..opq')]))).toEqual(['a', 'a/x', 'a/y', 'a/y/z', 'b']);
  });

  it('follows no link of a layer below', () => {
    const below = [entry('etc/passwd'), entry('s', 'symlink', { target: 'etc' })];
    expect(paths(build(true, below, [entry('s/.wh.passwd'), entry('s/.wh..wh..opq')]))).toContain('etc/passwd');
  });

  it.each(['.wh.', '.wh..', '.wh...', '.wh..wh.plnk', '.wh..wh..opq2'])('refuses the whiteout %s', (name) => {
    expect(() => whiteoutOf(entry(`a/${name}`), 'l')).toThrow(`l: "a/${name}": a whiteout without meaning`);
  });

  it('knows a whiteout by its name alone', () => {
    expect(whiteoutOf(entry('a/b'), 'l')).toBeUndefined();
    expect(whiteoutOf(entry('.wh.x/b'), 'l')).toBeUndefined();
    expect(whiteoutOf(entry('a/.wh.b'), 'l')).toEqual({ path: 'a/b', what: 'path' });
    expect(whiteoutOf(entry('.wh.b'), 'l')).toEqual({ path: 'b', what: 'path' });
    expect(whiteoutOf(entry('a/.wh..wh..opq'), 'l')).toEqual({ path: 'a', what: 'contents' });
    expect(() => whiteoutOf(entry('.wh.b', 'directory'), 'l')).toThrow('without meaning');
  });
});

describe('paths', () => {
  it('are cleaned', () => {
    expect(entryPath('./a//b/./', 'x')).toBe('a/b');
    expect(entryPath('...', 'x')).toBe('...');
    expect(entryPath('a..b/..c', 'x')).toBe('a..b/..c');
  });

  it('are shown as UTF-8 where they are, and cut', () => {
    expect(shownPath('caf\u00c3\u00a9')).toBe('"caf\u00e9"');
    expect(shownPath('\u00e9')).toBe('"\u00e9"');
    expect(shownPath('a"\n')).toBe('"a\\"\\n"');
    expect(shownPath('x'.repeat(201))).toBe(`"${'x'.repeat(200)}…"`);
    expect(shownPath('x'.repeat(200))).toBe(`"${'x'.repeat(200)}"`);
  });
});
