import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { tarEntry } from '../tar-archive.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const file = (name: string, bytes: Uint8Array | string) => fs.writeFileSync(path.join(folder, name), bytes);

/** A header that says another sum of its bytes than they have. */
const BROKEN = Buffer.concat([tarEntry({ name: 'etc/passwd', data: 'root', checksum: 4711 }), Buffer.alloc(1024)]);
const RAW = Buffer.alloc(4096, 'what the disk holds');

async function build(from: string, more: readonly string[] = [], stdin?: Uint8Array) {
  const over =
    stdin === undefined
      ? {}
      : {
          stdin: (async function* () {
            yield stdin;
          })(),
        };
  return bootseal(['image', 'build', '--from', from, '--out', 'disk.img', ...more], folder, over);
}

const KEY = ['--key-file', 'key', '--kdf', 'pbkdf2', '--kdf-iterations', '1000'];

beforeEach(() => {
  for (const name of fs.readdirSync(folder)) fs.rmSync(path.join(folder, name));
  file('key', 'correct horse battery');
});

describe('an archive that is broken', () => {
  it.each([
    ['a disk with a key', KEY],
    ['a verified disk', ['--verity']],
  ])('is no raw image: %s', async (_, more) => {
    file('broken.tar', BROKEN);
    const names = fs.readdirSync(folder);
    const ran = await build('broken.tar', more);
    expect(ran).toMatchObject({ status: 3, stderr: expect.stringContaining('entry at byte 0: wrong checksum') });
    expect(fs.readdirSync(folder)).toEqual(names);
  });

  it('is none on standard input', async () => {
    const ran = await build('-', KEY, BROKEN);
    expect(ran).toMatchObject({ status: 3, stderr: expect.stringContaining('entry at byte 0: wrong checksum') });
  });
});

describe('a raw image of unknown content', () => {
  it.each([
    ['a disk with a key', KEY],
    ['a verified disk', ['--verity']],
  ])('is said to be one: %s', async (_, more) => {
    file('raw', RAW);
    const ran = await build('raw', more);
    expect(ran).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('warning: raw starts as no archive and no file system that is known here'),
    });
  });
});

describe('a raw image that is packed', () => {
  it.each([
    ['of text', gzipSync(RAW)],
    ['a few bytes', gzipSync('short')],
    ['zeros and then a file system', gzipSync(Buffer.concat([Buffer.alloc(1024), RAW]))],
  ])('is not taken for an archive: %s', async (_, packed) => {
    file('raw.packed', packed);
    const ran = await build('raw.packed', KEY);
    expect(ran).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/raw.packed: what is packed in it is no tar archive\n.*hint: .*raw images/),
    });
    expect(await build('-', KEY, packed)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('standard input: what is packed in it is no tar archive'),
    });
  });

  it('says of an archive that is packed what is wrong with it', async () => {
    file('broken.tar.gz', gzipSync(BROKEN));
    expect(await build('broken.tar.gz', KEY)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('wrong checksum'),
    });
  });
});

describe('an attribute that ext4 has no room for', () => {
  const tar = (size: number) =>
    Buffer.concat([
      tarEntry({ name: 'f', data: 'x', pax: { 'SCHILY.xattr.user.x': 'v'.repeat(size) } }),
      Buffer.alloc(1024),
    ]);

  it('is refused with the name of the file, and one byte less is kept', async () => {
    file('long.tar', tar(4041));
    expect(await build('long.tar', KEY)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('"f": the attribute "user.x" has 4041 bytes, more than ext4 keeps'),
    });
    file('fits.tar', tar(4040));
    const ran = await build('fits.tar', KEY);
    expect(ran, ran.stderr).toMatchObject({ status: 0 });
  });
});
