import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { BootsealError } from '../../../src/core/errors.ts';
import { readBounded, readSmallFile, streamFile, streamLargeFile } from '../../../src/host/files.ts';
import { ioError } from '../../../src/host/io-error.ts';
import { writeNewFile } from '../../../src/host/new-file.ts';
import { scratch } from '../../cli/script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
fs.writeFileSync(at('file'), 'four');
fs.symlinkSync(at('circle'), at('circle'));
fs.symlinkSync('file', at('link'));
execFileSync('mkfifo', [at('pipe')]);

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
    const large = await collect('large', bytes.length);
    expect(large.total).toBe(bytes.length);
    expect(large.bytes.equals(bytes)).toBe(true);
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

describe('a new file where there are no hard links', () => {
  afterEach(() => vi.restoreAllMocks());
  const withoutLinks = () => vi.spyOn(fs.promises, 'link').mockRejectedValue(system('EPERM'));
  const contents = () => fs.readdirSync(folder).sort();

  it('is written all the same, with its mode and nothing beside it', async () => {
    const before = contents();
    const link = withoutLinks();
    await writeNewFile(at('new'), 'a key', 0o600);
    expect(link).toHaveBeenCalledOnce();
    expect(fs.readFileSync(at('new'), 'utf8')).toBe('a key');
    expect(fs.statSync(at('new')).mode & 0o777).toBe(0o600);
    expect(contents()).toEqual([...before, 'new'].sort());
  });

  it('takes the place of none, also of one that appears while it is written', async () => {
    const before = contents();
    vi.spyOn(fs.promises, 'link').mockImplementation(async () => {
      fs.writeFileSync(at('meanwhile'), 'of another');
      throw system('EPERM');
    });
    await expect(writeNewFile(at('meanwhile'), 'a key', 0o600)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${at('meanwhile')}: it exists already`,
    });
    expect(fs.readFileSync(at('meanwhile'), 'utf8')).toBe('of another');
    expect(contents()).toEqual([...before, 'meanwhile'].sort());
  });

  it('leaves nothing when it cannot be named', async () => {
    const before = contents();
    withoutLinks();
    vi.spyOn(fs.promises, 'rename').mockRejectedValue(system('EIO'));
    await expect(writeNewFile(at('unnamed'), 'a key', 0o600)).rejects.toMatchObject({ kind: 'io' });
    expect(contents()).toEqual(before);
  });

  it('fails as the link does for any other reason', async () => {
    const before = contents();
    vi.spyOn(fs.promises, 'link').mockRejectedValue(system('ENOSPC'));
    await expect(writeNewFile(at('full'), 'a key', 0o600)).rejects.toMatchObject({ kind: 'io' });
    expect(contents()).toEqual(before);
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
    ['a pipe with --force', () => writeNewFile(at('pipe'), 'x', 0o600, true), 'io', /^choose another name$/],
    ['a link with --force', () => writeNewFile(at('link'), 'x', 0o600, true), 'io', /^choose another name$/],
    ['a pipe', () => writeNewFile(at('pipe'), 'x', 0o600), 'io', /^choose another name$/],
    ['a name that is taken', () => writeNewFile(at('file'), 'x', 0o600), 'io', /--force/],
  ])('say what to try: %s', async (_, work, kind, hint) => {
    await expect(work()).rejects.toMatchObject({ kind, hint: expect.stringMatching(hint) });
  });
});
