import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { checkExt4, e2fsprogs, readExt4 } from '../differential/ext4-peer.ts';
import { describeWith } from '../needs.ts';
import { tarArchive } from '../tar-archive.ts';
import { noise } from './raw-image.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(path.join(folder, 'key'), randomBytes(32).toString('base64'));
});
afterEach(() => remove());
const at = (name: string) => path.join(folder, name);

async function* pieces(bytes: Uint8Array, size: number) {
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

const build = (bytes: Uint8Array, options: readonly string[] = [], size = 65_537) =>
  bootseal(['image', 'build', '--from', '-', '--key-file', 'key', '--out', 'disk', ...options], folder, {
    stdin: pieces(bytes, size),
  });

async function extracted(): Promise<Buffer> {
  const done = await bootseal(['image', 'extract', 'disk', '--key-file', 'key', '--out', 'raw', '--force'], folder);
  expect(done.status, done.stderr).toBe(0);
  return fs.readFileSync(at('raw'));
}

it.each([1, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (6 << 20) + 512])(
  'encrypts %d bytes from standard input as they come',
  async (size) => {
    const bytes = noise(size);
    const built = await build(bytes, ['--size', `${size}`]);
    expect(built.status, built.stderr).toBe(0);
    const raw = await extracted();
    expect(raw.subarray(0, size).equals(bytes)).toBe(true);
    expect(raw.subarray(size).every((byte) => byte === 0)).toBe(true);
  },
);

it('refuses a stream that is shorter or longer than it should be, and leaves nothing', async () => {
  const bytes = noise(5 << 20);
  for (const [size, message] of [
    [(5 << 20) + 1, 'standard input ends after 5242880 bytes of 5242881'],
    [(5 << 20) - 1, 'standard input has more than 5242879 bytes'],
    [1 << 20, 'standard input has more than 1048576 bytes'],
  ] as const) {
    const built = await build(bytes, ['--size', `${size}`]);
    expect(built).toMatchObject({ status: 5, stderr: expect.stringContaining(message) });
    expect(fs.readdirSync(folder)).toEqual(['key']);
  }
});

it('asks how long a raw image is that does not say it', async () => {
  expect(await build(noise(100_000))).toMatchObject({ status: 2, stderr: expect.stringContaining('--size') });
  expect(await build(Buffer.alloc(0))).toMatchObject({ status: 2 });
  expect(fs.readdirSync(folder)).toEqual(['key']);
});

it('fails with what the stream fails with', async () => {
  async function* broken() {
    yield noise(3 << 20);
    throw Object.assign(new Error('broken'), { code: 'EIO' });
  }
  const args = ['image', 'build', '--from', '-', '--size', '8M', '--key-file', 'key', '--out', 'disk'];
  const built = await bootseal(args, folder, { stdin: broken() });
  expect(built).toMatchObject({ status: 5, stderr: expect.stringContaining('cannot read standard input: EIO') });
  expect(fs.readdirSync(folder)).toEqual(['key']);
});

it('reads standard input once', async () => {
  const args = ['image', 'build', '--from', '-', '--key-file', '-', '--out', 'disk'];
  const built = await bootseal(args, folder, { stdin: pieces(noise(43), 43) });
  expect(built).toMatchObject({ status: 2, stderr: expect.stringContaining('only once') });
});

describeWith(e2fsprogs, 'standard input', () => {
  it('may be ext4, which says how long it is', async () => {
    execFileSync('/usr/sbin/mke2fs', ['-q', '-b', '4096', at('ext4'), '8M']);
    const bytes = fs.readFileSync(at('ext4'));
    fs.rmSync(at('ext4'));
    expect(await build(bytes.subarray(0, bytes.length - 4096))).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('standard input ends after 8384512 bytes of 8388608'),
    });
    expect(fs.readdirSync(folder)).toEqual(['key']);
    expect(await build(bytes, ['--sparse'])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--sparse needs a file'),
    });
    expect((await build(bytes)).status).toBe(0);
    expect((await extracted()).equals(bytes)).toBe(true);
  });

  it('may be an archive', async () => {
    const built = await build(gzipSync(tarArchive({ name: 'f', data: 'x', uid: 7 })), ['--size', '16M']);
    expect(built.status, built.stderr).toBe(0);
    await extracted();
    checkExt4(at('raw'));
    expect(readExt4(at('raw')).get('f')).toMatchObject({ uid: 7 });
  });
});
