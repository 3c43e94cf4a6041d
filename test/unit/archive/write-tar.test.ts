import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attributesText, checkAttributes } from '../../../src/core/archive/attributes.ts';
import type { Entry } from '../../../src/core/archive/entry.ts';
import { encodePax, parsePax, paxTime, paxTimeText } from '../../../src/core/archive/pax.ts';
import { readTar } from '../../../src/core/archive/read-tar.ts';
import { streamSource } from '../../../src/core/archive/source.ts';
import { encodeTarHeader } from '../../../src/core/archive/tar-header.ts';
import { emptyTree, type Inode } from '../../../src/core/archive/tree.ts';
import { encodeTarEntry, TAR_END, tarPadding } from '../../../src/core/archive/write-tar.ts';

type Written = Omit<Entry, 'xattrs'>;

const PLAIN: Written = { ...emptyTree().inode, path: 'a', kind: 'file', mode: 0o644 };

async function readBack(entry: Written): Promise<Entry | undefined> {
  async function* archive() {
    yield encodeTarEntry(entry);
    yield new Uint8Array(entry.size);
    yield tarPadding(entry.size);
    yield TAR_END;
  }
  let found: Entry | undefined;
  for await (const { entry: read } of readTar(streamSource(archive()), 'a.tar')) found = read;
  return found;
}

const NAME = fc
  .array(fc.integer({ min: 1, max: 255 }), { minLength: 1, maxLength: 200 })
  .map((letters) => String.fromCharCode(...letters).replace(/[\n/]/g, 'x'))
  .filter((name) => name !== '.' && name !== '..');
const ID = fc.oneof(fc.integer({ min: 0, max: 0xfffffffe }), fc.constantFrom(0o7777777, 0o10000000));
const TIME = fc.record({
  seconds: fc.integer({ min: -(2 ** 31), max: 15032385535 }),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
});
const ENTRY: fc.Arbitrary<Written> = fc
  .record({
    path: fc.array(NAME, { minLength: 1, maxLength: 4 }).map((names) => names.join('/')),
    kind: fc.constantFrom('file', 'link', 'symlink', 'character', 'block', 'directory', 'fifo'),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: ID,
    gid: ID,
    mtime: TIME,
    size: fc.integer({ min: 0, max: 3000 }),
    target: NAME,
    device: fc.record({ major: fc.integer({ min: 0, max: 0xfff }), minor: fc.integer({ min: 0, max: 0xffff }) }),
  })
  .map((entry) => ({
    ...entry,
    size: entry.kind === 'file' ? entry.size : 0,
    target: ['link', 'symlink'].includes(entry.kind) ? entry.target : '',
    device: ['character', 'block'].includes(entry.kind) ? entry.device : PLAIN.device,
  }));

describe('encodeTarEntry', () => {
  it('is read back as it was', () =>
    fc.assert(
      fc.asyncProperty(ENTRY, async (entry) => {
        expect(await readBack(entry)).toEqual({ ...entry, xattrs: new Map() });
      }),
    ));

  it('says a size that no header holds', () => {
    const bytes = Buffer.from(encodeTarEntry({ ...PLAIN, size: 2 ** 33 }));
    expect(bytes.toString('latin1')).toContain('19 size=8589934592\n');
  });
});

describe('encodeTarHeader', () => {
  it('takes no text and no number that is too long for its field', () => {
    const header = { ...PLAIN, name: 'a', linkname: '', type: '0', mtime: 0 };
    const refused = { kind: 'format', hint: expect.any(String) };
    expect(() => encodeTarHeader({ ...header, name: 'n'.repeat(101) })).toThrow(expect.objectContaining(refused));
    expect(() => encodeTarHeader({ ...header, uid: 0o10000000 })).toThrow(expect.objectContaining(refused));
  });
});

describe('encodePax', () => {
  it.each([1, 5, 6, 7, 90, 91, 92, 93, 94, 985, 990, 995])('counts the digits of the length (%i letters)', (length) => {
    const records = new Map([
      ['path', 'x'.repeat(length)],
      ['mtime', '1'],
    ]);
    expect(parsePax(encodePax(records), 'a')).toEqual(records);
  });

  it.each([
    [{ seconds: 1, nanoseconds: 5 }, '1.000000005'],
    [{ seconds: -1, nanoseconds: 0 }, '-1.000000000'],
    [{ seconds: -2, nanoseconds: 500_000_000 }, '-1.500000000'],
    [{ seconds: -1, nanoseconds: 250_000_000 }, '-0.750000000'],
  ])('says a time as it is read: %j', (time, text) => {
    expect(paxTimeText(time)).toBe(text);
    expect(paxTime(new Map([['mtime', text]]), 'mtime', 'a')).toEqual(time);
  });
});

const withXattrs = (xattrs: Record<string, string>): Inode => ({
  ...emptyTree().inode,
  xattrs: new Map(Object.entries(xattrs).map(([name, value]) => [name, Buffer.from(value, 'latin1')])),
});

describe('attributesText', () => {
  it('writes what setfattr reads, with everything else in octal', () => {
    expect(attributesText('tree/a b\\\xff', withXattrs({ 'user.x y': '=\0', 'user.empty': '' }))).toBe(
      '# file: tree/a\\040b\\134\\377\nuser.x\\040y=0x3d00\nuser.empty=""\n\n',
    );
    expect(attributesText('tree/a', withXattrs({}))).toBe('');
  });
});

describe('checkAttributes', () => {
  it('takes as much as fits into a message of fakeroot, and no more', () => {
    const names = (count: number) =>
      withXattrs(Object.fromEntries(Array.from({ length: count }, (_, i) => [`user.${10 + i}-8-bytes`, ''])));
    expect(() => checkAttributes('a', withXattrs({ 'user.x': '.'.repeat(1017) }))).not.toThrow();
    expect(() => checkAttributes('a', withXattrs({ 'user.x': '.'.repeat(1018) }))).toThrow(
      '"a": the attribute "user.x" has 1018 bytes',
    );
    expect(() => checkAttributes('a', names(64))).not.toThrow();
    expect(() => checkAttributes('a', names(65))).toThrow('"a": the names of its attributes have 1040 bytes');
  });
});
