import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { BootsealError } from '../../../src/core/errors.ts';
import {
  ioError,
  readBounded,
  readSmallFile,
  streamFile,
  streamLargeFile,
  writeNewFile,
} from '../../../src/host/files.ts';
import { scratch } from '../../cli/script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
fs.writeFileSync(at('file'), 'four');
fs.symlinkSync(at('circle'), at('circle'));

const system = (code: string) => Object.assign(new Error(`${code}: of the system`), { code });

describe('ioError', () => {
  it.each([
    ['ENOENT', 'cannot read f: no such file or directory', /whether the name is right/],
    ['EACCES', 'cannot read f: permission denied', /who may use it/],
    ['EPERM', 'cannot read f: EPERM', /who may use it/],
    ['EISDIR', 'cannot read f: is a directory', /not a folder/],
    ['ENOTDIR', 'cannot read f: a part of the path is not a directory', /part of the path/],
    ['EEXIST', 'cannot read f: it exists already', /another name/],
    ['ENOSPC', 'cannot read f: no space left on the device', /make room/],
    ['EDQUOT', 'cannot read f: EDQUOT', /make room/],
    ['EROFS', 'cannot read f: the file system is read-only', /can be written to/],
    ['EFBIG', 'cannot read f: file too large', /larger files/],
    ['EMFILE', 'cannot read f: EMFILE', /ulimit -n/],
    ['ELOOP', 'cannot read f: too many symbolic links on the way', /circle/],
    ['EIO', 'cannot read f: EIO', /kernel log/],
  ])('says what to try at %s', (code, message, hint) => {
    const cause = system(code);
    expect(ioError(cause, 'f', 'read')).toMatchObject({
      kind: 'io',
      message,
      hint: expect.stringMatching(hint),
      cause,
    });
  });

  it.each([undefined, null, 'text', new Error('without a code')])('has a hint also for %s', (cause) => {
    expect(ioError(cause, 'f', 'write')).toMatchObject({
      kind: 'io',
      message: 'cannot write f: unknown error',
      hint: expect.stringMatching(/kernel log/),
    });
  });

  it('leaves an error alone that says already what to try', () => {
    const error = new BootsealError('format', 'm', { hint: 'h' });
    expect(ioError(error, 'f', 'read')).toBe(error);
  });
});

describe('a stream of a large file', () => {
  const bytes = Buffer.alloc(5 * 1024 * 1024 + 3, 'every piece is another');
  fs.writeFileSync(at('large'), bytes);
  const collect = async (name: string, limit: number) => {
    const pieces: Buffer[] = [];
    const total = await streamLargeFile(at(name), (piece) => void pieces.push(Buffer.from(piece)), limit);
    return { total, bytes: Buffer.concat(pieces) };
  };

  it('is all of its bytes, in their order, and so is one of a small file', async () => {
    expect(await collect('large', bytes.length)).toEqual({ total: bytes.length, bytes });
    expect(await collect('file', 4)).toEqual({ total: 4, bytes: Buffer.from('four') });
  });

  it('ends at the limit, and with the error of whoever takes it', async () => {
    await expect(collect('large', bytes.length - 1)).rejects.toMatchObject({ kind: 'format' });
    await expect(collect('file', 3)).rejects.toMatchObject({ kind: 'format' });
    const before = fs.readdirSync('/proc/self/fd').length;
    const failing = () => {
      throw new BootsealError('usage', 'enough', { hint: 'h' });
    };
    await expect(streamLargeFile(at('large'), failing, bytes.length)).rejects.toMatchObject({ message: 'enough' });
    expect(fs.readdirSync('/proc/self/fd')).toHaveLength(before);
  });
});

describe('files that are not as they should be', () => {
  it.each<[string, () => unknown, string, RegExp]>([
    ['no file', () => readSmallFile(at('none'), 9), 'io', /whether the name is right/],
    ['no file, as a stream', async () => streamFile(at('none'), () => {}), 'io', /whether the name is right/],
    ['a folder', () => readSmallFile(folder, 9), 'io', /not a folder/],
    ['a file that is too large', () => readSmallFile(at('file'), 3), 'format', /what was meant/],
    [
      'a stream that is too long',
      () => readBounded(fs.createReadStream(at('file')), 3, 's'),
      'format',
      /what was meant/,
    ],
    ['a name below a file', () => writeNewFile(at('file/x'), 'x', 0o600), 'io', /part of the path/],
    ['links in a circle', () => readSmallFile(at('circle'), 9), 'io', /circle/],
    ['a folder at the name', () => writeNewFile(folder, 'x', 0o600), 'io', /^a folder is there: choose another name$/],
    ['the same with --force', () => writeNewFile(folder, 'x', 0o600, true), 'io', /^a folder is there: choose another/],
    ['a name that is taken', () => writeNewFile(at('file'), 'x', 0o600), 'io', /--force/],
  ])('say what to try: %s', async (_, work, kind, hint) => {
    await expect(work()).rejects.toMatchObject({ kind, hint: expect.stringMatching(hint) });
  });
});
