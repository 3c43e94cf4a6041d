import { describe, expect, it } from 'vitest';
import type { Node } from '../../../src/core/archive/tree.ts';
import { checkErofsTree } from '../../../src/core/disk/check-erofs.ts';
import { readErofs } from '../../../src/core/disk/read-erofs.ts';
import { FILE_INODE, smallErofs, smallTree } from '../../erofs-image.ts';
import { failure, HINT } from '../../failure.ts';

const reading = (image: Uint8Array) => (at: number, size: number) => image.subarray(at, at + size);
const [ROOT, FILE] = [4096 + 64, 4096 + 256];
const refused = (change: (image: Buffer) => void) => {
  const image = smallErofs();
  change(image);
  return failure(() => checkErofsTree(smallTree(), reading(image)));
};

describe('an EROFS file system', () => {
  it('is read with names, owners, modes, attributes and links', () => {
    const root = readErofs(reading(smallErofs()));
    expect(root).toMatchObject({ mode: 0o40755, uid: 0, gid: 0, links: 2 });
    const children = root.children();
    expect([...children.keys()]).toEqual(['f', 'g']);
    expect(children.get('f')).toMatchObject({ nid: 8n, mode: 0o104750, uid: 70000, gid: 5, size: 3n, links: 2 });
    expect([...(children.get('g')?.xattrs ?? [])]).toEqual([['user.a', '\x01\xff']]);
  });

  it('is the tree that it was made of', () => {
    expect(() => checkErofsTree(smallTree(), reading(smallErofs()))).not.toThrow();
  });

  it.each<[string, (image: Buffer) => void, string]>([
    [
      'another mode',
      (image) => image.writeUInt16LE(0o100750, FILE + 4),
      '"f" is 100750 of 70000:5, 3 bytes and not 104750',
    ],
    ['another owner', (image) => image.writeUInt32LE(0, FILE + 24), '"f" is 104750 of 0:5'],
    ['another group', (image) => image.writeUInt32LE(6, FILE + 28), '"f" is 104750 of 70000:6'],
    ['another size', (image) => image.writeUInt32LE(4, FILE + 8), '4 bytes and not'],
    ['another value', (image) => image.writeUInt8(2, FILE + 64 + 17), '"f" has not the same attribute "user.a"'],
    ['no attribute', (image) => image.writeUInt16LE(0, FILE + 2), '"f" has not the same attribute "user.a"'],
    ['another name', (image) => image.write('h', ROOT + 64 + 48 + 4), '"h" is in no archive'],
    ['a file for a folder', (image) => image.writeUInt16LE(0o100755, ROOT + 4), 'is 100755'],
  ])('is not the tree with %s', (_, change, words) => {
    expect(refused(change)).toEqual({ kind: 'tool', message: expect.stringContaining(words), hint: HINT });
  });

  it('is not the tree where a name is missing, two names are two files, or two files one', () => {
    const check = (children: readonly (readonly [string, Node])[]) =>
      failure(() => checkErofsTree({ ...smallTree(), children: new Map(children) }, reading(smallErofs())));
    expect(
      check([
        ['f', FILE_INODE],
        ['g', FILE_INODE],
        ['h', FILE_INODE],
      ]).message,
    ).toContain('"h" is missing');
    expect(
      check([
        ['f', FILE_INODE],
        ['g', { ...FILE_INODE }],
      ]).message,
    ).toContain('has one file in place of two');
    const apart = refused((image) => {
      image.copy(image, FILE + 512, FILE, FILE + 128);
      image.writeBigUInt64LE(24n, ROOT + 64 + 36);
    });
    expect(apart.message).toContain('"g" is a file of its own');
  });

  it.each<[string, (image: Buffer) => void, string]>([
    ['inodes of 32 bytes', (image) => image.writeUInt16LE(4, ROOT), 'inode 2 has 32 bytes'],
    ['a directory that is compressed', (image) => image.writeUInt16LE(3, ROOT), 'directory 2 is in form 1'],
    [
      'a directory without end',
      (image) => image.writeBigUInt64LE(1n << 40n, ROOT + 8),
      'directory 2 has 1099511627776 bytes',
    ],
    [
      'an inode that is nowhere',
      (image) => image.writeBigUInt64LE(1n << 60n, ROOT + 64 + 24),
      'inode 1152921504606846976 is beyond',
    ],
    ['an inode behind its end', (image) => image.writeBigUInt64LE(500n, ROOT + 64 + 24), 'needs 64 bytes'],
  ])('with %s is refused', (_, change, words) => {
    expect(refused(change)).toEqual({ kind: 'format', message: expect.stringContaining(words), hint: HINT });
  });
});
