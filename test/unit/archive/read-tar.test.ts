import { describe, expect, it } from 'vitest';
import { readTar, type TarMember } from '../../../src/core/archive/read-tar.ts';
import { streamSource } from '../../../src/core/archive/source.ts';
import { decodeTarHeader, isTar } from '../../../src/core/archive/tar-header.ts';
import { TAR_END, type TestEntry, tarArchive, tarEntry } from '../../tar-archive.ts';

async function* pieces(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(members: AsyncIterable<TarMember>) {
  const all = [];
  for await (const { entry, content } of members) {
    const data: Uint8Array[] = [];
    for await (const piece of content) data.push(piece);
    all.push({ ...entry, data: Buffer.concat(data).toString('latin1') });
  }
  return all;
}

const read = (bytes: Uint8Array, size = 1 << 16) => collect(readTar(streamSource(pieces(bytes, size)), 'a.tar'));
const readOne = async (entry: TestEntry) => (await read(tarArchive(entry)))[0];
const refuse = (message: string | RegExp, ...entries: readonly TestEntry[]) =>
  expect(read(tarArchive(...entries))).rejects.toMatchObject({
    kind: 'format',
    message: typeof message === 'string' ? message : expect.stringMatching(message),
  });

describe('readTar', () => {
  it('reads every field', async () => {
    expect(await readOne({ name: 'a/b', data: 'hello', mode: 0o104755, uid: 1, gid: 2, mtime: 3 })).toEqual({
      path: 'a/b',
      kind: 'file',
      mode: 0o4755,
      uid: 1,
      gid: 2,
      mtime: { seconds: 3, nanoseconds: 0 },
      size: 5,
      target: '',
      device: { major: 0, minor: 0 },
      xattrs: new Map(),
      data: 'hello',
    });
  });

  it.each([
    ['0', 'file'],
    ['\0', 'file'],
    ['7', 'file'],
    ['3', 'character'],
    ['4', 'block'],
    ['5', 'directory'],
    ['6', 'fifo'],
  ])('takes type %j for a %s', async (type, kind) => {
    expect(await readOne({ name: 'x', type })).toMatchObject({ kind });
  });

  it('reads links, devices and names without the parts that mean nothing', async () => {
    expect(await readOne({ name: './/a/./b', type: '2', linkname: '/../x y' })).toMatchObject({
      ...{ path: 'a/b', kind: 'symlink', target: '/../x y' },
    });
    expect(await readOne({ name: 'x', type: '1', linkname: './a//b' })).toMatchObject({ kind: 'link', target: 'a/b' });
    expect(await readOne({ name: 'x', type: '3', major: 0xfff, minor: 0xffff })).toMatchObject({
      device: { major: 0xfff, minor: 0xffff },
    });
    expect(await readOne({ name: './', type: '5' })).toMatchObject({ path: '' });
    expect(await readOne({ name: 'c', prefix: 'a/b' })).toMatchObject({ path: 'a/b/c' });
    // GNU tar keeps times where POSIX has the prefix.
    expect(await readOne({ name: 'c', prefix: '1234567', magic: 'ustar  \0' })).toMatchObject({ path: 'c' });
  });

  it('reads long names of GNU tar and records of pax, which come before the header', async () => {
    const long = 'n'.repeat(250);
    const bytes = Buffer.concat([
      tarEntry({ name: '././@LongLink', type: 'L', data: `${long}\0` }),
      tarEntry({ name: '././@LongLink', type: 'K', data: `${long}t\0` }),
      tarEntry({ name: 'short', type: '2', linkname: 'short', magic: 'ustar  \0' }),
      tarEntry({
        name: 'x',
        data: 'four',
        size: 1,
        uid: 9,
        pax: {
          ...{ path: 'p', size: '4', uid: '70000', gid: '80000', mtime: '1.25', comment: 'c', linkpath: '' },
          'SCHILY.xattr.user.b': Buffer.from([0, 255, 10, 61]),
        },
      }),
      TAR_END,
    ]);
    const [link, file] = await read(bytes);
    expect(link).toMatchObject({ path: long, target: `${long}t` });
    expect(file).toMatchObject({ path: 'p', size: 4, uid: 70000, gid: 80000, data: 'four' });
    expect(file?.mtime).toEqual({ seconds: 1, nanoseconds: 250_000_000 });
    expect(file?.xattrs).toEqual(new Map([['user.b', Uint8Array.of(0, 255, 10, 61)]]));
  });

  it.each([
    ['-1.25', -2, 750_000_000],
    ['-1', -1, 0],
    ['1.', 1, 0],
    ['2.1234567899', 2, 123_456_789],
  ])('reads the time %s', async (mtime, seconds, nanoseconds) => {
    expect(await readOne({ name: 'x', pax: { mtime } })).toMatchObject({ mtime: { seconds, nanoseconds } });
  });

  // What GNU tar 1.34 writes for an attribute "user.a=b%c".
  it('reads names of attributes with signs that pax keys have not', async () => {
    const file = await readOne({ name: 'x', pax: { 'SCHILY.xattr.user.a%3Db%25c': '1' } });
    expect([...(file?.xattrs.keys() ?? [])]).toEqual(['user.a=b%c']);
  });

  it('reads numbers in base 256', async () => {
    const size = Buffer.alloc(12);
    size[0] = 0x80;
    size[11] = 3;
    expect(await readOne({ name: 'x', data: 'abc', size })).toMatchObject({ size: 3, data: 'abc' });
  });

  it('reads contents in pieces of any size, and passes those that nobody reads', async () => {
    const bytes = tarArchive({ name: 'a', data: 'x'.repeat(1000) }, { name: 'b', data: 'y'.repeat(512) });
    for (const size of [1, 511, 512, 513, 4096]) {
      expect((await read(bytes, size)).map(({ data }) => data.length)).toEqual([1000, 512]);
    }
    const names = [];
    for await (const { entry } of readTar(streamSource(pieces(bytes, 100)), 'a.tar')) names.push(entry.path);
    expect(names).toEqual(['a', 'b']);
  });

  it('passes a remark for all entries', async () => {
    const bytes = Buffer.concat([
      tarEntry({ name: 'g', type: 'g', data: '16 comment=hallo\n'.replace('16', '17') }),
      tarEntry({ name: 'a' }),
      TAR_END,
    ]);
    expect(await read(bytes)).toHaveLength(1);
  });

  it.each<[string, TestEntry]>([
    ['a.tar: "/etc/passwd" is absolute', { name: '/etc/passwd' }],
    ['a.tar: "a/../../b" leads out of the archive by ".."', { name: 'a/../../b' }],
    ['a.tar: ".." leads out of the archive by ".."', { name: '..', type: '5' }],
    ['a.tar: "a\\nb": a name with a line break', { name: 'a\nb' }],
    ['a.tar: "a\\u0000b": a name with a zero byte', { name: 'x', pax: { path: 'a\0b' } }],
    ['a.tar: "dir/": a name of a directory for what is none', { name: 'dir/' }],
    ['a.tar: ".": the root is no directory', { name: '.' }],
    ['a.tar: "x": a sparse file', { name: 'x', type: 'S' }],
    ['a.tar: "x": a sparse file', { name: 'x', pax: { 'GNU.sparse.major': '1' } }],
    ['a.tar: "x": an unknown type of entry', { name: 'x', type: 'V' }],
    ['a.tar: "x": content in an entry that has none', { name: 'x', type: '2', linkname: 'y', data: 'z' }],
    ['a.tar: "x": content in an entry that has none', { name: 'x', type: '5', size: 1 }],
    ['a.tar: "x": a symbolic link to nothing', { name: 'x', type: '2' }],
    ['a.tar: "x": a name with a line break', { name: 'x', type: '2', linkname: 'a\nb' }],
    ['a.tar: "x": the other name "/y" is absolute', { name: 'x', type: '1', linkname: '/y' }],
    ['a.tar: "x": device 4096:0 is not possible', { name: 'x', type: '3', major: 4096 }],
    ['a.tar: "x": device 0:65536: debugfs takes no minor number above 65535', { name: 'x', type: '4', minor: 65536 }],
    [
      'a.tar: "x": device 8:1048575: debugfs takes no minor number above 65535',
      { name: 'x', type: '4', major: 8, minor: 1048575 },
    ],
    ['a.tar: "x": device 0:1048576 is not possible', { name: 'x', type: '4', minor: 1048576 }],
    ['a.tar: "x": owner 4294967295 is not possible', { name: 'x', pax: { uid: '4294967295' } }],
    ['a.tar: "x": group 4294967295 is not possible', { name: 'x', pax: { gid: '4294967295' } }],
    ['a.tar: "x": size 17592186044417 is not possible', { name: 'x', pax: { size: '17592186044417' } }],
    ['a.tar: "x": time 15032385536 is not possible', { name: 'x', pax: { mtime: '15032385536' } }],
    ['a.tar: "x": time -2147483649 is not possible', { name: 'x', pax: { mtime: '-2147483649' } }],
    ['a.tar: "x": uid is no number', { name: 'x', pax: { uid: '-1' } }],
    ['a.tar: "x": mtime is no time', { name: 'x', pax: { mtime: '1e9' } }],
    ['a.tar: "x": an access control list as text', { name: 'x', pax: { 'SCHILY.acl.access': 'user::rwx' } }],
    [
      'a.tar: "x": "user.a%b" stands there twice',
      { name: 'x', pax: { 'SCHILY.xattr.user.a%b': '1', 'SCHILY.xattr.user.a%25b': '2' } },
    ],
    ['a.tar: "x": ext4 has no attribute "com.apple.x"', { name: 'x', pax: { 'SCHILY.xattr.com.apple.x': '1' } }],
    ['a.tar: "x": ext4 has no attribute "user."', { name: 'x', pax: { 'SCHILY.xattr.user.': '1' } }],
    ['a.tar: entry at byte 0: wrong checksum', { name: 'x', checksum: 1 }],
    ['a.tar: entry at byte 0: neither the POSIX nor the GNU format of tar', { name: 'x', magic: '' }],
  ])('refuses: %s', async (message, entry) => {
    await refuse(message, entry);
  });

  it('takes the limits themselves', async () => {
    const name = 'n'.repeat(255);
    const pax = { path: name, uid: '4294967294', gid: '4294967294', mtime: '15032385535' };
    expect(await readOne({ name: 'x', pax })).toMatchObject({ path: name, uid: 4294967294, gid: 4294967294 });
    expect(await readOne({ name: 'x', pax: { mtime: '-2147483648' } })).toBeDefined();
    await refuse(/a name longer than 255 bytes/, { name: 'x', pax: { path: `${name}n` } });
    await refuse(/longer than 4000 bytes/, { name: 'x', pax: { path: `${'a/'.repeat(2000)}b` } });
    expect(await readOne({ name: 'x', pax: { path: `${'a/'.repeat(1999)}bb` } })).toBeDefined();
    const target = 't'.repeat(4000);
    expect(await readOne({ name: 'x', type: '2', pax: { linkpath: target } })).toMatchObject({ target });
    await refuse(/a link of 4001 bytes/, { name: 'x', type: '2', pax: { linkpath: `${target}t` } });
  });

  it('refuses what stands before an entry twice, or before none', async () => {
    const name = (type: string) => tarEntry({ name: 'l', type, data: 'n\0' });
    const pax = tarEntry({ name: 'p', type: 'x', data: '8 uid=1\n' });
    const end = Buffer.concat([tarEntry({ name: 'x' }), TAR_END]);
    for (const [twice, what] of [
      [name('L'), 'name'],
      [name('K'), 'linkname'],
      [pax, 'pax'],
    ] as const) {
      await expect(read(Buffer.concat([twice, twice, end]))).rejects.toThrow(`a second ${what} for one entry`);
      await expect(read(Buffer.concat([twice, TAR_END]))).rejects.toThrow('a.tar: ends after half an entry');
    }
  });

  it('refuses records about one entry that would fill the memory, before it reads them', async () => {
    for (const type of ['x', 'g', 'L', 'K']) {
      const header = tarEntry({ name: 'p', type, size: (1 << 20) + 1 });
      await expect(read(header)).rejects.toMatchObject({
        kind: 'format',
        message: 'a.tar: entry at byte 0: 1048577 bytes about one entry, of which 1048576 are accepted',
      });
    }
  });

  it('refuses records of less than no bytes, which would be read again and again', async () => {
    for (const type of ['x', 'g', 'L', 'K']) {
      for (const below of [-1, -512]) {
        const size = Buffer.alloc(12, 0xff);
        size.writeInt16BE(below, 10);
        const bytes = Buffer.concat([tarEntry({ name: 'p', type, size }), tarEntry({ name: 'x' }), TAR_END]);
        await expect(read(bytes), type).rejects.toMatchObject({
          kind: 'format',
          message: `a.tar: entry at byte 0: size ${below} is not possible`,
        });
      }
    }
  });

  it.each([
    ['L', 'path', '0'],
    ['K', 'linkpath', '2'],
  ])(
    'refuses two long names of one entry, of which readers take one or the other: %s and %s',
    async (type, key, kind) => {
      const bytes = Buffer.concat([
        tarEntry({ name: 'l', type, data: 'one\0' }),
        tarEntry({ name: 'x', type: kind, linkname: kind === '2' ? 'y' : '', pax: { [key]: 'two' } }),
        TAR_END,
      ]);
      await expect(read(bytes)).rejects.toMatchObject({
        kind: 'format',
        message: expect.stringContaining(`a long name of GNU tar beside ${key} of pax`),
      });
    },
  );

  it('refuses a global header that changes entries', async () => {
    const header = tarEntry({ name: 'g', type: 'g', data: '8 uid=1\n' });
    await expect(read(Buffer.concat([header, TAR_END]))).rejects.toThrow('a global header that changes entries');
  });

  it.each([
    ['8 uid=1', 'no line break'],
    ['9 uid=1\n', 'too long'],
    ['x uid=1\n', 'no length'],
    ['08 uid=1\n', 'a zero before'],
    ['5 =1\n', 'no key'],
    ['6 uid\n', 'no value'],
    ['0 uid=1\n', 'no length at all'],
  ])('refuses the pax record %j: %s', async (data) => {
    const bytes = Buffer.concat([tarEntry({ name: 'p', type: 'x', data }), tarEntry({ name: 'x' }), TAR_END]);
    await expect(read(bytes)).rejects.toMatchObject({
      kind: 'format',
      message: 'a.tar: entry at byte 0: broken pax record at byte 0',
    });
  });

  it('refuses a key that stands there twice', async () => {
    const bytes = Buffer.concat([
      tarEntry({ name: 'p', type: 'x', data: '8 uid=1\n8 uid=2\n' }),
      tarEntry({ name: 'x' }),
      TAR_END,
    ]);
    await expect(read(bytes)).rejects.toThrow('"uid" stands there twice');
  });

  it('refuses an archive that ends inside an entry, or without an end', async () => {
    const bytes = tarArchive({ name: 'a', data: 'x'.repeat(600) });
    for (const size of [100, 512, 700, 1024 + 512]) {
      await expect(read(bytes.subarray(0, size)), `${size}`).rejects.toMatchObject({ kind: 'format' });
    }
    expect(await read(bytes.subarray(0, 2048))).toHaveLength(1);
  });

  it('takes a layer that ends after its last byte, but not inside an entry', async () => {
    const bytes = tarArchive({ name: 'a', data: 'x'.repeat(512) }, { name: 'b', data: 'four', pax: { mtime: '1' } });
    const open = (size: number) => streamSource(pieces(bytes.subarray(0, size), 4096));
    const length = (size: number) =>
      collect(readTar(open(size), 'a.tar', { needsEnd: false })).then((all) => all.length);
    const last = bytes.length - 1024 - 512;
    for (const size of [last + 4, last + 100, last + 512, last + 1024, bytes.length])
      expect(await length(size)).toBe(2);
    expect(await length(1024)).toBe(1);
    for (const size of [last + 3, last, last - 1, last - 512, 1025]) {
      await expect(length(size), `${size}`).rejects.toMatchObject({ kind: 'format' });
    }
    await expect(collect(readTar(open(last + 4), 'a.tar'))).rejects.toMatchObject({ kind: 'format' });
  });

  it('refuses data after the end, which some readers see and others do not', async () => {
    const bytes = Buffer.concat([tarArchive({ name: 'a' }), tarArchive({ name: 'b' })]);
    await expect(read(bytes)).rejects.toThrow('a.tar: data follow the end of the archive');
  });

  it('refuses more entries than are accepted', async () => {
    const source = () => streamSource(pieces(tarArchive({ name: 'a' }, { name: 'b' }), 4096));
    await expect(collect(readTar(source(), 'a.tar', { most: 1 }))).rejects.toThrow('a.tar: more than 1 entries');
    expect(await collect(readTar(source(), 'a.tar', { most: 2 }))).toHaveLength(2);
  });
});

describe('decodeTarHeader', () => {
  const change = (at: number, bytes: readonly number[]) => {
    const block = Buffer.from(tarEntry({ name: 'x' }).subarray(0, 512));
    block.set(bytes, at);
    block.write('        ', 148);
    const sum = block.reduce((all, byte) => all + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return block;
  };
  const ascii = (text: string) => [...Buffer.from(text, 'latin1')];

  it.each([
    ['   17 \0\0', 15],
    ['\0\0\0\0\0\0\0\0', 0],
    ['0000017\0', 15],
  ])('reads the number %j', (digits, value) => {
    expect(decodeTarHeader(change(108, ascii(digits)), 'x').uid).toBe(value);
  });

  it.each(['0000018\0', '-000001\0', '17 17\0\0\0', '1\u00007\0\0\0\0\0'])('refuses the number %j', (digits) => {
    expect(() => decodeTarHeader(change(108, ascii(digits)), 'x')).toThrow('x: uid: no octal number');
  });

  it('reads base 256 in two’s complement, up to what a number can hold', () => {
    const field = (...bytes: number[]) => change(136, [...bytes, ...Array(12 - bytes.length).fill(0xff)]);
    expect(decodeTarHeader(field(0xff), 'x').mtime).toBe(-1);
    expect(decodeTarHeader(field(0x80, 0, 0, 0, 0, 0x1f), 'x').mtime).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => decodeTarHeader(field(0x80, 0, 0, 0, 0, 0x3f), 'x')).toThrow('x: mtime: a number beyond all limits');
    expect(() => decodeTarHeader(field(0xbf), 'x')).toThrow('a number beyond all limits');
  });

  it('is what tells an archive', () => {
    expect(isTar(tarArchive({ name: 'x' }))).toBe(true);
    expect(isTar(tarEntry({ name: 'x' }).subarray(0, 511))).toBe(false);
    expect(isTar(Buffer.alloc(512))).toBe(false);
  });

  it('is told by its magic where its checksum is wrong, and by its checksum where it has no magic', () => {
    expect(isTar(tarEntry({ name: 'x', checksum: 1 }))).toBe(true);
    expect(isTar(tarEntry({ name: 'x', checksum: 1, magic: 'ustar  \0' }))).toBe(true);
    expect(isTar(tarEntry({ name: 'x', magic: '' }))).toBe(true);
    expect(isTar(tarEntry({ name: 'x', checksum: 1, magic: '' }))).toBe(false);
    expect(isTar(tarEntry({ name: 'x', checksum: 1, magic: 'star' }))).toBe(false);
  });
});
