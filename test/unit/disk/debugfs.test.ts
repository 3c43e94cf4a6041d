import { describe, expect, it } from 'vitest';
import { emptyTree, type Inode } from '../../../src/core/archive/tree.ts';
import {
  attributeCommand,
  expandCommand,
  inodeCommands,
  linkCommand,
  linksCommand,
  makeCommand,
  openCommand,
  quoteWord,
} from '../../../src/core/disk/debugfs.ts';

const inode = (over: Partial<Inode>): Inode => ({ ...emptyTree().inode, kind: 'file', mode: 0o644, ...over });

describe('debugfs commands', () => {
  it('keep blanks and quotes, and no path is an inode’s number', () => {
    expect(quoteWord('a "b" c')).toBe('"a ""b"" c"');
    expect(openCommand('')).toBe('cd "/"');
    expect(openCommand('<12>')).toBe('cd "/<12>"');
    expect(linkCommand('a/b', 'c')).toBe('ln "/a/b" "c"');
    expect(linksCommand('a', 3)).toBe('sif "/a" links_count 3');
    expect(expandCommand('a')).toBe('expand_dir "/a"');
    expect(attributeCommand('a', 'user.x', '/f')).toBe('ea_set -f "/f" "/a" "user.x"');
  });

  it.each<[Partial<Inode>, string]>([
    [{ kind: 'file' }, 'write "/f" "n"'],
    [{ kind: 'directory' }, 'mkdir "n"'],
    [{ kind: 'symlink', target: 'a "b"' }, 'symlink "n" "a ""b"""'],
    [{ kind: 'fifo' }, 'mknod "n" p'],
    [{ kind: 'character', device: { major: 1, minor: 3 } }, 'mknod "n" c 1 3'],
    [{ kind: 'block', device: { major: 8, minor: 0 } }, 'mknod "n" b 8 0'],
  ])('make %j', (over, command) => {
    expect(makeCommand('n', inode(over), '/f')).toBe(command);
  });

  it.each([
    ['file', '0100644'],
    ['directory', '040644'],
    ['symlink', '0120644'],
    ['fifo', '010644'],
    ['character', '020644'],
    ['block', '060644'],
  ] as const)('set the mode of a %s', (kind, mode) => {
    expect(inodeCommands('a', inode({ kind }))[0]).toBe(`sif "/a" mode ${mode}`);
  });

  it('set owners that are not root', () => {
    const commands = inodeCommands('a', inode({ uid: 4294967294, gid: 1 }));
    expect(commands).toContain('sif "/a" uid 4294967294');
    expect(commands).toContain('sif "/a" gid 1');
    expect(inodeCommands('a', inode({})).join(' ')).not.toMatch(/[ug]id/);
  });

  it.each([
    [0, 0, 0, 0],
    [2 ** 31 - 1, 999_999_999, 2 ** 31 - 1, 3_999_999_996],
    [2 ** 31, 0, 2 ** 31, 1],
    [2 ** 32 - 1, 1, 2 ** 32 - 1, 5],
    [2 ** 32, 0, 0, 1],
    [15032385535, 0, 2 ** 31 - 1, 3],
    [-1, 0, 2 ** 32 - 1, 0],
    [-(2 ** 31), 0, 2 ** 31, 0],
  ])('set the time %d.%d in 34 bits', (seconds, nanoseconds, low, extra) => {
    expect(inodeCommands('a', inode({ mtime: { seconds, nanoseconds } })).slice(-2)).toEqual([
      `sif "/a" mtime @${low}`,
      `sif "/a" mtime_extra ${extra}`,
    ]);
  });
});
