import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type SourceOptions, withImageSource } from '../../src/cli/image-source.ts';
import { processIo } from '../../src/cli/io.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { noise } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';
import { type TestEntry, tarArchive } from '../tar-archive.ts';
import { checkExt4, e2fsprogs, readContent, readExt4 } from './ext4-peer.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(path.join(folder, 'key'), randomBytes(32).toString('base64'));
});
afterEach(() => remove());
const at = (name: string) => path.join(folder, name);

const COMMAND = path.join(import.meta.dirname, '..', '..', 'bin', 'bootseal.js');

/** Makes the file system of a source, as `image build` does before it encrypts; returns the name of a copy of it. */
async function build(from: string, options: Partial<SourceOptions> = { size: 32 << 20 }): Promise<string> {
  const io = { ...processIo(), cwd: folder, now: () => new Date(1.7e12) };
  const all = { from, ...options };
  await withImageSource(io, all, new AbortController().signal, async ({ handle }) => {
    fs.copyFileSync(`/proc/self/fd/${handle.fd}`, at('raw'));
  });
  checkExt4(at('raw'));
  return at('raw');
}

/** Decrypts a disk; returns the name of the file system in it. */
async function extract(): Promise<string> {
  const done = await bootseal(['image', 'extract', 'disk', '--key-file', 'key', '--out', 'raw', '--force'], folder);
  expect(done.status, done.stderr).toBe(0);
  checkExt4(at('raw'));
  return at('raw');
}

/** security.capability of `cap_net_raw+ep` (Linux, include/uapi/linux/capability.h, vfs_cap_data). */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');
const BIG = noise(3 << 20);
const LONG = `${'d'.repeat(200)}/${'e'.repeat(200)}/${'f'.repeat(200)}`;

const ENTRIES: readonly TestEntry[] = [
  { name: './', type: '5', mode: 0o755, uid: 1, gid: 2, mtime: 1_600_000_000 },
  { name: './etc/', type: '5', mode: 0o750, gid: 42 },
  { name: './etc/shadow', mode: 0o640, gid: 42, data: 'root:*:\n', mtime: 1_234_567_890 },
  { name: './bin', type: '2', linkname: 'usr/bin' },
  { name: 'usr/bin/', type: '5', mode: 0o1777 },
  { name: 'usr/bin/sudo', mode: 0o4755, data: BIG, pax: { mtime: '5000000000.123456789', uid: '4000000000' } },
  { name: 'usr/bin/ping', mode: 0o755, data: 'ping', pax: { 'SCHILY.xattr.security.capability': CAPABILITY } },
  { name: 'usr/bin/one more', type: '1', linkname: './usr/bin/sudo' },
  { name: 'dev/null', type: '3', mode: 0o666, major: 1, minor: 3 },
  { name: 'dev/sda', type: '4', mode: 0o660, gid: 6, major: 8, minor: 0 },
  { name: 'run/pipe', type: '6', mode: 0o600 },
  { name: 'names/<12>', data: 'no inode' },
  { name: 'names/a "quoted" \'name\' ', data: '' },
  { name: 'names/-x', data: '#' },
  { name: 'names/# 1', data: '# 1' },
  { name: 'names/caf\u00c3\u00a9', data: 'UTF-8' },
  { name: 'names/\u00e9\u00ff', data: 'not UTF-8' },
  { name: 'names/link', type: '2', linkname: `"${'t'.repeat(90)}"\\ <3>` },
  { name: 'long', data: 'long', pax: { path: LONG, 'SCHILY.xattr.user.empty': '', 'SCHILY.xattr.user.x y': 'v' } },
  { name: 'lost+found/', type: '5', mode: 0o711, uid: 7 },
  ...Array.from({ length: 300 }, (_, i) => ({ name: `links/${'n'.repeat(60)}${i}`, type: '1', linkname: 'names/-x' })),
];

describeWith(e2fsprogs, 'a file system from archives and folders', () => {
  it('has every owner, mode, time, device, link, name and attribute of a tar archive', async () => {
    fs.writeFileSync(at('root.tar'), tarArchive(...ENTRIES));
    const raw = await build('root.tar');
    const found = readExt4(raw);
    expect(found.get('')).toMatchObject({ mode: 0o755, uid: 1, gid: 2, mtime: [1_600_000_000, 0] });
    expect(found.get('etc')).toMatchObject({ type: 'directory', mode: 0o750, uid: 0, gid: 42, mtime: [1.7e9, 0] });
    expect(found.get('etc/shadow')).toMatchObject({ type: 'regular', mode: 0o640, gid: 42, mtime: [1234567890, 0] });
    expect(found.get('bin')).toMatchObject({ type: 'symlink', target: 'usr/bin' });
    expect(found.get('usr')).toMatchObject({ mode: 0o755, uid: 0, mtime: [0, 0] });
    expect(found.get('usr/bin')).toMatchObject({ mode: 0o1777 });
    expect(found.get('usr/bin/sudo')).toMatchObject({
      ...{ type: 'regular', mode: 0o4755, uid: 4_000_000_000, links: 2, size: BIG.length },
      mtime: [5_000_000_000, 123_456_789],
    });
    expect(found.get('usr/bin/one more')).toEqual(found.get('usr/bin/sudo'));
    expect(found.get('dev/null')).toMatchObject({ type: 'character special', mode: 0o666, device: '01:03' });
    expect(found.get('dev/sda')).toMatchObject({ type: 'block special', mode: 0o660, gid: 6, device: '08:00' });
    expect(found.get('run/pipe')).toMatchObject({ type: 'FIFO', mode: 0o600 });
    expect(found.get('lost+found')).toMatchObject({ mode: 0o711, uid: 7 });
    expect(found.get('names/-x')).toMatchObject({ links: 301 });
    expect([...found.keys()].filter((name) => name.startsWith('links/'))).toHaveLength(300);
    const content = (name: string, attribute?: string) => readContent(raw, name, at('out'), attribute);
    expect(content('usr/bin/sudo').equals(BIG)).toBe(true);
    expect(content('usr/bin/ping', 'security.capability')).toEqual(CAPABILITY);
    expect(content(LONG, '"user.x y"').toString()).toBe('v');
    expect(content('names/link').toString('latin1')).toBe(`"${'t'.repeat(90)}"\\ <3>`);
    for (const { name, data, type = '0', pax } of ENTRIES) {
      if (type !== '0' || typeof data !== 'string') continue;
      expect(content(`${pax?.['path'] ?? name.replace('./', '')}`).toString(), name).toBe(data);
    }
    expect(found.size).toBe(
      new Set(ENTRIES.map(({ name, pax }) => `${pax?.['path'] ?? name}`.replace(/^\.\/|\/$/g, ''))).size +
        ['usr', 'dev', 'run', 'names', 'links', ...LONG.split('/').slice(0, 2)].length,
    );
  });

  it('is the same from gzip, zstd and standard tar tools', async () => {
    execFileSync('mkdir', ['-p', at('tree/sub/deep'), at('tree/empty')]);
    fs.writeFileSync(at('tree/sub/file'), BIG);
    fs.writeFileSync(at('tree/sub/deep/setuid'), 'x', { mode: 0o644 });
    fs.chmodSync(at('tree/sub/deep/setuid'), 0o6711);
    fs.linkSync(at('tree/sub/file'), at('tree/sub/again'));
    fs.symlinkSync('sub/file', at('tree/link'));
    execFileSync('mkfifo', [at('tree/fifo')]);
    fs.utimesSync(at('tree/sub/file'), 1, 1_500_000_000.5);
    const tar = (...options: string[]) =>
      execFileSync('tar', ['-C', at('tree'), '-c', '--sort=name', ...options, '.'], { maxBuffer: 1 << 27 });
    fs.writeFileSync(at('pax.tar'), tar('--format=posix'));
    fs.writeFileSync(at('gnu.tar.gz'), gzipSync(tar('--format=gnu')));
    fs.writeFileSync(
      at('gnu.tar.zst'),
      execFileSync('zstd', ['-qc'], { input: tar('--format=gnu'), maxBuffer: 1 << 27 }),
    );
    const shown = async (from: string) => {
      const found = readExt4(await build(from));
      expect(readContent(at('raw'), 'sub/again', at('out')).equals(BIG)).toBe(true);
      return [...found].map(([name, { mtime, inode, ...rest }]) => [name, { mtime: mtime[0], ...rest }]);
    };
    const expected = await shown('tree');
    expect(expected.length).toBe(10);
    const { uid, gid } = fs.statSync(at('tree/sub/file'));
    expect(new Map(expected as [string, object][]).get('sub/file')).toEqual({
      ...{ type: 'regular', mode: 0o644, uid, gid, links: 2, size: BIG.length, mtime: 1_500_000_000 },
    });
    for (const from of ['pax.tar', 'gnu.tar.gz', 'gnu.tar.zst']) expect(await shown(from)).toEqual(expected);
  });

  it('gives everything to root when asked, and says which sockets are left out', async () => {
    fs.mkdirSync(at('tree'));
    fs.writeFileSync(at('tree/file'), 'x');
    execFileSync('node', [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(at('tree/s'))},()=>process.exit())`,
    ]);
    fs.writeFileSync(at('other.tar'), tarArchive({ name: 'f', uid: 5, gid: 6 }));
    const built = await bootseal(
      ['image', 'build', '--from', 'tree', '--owner', 'root', '--size', '16M', '--key-file', 'key', '--out', 'disk'],
      folder,
    );
    if (fs.existsSync(at('tree/s'))) expect(built.stderr).toContain('bootseal: note: ./s: socket ignored');
    expect(readExt4(await extract()).get('file')).toMatchObject({ uid: 0, gid: 0 });
    expect(readExt4(await build('other.tar', { owner: 'root', size: 16 << 20 })).get('f')).toMatchObject({
      uid: 0,
      gid: 0,
    });
  });

  it.each<[string, readonly TestEntry[]]>([
    ['a file', [{ name: 'lost+found', data: 'x' }]],
    ['a symbolic link', [{ name: 'lost+found', type: '2', linkname: 'x' }]],
    [
      'a second name of a file',
      [
        { name: 'a', data: 'x' },
        { name: 'lost+found', type: '1', linkname: 'a' },
      ],
    ],
  ])('refuses a lost+found that is %s', async (_, entries) => {
    fs.writeFileSync(at('root.tar'), tarArchive(...entries));
    await expect(build('root.tar', { size: 16 << 20 })).rejects.toMatchObject({
      kind: 'format',
      message: '"lost+found" is no directory',
    });
  });

  it('has the size that is asked for', async () => {
    fs.writeFileSync(at('root.tar'), tarArchive({ name: 'f', data: 'x' }));
    expect(fs.statSync(await build('root.tar', { size: 48 << 20 })).size).toBe(48 << 20);
    const small = await bootseal(
      ['image', 'build', '--from', 'root.tar', '--size', '1M', '--key-file', 'key', '--out', 'small'],
      folder,
    );
    expect(small).toMatchObject({ status: 2, stderr: expect.stringContaining('the files need a file system of') });
    expect(fs.existsSync(at('small'))).toBe(false);
  });

  it('is made by an ordinary user with owners and devices of root', async () => {
    fs.writeFileSync(at('root.tar'), tarArchive(...ENTRIES));
    fs.chmodSync(folder, 0o777);
    fs.chmodSync(at('key'), 0o644);
    const args = [
      COMMAND,
      'image',
      'build',
      '--from',
      'root.tar',
      '--size',
      '32M',
      '--key-file',
      'key',
      '--out',
      'disk',
    ];
    const user = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const [program = '', ...rest] = [...user, process.execPath, ...args];
    execFileSync(program, rest, { cwd: folder, stdio: 'pipe' });
    const found = readExt4(await extract());
    expect(found.get('usr/bin/sudo')).toMatchObject({ mode: 0o4755, uid: 4_000_000_000 });
    expect(found.get('dev/null')).toMatchObject({ device: '01:03' });
    expect(readContent(at('raw'), 'usr/bin/ping', at('out'), 'security.capability')).toEqual(CAPABILITY);
  });
});
