import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { erofsRoom } from '../../src/core/disk/erofs-size.ts';
import { tarOfFolder } from '../../src/host/archive/folder.ts';
import { readTree } from '../../src/host/archive/read-tree.ts';
import { withErofsOf } from '../../src/host/filesystem/erofs.ts';
import { findScratch } from '../../src/host/filesystem/scratch.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { noise } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';
import { type TestEntry, tarArchive } from '../tar-archive.ts';
import { erofsUtils, readErofs } from './erofs-peer.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(at('key'), randomBytes(32).toString('base64'));
  fs.mkdirSync(at('tree'));
});
afterEach(() => remove());
const at = (name: string) => path.join(folder, name);

const COMMAND = path.join(import.meta.dirname, '..', '..', 'bin', 'bootseal.js');
const isRoot = process.getuid?.() === 0;
const BIG = noise(3_000_001);
/** security.capability of `cap_net_raw+ep` (Linux, include/uapi/linux/capability.h, vfs_cap_data). */
const CAPABILITY = '0100000200200000000000000000000000000000';

const ENTRIES: readonly TestEntry[] = [
  { name: './', type: '5', mode: 0o755, uid: 1, gid: 2, mtime: 1_600_000_000 },
  { name: 'etc/', type: '5', mode: 0o2750, gid: 42 },
  { name: 'etc/shadow', mode: 0o640, gid: 42, data: 'root:*:\n', mtime: 1_234_567_890 },
  { name: 'bin', type: '2', linkname: 'usr/bin' },
  { name: 'usr/bin/', type: '5', mode: 0o1777 },
  { name: 'usr/bin/sudo', mode: 0o4755, data: BIG, pax: { mtime: '1500000000.123456789', uid: '4000000000' } },
  { name: 'usr/bin/more', type: '1', linkname: 'usr/bin/sudo' },
  { name: 'usr/bin/noted', data: 'x', pax: { 'SCHILY.xattr.user.note': 'v', 'SCHILY.xattr.user.empty': '' } },
  { name: 'usr/bin/again', data: 'y', pax: { 'SCHILY.xattr.user.note': 'v' } },
  { name: 'usr/bin/third', data: 'z', pax: { 'SCHILY.xattr.user.note': 'v' } },
  { name: 'run/pipe', type: '6', mode: 0o600 },
  { name: 'names/a "quoted" \'name\' ', data: '' },
  { name: 'names/-x', data: '#' },
  ...Array.from({ length: 300 }, (_, i) => ({ name: `many/${'n'.repeat(60)}${i}`, data: `${i}` })),
];
const AS_ROOT: readonly TestEntry[] = [
  { name: 'dev/null', type: '3', mode: 0o666, major: 1, minor: 3 },
  {
    name: 'usr/bin/ping',
    mode: 0o755,
    data: 'ping',
    pax: { 'SCHILY.xattr.security.capability': Buffer.from(CAPABILITY, 'hex') },
  },
];

function makeTree(): void {
  const input = tarArchive(...ENTRIES, ...(isRoot ? AS_ROOT : []));
  const keep = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-p'];
  execFileSync('tar', [...keep, '-xf', '-', '-C', at('tree')], { input });
}

/** Builds a disk, decrypts it, has it checked and unpacked by erofs-utils; returns the name of the file system. */
async function buildAndExtract(...options: string[]): Promise<string> {
  const from = ['--from', 'tree', '--filesystem', 'erofs', '--key-file', 'key', ...options];
  const built = await bootseal(['image', 'build', ...from, '--out', 'disk', '--json'], folder);
  expect(built.status, built.stderr).toBe(0);
  const manifest = JSON.parse(built.stdout);
  expect(manifest.payload.what).toBe('EROFS with blocks of 4096 bytes');
  expect(manifest.data).toMatchObject({ sectorSize: 4096, bytes: manifest.payload.bytes });
  const done = await bootseal(['image', 'extract', 'disk', '--key-file', 'key', '--out', 'raw'], folder);
  expect(done.status, done.stderr).toBe(0);
  execFileSync('/usr/bin/fsck.erofs', [`--extract=${at('out')}`, at('raw')], { stdio: 'pipe' });
  return at('raw');
}

/** All paths below `root`, itself as ''; Node's own recursion goes through symbolic links. */
function everything(root: string, inside = ''): string[] {
  const entries = fs.readdirSync(path.join(root, inside), { withFileTypes: true });
  const below = entries.map((entry) => [path.join(inside, entry.name), entry.isDirectory()] as const);
  return [inside, ...below.flatMap(([name, isDirectory]) => (isDirectory ? everything(root, name) : [name]))];
}

describeWith(erofsUtils, 'EROFS from a folder', () => {
  it('has every content, owner, mode, time, link and attribute of the folder', async () => {
    makeTree();
    // A file of this very second is not older than the build by a whole one.
    fs.writeFileSync(path.join(at('tree'), 'names', 'new'), 'new');
    const raw = await buildAndExtract();
    const names = everything(at('tree'));
    expect(everything(at('out')).sort()).toEqual(names.sort());
    for (const name of names.filter((each) => !each.startsWith('many/') || each.endsWith('n7'))) {
      const stat = fs.lstatSync(path.join(at('tree'), name), { bigint: true });
      const found = readErofs(raw, name);
      const { mode, uid, gid, mtimeNs } = stat;
      expect([name, found.mode, found.uid, found.gid]).toEqual([name, Number(mode), Number(uid), Number(gid)]);
      expect(found.mtime, name).toEqual([Number(mtimeNs / 10n ** 9n), Number(mtimeNs % 10n ** 9n)]);
      if (!stat.isDirectory()) expect(found.links, name).toBe(Number(stat.nlink));
    }
    expect(readErofs(raw, 'usr/bin/more')).toEqual(readErofs(raw, 'usr/bin/sudo'));
    for (const name of names) {
      const [expected, out] = [path.join(at('tree'), name), path.join(at('out'), name)];
      const stat = fs.lstatSync(expected);
      if (stat.isFile()) expect(fs.readFileSync(out).equals(fs.readFileSync(expected)), name).toBe(true);
      else if (stat.isSymbolicLink()) expect(fs.readlinkSync(out)).toBe(fs.readlinkSync(expected));
      else expect(fs.lstatSync(out).mode & 0o170000).toBe(stat.mode & 0o170000);
    }
    expect(readErofs(raw, 'usr/bin/noted').xattrs).toEqual({ 'user.note': '76', 'user.empty': '' });
    expect(readErofs(raw, 'usr/bin/third').xattrs).toEqual({ 'user.note': '76' });
    expect(readErofs(raw, 'etc/shadow').xattrs).toEqual({});
    if (isRoot) {
      expect(readErofs(raw, 'usr/bin/ping').xattrs).toEqual({ 'security.capability': CAPABILITY });
      expect(fs.lstatSync(at('out/dev/null')).rdev).toBe(0x103);
    }
  });

  it('takes no more memory than was looked for, and is the same whenever it is made with the same randomness', async () => {
    makeTree();
    const { tree } = await readTree([tarOfFolder(at('tree'), () => {}, undefined)], {
      layers: false,
      ownedByRoot: false,
    });
    const first = await made(at('tree'));
    expect(erofsRoom(tree)).toBeGreaterThanOrEqual(first.length);
    expect(erofsRoom(tree)).toBeLessThan(first.length * 1.6);
    execFileSync('cp', ['-a', at('tree'), at('other')]);
    expect((await made(at('other'))).equals(first)).toBe(true);
    // The time of the file system, in its superblock.
    expect(Number(first.readBigUInt64LE(1024 + 24))).toBe(1_700_000_001);
  });

  it('gives everything to root when asked, keeps sockets and says nothing of them', async () => {
    fs.writeFileSync(at('tree/file'), 'x');
    if (isRoot) fs.chownSync(at('tree/file'), 5, 6);
    const listen = `require('net').createServer().listen(${JSON.stringify(at('tree/s'))},()=>process.exit())`;
    execFileSync('node', ['-e', listen]);
    const raw = await buildAndExtract('--owner', 'root', '--integrity', 'hmac');
    expect(readErofs(raw, 'file')).toMatchObject({ uid: 0, gid: 0 });
    if (fs.existsSync(at('tree/s'))) expect(readErofs(raw, 's').mode & 0o170000).toBe(0o140000);
  });

  it('is refused when the folder changes while it is read', async () => {
    fs.writeFileSync(at('tree/file'), 'x');
    const scratch = await findScratch(undefined);
    const open = async () => {
      fs.appendFileSync(at('tree/file'), 'y');
      return scratch.open();
    };
    const built = made(at('tree'), { ...scratch, open });
    await expect(built).rejects.toMatchObject({ kind: 'io', message: `${at('tree')} was changed while it was read` });
  });

  it('is refused when a file cannot be read, and where the files have no room', async () => {
    fs.writeFileSync(at('tree/file'), BIG);
    const scratch = await findScratch(undefined);
    let asked = 0;
    const checkRoom = async (bytes: number) => {
      asked = bytes;
      throw new Error('no room');
    };
    await expect(made(at('tree'), { ...scratch, checkRoom })).rejects.toThrow('no room');
    expect(asked).toBeGreaterThan(BIG.length);
    fs.chmodSync(at('tree/file'), 0);
    fs.chmodSync(folder, 0o777);
    fs.chmodSync(at('key'), 0o644);
    const args = [
      COMMAND,
      'image',
      'build',
      '--from',
      'tree',
      '--filesystem',
      'erofs',
      '--key-file',
      'key',
      '--out',
      'disk',
    ];
    const user = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
    const [program = '', ...rest] = [...user, process.execPath, ...args];
    const ran = spawnSync(program, rest, { cwd: folder, encoding: 'utf8' });
    expect(ran.stderr).toContain('file: Cannot open: Permission denied');
    expect(ran.status).toBe(5);
    expect(fs.existsSync(at('disk'))).toBe(false);
    fs.chmodSync(at('tree/file'), 0o644);
    expect(spawnSync(program, rest, { cwd: folder, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
  });
});

/** Returns the whole file system, made with randomness that is always the same. */
async function made(source: string, where?: Awaited<ReturnType<typeof findScratch>>): Promise<Buffer> {
  const options = {
    ownedByRoot: false,
    scratch: where ?? (await findScratch(undefined)),
    time: 1_700_000_001,
    random: (size: number) => new Uint8Array(size).fill(7),
    onRemark: (line: string) => {
      throw new Error(line);
    },
  };
  return withErofsOf(source, options, async ({ handle }) => fs.readFileSync(`/proc/self/fd/${handle.fd}`));
}
