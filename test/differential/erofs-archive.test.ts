import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { checkErofsTree } from '../../src/core/disk/check-erofs.ts';
import { readTree } from '../../src/host/archive/read-tree.ts';
import { type TarFile, tarInRegion } from '../../src/host/archive/tar-file.ts';
import { withErofsOf, withErofsOfArchives } from '../../src/host/filesystem/erofs.ts';
import { findScratch, type Scratch } from '../../src/host/filesystem/scratch.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { noise, start } from '../disk-image/raw-image.ts';
import { describeWith, needRoot } from '../needs.ts';
import { type TestEntry, tarArchive } from '../tar-archive.ts';
import { fakeroot, readErofs } from './erofs-peer.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.chmodSync(folder, 0o777);
  fs.writeFileSync(at('key'), randomBytes(32).toString('base64'), { mode: 0o644 });
  fs.mkdirSync(at('elsewhere'));
  fs.chmodSync(at('elsewhere'), 0o777);
});
afterEach(() => {
  vi.unstubAllEnvs();
  remove();
});
const at = (name: string) => path.join(folder, name);

const COMMAND = path.join(import.meta.dirname, '..', '..', 'bin', 'bootseal.js');
const isRoot = process.getuid?.() === 0;
const BIG = noise(3_000_001);
/** security.capability of `cap_net_raw+ep` (Linux, include/uapi/linux/capability.h, vfs_cap_data). */
const CAPABILITY = '0100000200200000000000000000000000000000';
/** user::rwx, user:42:r--, group::r-x, mask::r-x, other::--- (Linux, include/uapi/linux/posix_acl_xattr.h). */
const ACL = '0200000001000700ffffffff020004002a00000004000500ffffffff10000500ffffffff20000000ffffffff';
const LONG = `${'d'.repeat(200)}/${'e'.repeat(200)}/${'f'.repeat(200)}`;
const TARGET = `/no/../where/${'t'.repeat(300)}`;

const ENTRIES: readonly TestEntry[] = [
  { name: './', type: '5', mode: 0o751, uid: 1, gid: 2, pax: { 'SCHILY.xattr.user.root': 'r' } },
  { name: 'etc/', type: '5', mode: 0o2000, gid: 42, mtime: 1_234_567_890 },
  { name: 'etc/shadow', mode: 0, gid: 42, data: 'root:*:\n', mtime: 1_234_567_890 },
  { name: 'etc/blind', mode: 0o200, data: 'blind' },
  { name: 'etc/blinder', mode: 0o4044, data: 'blind', pax: { 'SCHILY.xattr.user.note': 'v' } },
  { name: 'etc/listed/', type: '5', mode: 0o750, pax: { 'SCHILY.xattr.system.posix_acl_default': hex(ACL) } },
  { name: 'bin', type: '2', mode: 0o777, uid: 5, linkname: 'usr/bin', mtime: 1_111_111_111 },
  { name: 'usr/bin/', type: '5', mode: 0o1777 },
  { name: 'usr/bin/sudo', mode: 0o6755, data: BIG, pax: { mtime: '1500000000.123456789', uid: '4294967294' } },
  { name: 'usr/bin/more', type: '1', linkname: 'usr/bin/sudo' },
  { name: 'usr/bin/ping', mode: 0o755, data: 'ping', pax: { 'SCHILY.xattr.security.capability': hex(CAPABILITY) } },
  { name: 'usr/bin/noted', data: 'x', pax: { 'SCHILY.xattr.user.note': 'v', 'SCHILY.xattr.user.empty': '' } },
  { name: 'usr/bin/again', data: 'y', pax: { 'SCHILY.xattr.user.note': 'v', 'SCHILY.xattr.user.a \\b"#': '=\n' } },
  { name: 'usr/bin/third', data: 'z', pax: { 'SCHILY.xattr.user.note': 'v', 'SCHILY.xattr.trusted.x': hex('00ff') } },
  { name: 'usr/bin/fourth', type: '1', linkname: 'usr/bin/third' },
  { name: 'usr/bin/large', data: '', pax: { 'SCHILY.xattr.user.large': '.'.repeat(1013) } },
  { name: 'link', type: '2', mode: 0o777, linkname: TARGET.slice(0, 90), pax: { 'SCHILY.xattr.trusted.link': 'l' } },
  { name: 'longer', type: '2', mode: 0o777, linkname: 'x', pax: { linkpath: TARGET } },
  { name: 'longest', type: '1', linkname: 'longer' },
  { name: 'dev/null', type: '3', mode: 0o666, major: 1, minor: 3 },
  { name: 'dev/sda', type: '4', mode: 0o660, gid: 6, major: 4095, minor: 65535 },
  { name: 'dev/sdb', type: '1', linkname: 'dev/sda' },
  { name: 'run/pipe', type: '6', mode: 0o600, uid: 7, pax: { mtime: '-1.5' } },
  { name: 'names/a "quoted" \'name\' ', data: '' },
  { name: 'names/-x', data: '#' },
  { name: 'names/\\101', data: 'A', pax: { 'SCHILY.xattr.user.note': 'w' } },
  { name: 'names/caf\u00c3\u00a9', data: 'UTF-8', pax: { 'SCHILY.xattr.user.note': 'caf\u00c3\u00a9' } },
  { name: 'names/# file: x', data: 'y', pax: { 'SCHILY.xattr.user.note': 'u' } },
  { name: 'attributes', data: 'of the archive' },
  { name: 'long', data: 'long', pax: { path: LONG, 'SCHILY.xattr.user.long': '1' } },
  ...Array.from({ length: 300 }, (_, i) => ({ name: `many/${'n'.repeat(60)}${i}`, data: `${i}` })),
];
/** What no terminal shows. */
const NOT_UTF8: TestEntry = { name: 'names/\u00e9\u00ff\t', data: 'not UTF-8', uid: 8 };

/** With a time later than that of every file above. */
const ENVIRONMENT = { ...process.env, SOURCE_DATE_EPOCH: '1800000000' };

function hex(text: string): Buffer {
  return Buffer.from(text, 'hex');
}

function buildArguments(out: string, from: string, options: readonly string[]): readonly string[] {
  return ['image', 'build', '--from', from, '--filesystem', 'erofs', '--key-file', 'key', ...options, '--out', out];
}

/** Builds a disk of `from`, as another user when asked; returns what was said. */
function build(
  out: string,
  from: string,
  { asUser = !isRoot, options = [] as readonly string[], within = [] as readonly string[] },
) {
  const args = buildArguments(out, from, options);
  const user = asUser && isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const [program = '', ...rest] = [...user, ...within, process.execPath, COMMAND, ...args];
  return spawnSync(program, rest, { cwd: folder, encoding: 'utf8', env: ENVIRONMENT });
}

const HAS_NAMESPACES = spawnSync('unshare', ['--user', '--map-root-user', 'true']).status === 0;

/** Runs a program where the kernel gives nobody a namespace of users (user_namespaces(7), namespaces(7)), as many containers do. */
const NO_NAMESPACES = [
  ...['unshare', '--user', '--map-root-user', 'sh', '-ec'],
  ...['echo 0 >/proc/sys/user/max_user_namespaces; ! unshare --user true 2>/dev/null; exec "$@"', 'sh'],
];

/** Decrypts a disk, has it checked and unpacked by erofs-utils; returns the name of the file system. */
async function extract(disk: string): Promise<string> {
  const done = await bootseal(['image', 'extract', disk, '--key-file', 'key', '--out', 'raw', '--force'], folder);
  expect(done.status, done.stderr).toBe(0);
  execFileSync('/usr/bin/fsck.erofs', [`--extract=${at('out')}`, at('raw')], { stdio: 'pipe' });
  return at('raw');
}

const TYPES = { 0: 0o100000, 2: 0o120000, 3: 0o020000, 4: 0o060000, 5: 0o040000, 6: 0o010000 } as const;
const utf8 = (name: string) => Buffer.from(name, 'latin1').toString('utf8');
const pathOf = ({ name, pax }: TestEntry) => `${pax?.['path'] ?? name}`.replace(/^\.\/|\/$/g, '');

function timeOf({ mtime = 1_700_000_000, pax }: TestEntry): readonly [number, number] {
  // mkfs.erofs takes it for one far in the future.
  if (pax?.['mtime'] === '-1.5') return [1_800_000_000, 0];
  return pax?.['mtime'] === undefined ? [mtime, 0] : [1_500_000_000, 123_456_789];
}

/** What the archive says of an entry, in the words of {@link readErofs}. */
function described(entry: TestEntry) {
  const { type = '0', mode = 0o644, uid = 0, gid = 0, pax = {} } = entry;
  const xattrs = Object.entries(pax).flatMap(([key, value]) => {
    const name = /^SCHILY\.xattr\.(.*)$/s.exec(key)?.[1];
    return name === undefined ? [] : [[name, Buffer.from(value as string, 'latin1').toString('hex')] as const];
  });
  return {
    mode: TYPES[type as '0'] | mode,
    uid: pax['uid'] === undefined ? uid : Number(pax['uid']),
    gid,
    mtime: timeOf(entry),
    xattrs: Object.fromEntries(xattrs),
  };
}

describeWith(fakeroot, 'EROFS from archives', () => {
  it('has every owner, mode, time, device, link, name, content and attribute, whoever makes it and wherever', async () => {
    fs.writeFileSync(at('root.tar'), tarArchive(...ENTRIES, NOT_UTF8));
    const seeded = ['--seed', 'test'];
    const builds = [
      ['user', { asUser: true, options: seeded }],
      // Where there are no namespaces, it is what the first one was.
      ...(HAS_NAMESPACES ? [['user-alone', { asUser: true, options: seeded, within: NO_NAMESPACES }] as const] : []),
      ['user-scratch', { asUser: true, options: [...seeded, '--scratch', 'elsewhere'] }],
      ...(isRoot ? [['root', { asUser: false, options: seeded }] as const] : []),
      ...(isRoot ? [['root-scratch', { asUser: false, options: [...seeded, '--scratch', 'elsewhere'] }] as const] : []),
    ] as const;
    for (const [name, options] of builds) {
      const ran = build(name, 'root.tar', options);
      expect(ran, ran.stderr).toMatchObject({ status: 0 });
      expect(ran.stderr.replace(/^bootseal: warning: TEST ONLY: .*\n/, '')).toBe('');
      expect(fs.readFileSync(at(name)).equals(fs.readFileSync(at('user'))), name).toBe(true);
    }
    expect(fs.readdirSync(at('elsewhere'))).toEqual([]);

    const raw = await extract('user');
    const names = new Map<string, string[]>();
    for (const entry of ENTRIES.filter(({ name }) => !name.startsWith('many/') || name.endsWith('n7'))) {
      const { type, linkname = '', data, major = 0, minor = 0, pax } = entry;
      const name = pathOf(entry);
      if (type === '1') {
        names.set(linkname, [...(names.get(linkname) ?? [linkname]), name]);
        continue;
      }
      expect([name, readErofs(raw, utf8(name))]).toMatchObject([name, described(entry)]);
      const out = path.join(at('out'), utf8(name));
      if (data !== undefined) expect(fs.readFileSync(out).equals(Buffer.from(data as string)), name).toBe(true);
      if (type === '2') expect(fs.readlinkSync(out)).toBe(pax?.['linkpath'] ?? linkname);
      if (type === '3' || type === '4') {
        // Linux, include/linux/kdev_t.h, new_encode_dev.
        expect(readErofs(raw, name).device >>> 0).toBe(((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0);
      }
    }
    expect(names.size).toBe(4);
    for (const [first, ...others] of names.values()) {
      const found = readErofs(raw, first ?? '');
      expect(found.links).toBe(1 + others.length);
      for (const other of others) expect(readErofs(raw, other)).toEqual(found);
    }
    // Directories that the archive does not describe.
    for (const name of ['usr', 'dev', 'names', 'many']) {
      expect(readErofs(raw, name)).toMatchObject({ mode: 0o40755, uid: 0, gid: 0, mtime: [0, 0], xattrs: {} });
    }
    const listed = fs
      .readdirSync(Buffer.from(at('out/names')), { encoding: 'buffer' })
      .map((each) => each.toString('latin1'));
    const expected = [...ENTRIES, NOT_UTF8].filter(({ name }) => name.startsWith('names/'));
    expect(listed.sort()).toEqual(expected.map(({ name }) => name.slice(6)).sort());
    expect(fs.readdirSync(at('out/many'))).toHaveLength(300);
  });

  it('is byte for byte what mkfs.erofs makes of the unpacked folder', async (context) => {
    needRoot(context, 'the folder has devices and other owners');
    fs.writeFileSync(at('root.tar'), tarArchive(...ENTRIES, NOT_UTF8));
    fs.mkdirSync(at('tree'));
    const keep = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '--delay-directory-restore', '-pP'];
    execFileSync('tar', [...keep, '-xf', at('root.tar'), '-C', at('tree')], { env: { ...process.env, LC_ALL: 'C' } });
    // Directories that the archive does not describe are as old as the unpacking.
    for (const name of ['usr', 'dev', 'run', 'names', 'many', path.dirname(LONG), path.dirname(path.dirname(LONG))]) {
      fs.utimesSync(path.join(at('tree'), name), 0, 0);
    }
    const expected = await withErofsOf(at('tree'), { ...OPTIONS, scratch: await findScratch(undefined) }, read);
    expect((await made('root.tar')).equals(expected)).toBe(true);
  });

  it('is made of what is packed, of standard input and of the layers of an image', async () => {
    const tar = tarArchive({ name: 'a/x', data: 'x', uid: 3 }, { name: 'b', data: 'b' });
    fs.writeFileSync(at('root.tar'), tar);
    fs.writeFileSync(at('packed'), gzipSync(tar));
    const options = ['--seed', 'test', '--owner', 'root'];
    expect(build('plain', 'root.tar', { options })).toMatchObject({ status: 0 });
    expect(build('unpacked', 'packed', { options })).toMatchObject({ status: 0 });
    expect(fs.readFileSync(at('unpacked')).equals(fs.readFileSync(at('plain')))).toBe(true);
    const args = buildArguments('piped', '-', options);
    execFileSync(process.execPath, [COMMAND, ...args], {
      cwd: folder,
      env: ENVIRONMENT,
      input: gzipSync(tar),
      stdio: 'pipe',
    });
    expect(fs.readFileSync(at('piped')).equals(fs.readFileSync(at('plain')))).toBe(true);
    const raw = await extract('plain');
    expect(readErofs(raw, 'a/x')).toMatchObject({ uid: 0, links: 1 });

    const second = tarArchive({ name: 'a/.wh.x' }, { name: 'a/y', data: 'y', gid: 4 });
    const layers = { 'one.tar': tar, 'two.tar': second };
    const diff_ids = Object.values(layers).map((layer) => `sha256:${createHash('sha256').update(layer).digest('hex')}`);
    const image = {
      ...layers,
      'c.json': JSON.stringify({ rootfs: { type: 'layers', diff_ids } }),
      'manifest.json': JSON.stringify([{ Config: 'c.json', Layers: Object.keys(layers) }]),
    };
    fs.writeFileSync(at('image.tar'), tarArchive(...Object.entries(image).map(([name, data]) => ({ name, data }))));
    fs.mkdirSync(at('image'));
    for (const [name, data] of Object.entries(image)) fs.writeFileSync(path.join(at('image'), name), data);
    for (const from of ['image.tar', 'image']) {
      expect(build(`of-${from}`, from, {})).toMatchObject({ status: 0, stderr: '' });
      fs.rmSync(at('out'), { recursive: true, force: true });
      const found = await extract(`of-${from}`);
      expect(fs.readdirSync(at('out'), { recursive: true }).sort()).toEqual(['a', 'a/y', 'b']);
      expect(readErofs(found, 'a/y')).toMatchObject({ gid: 4 });
    }
  });

  it.each([
    ['the attribute "user.large" has 1014 bytes', { name: 'x', pax: { 'SCHILY.xattr.user.large': '.'.repeat(1014) } }],
    [
      'the names of its attributes have 1045 bytes',
      {
        name: 'x',
        pax: Object.fromEntries(Array.from({ length: 95 }, (_, i) => [`SCHILY.xattr.user.n${1000 + i}`, 'v'])),
      },
    ],
    ['its directory "l" is a symbolic link', { name: 'l/x', data: '' }],
    ['"/x" is absolute', { name: '/x', data: '' }],
    ['leads out of the archive by ".."', { name: '../x', data: '' }],
  ] as const)('is refused before anything is made: %s', async (message, entry) => {
    fs.writeFileSync(at('root.tar'), tarArchive({ name: 'l', type: '2', linkname: '.' }, entry as TestEntry));
    const open = () => Promise.reject(new Error('made'));
    const scratch = { ...(await findScratch(undefined)), open };
    await expect(made('root.tar', scratch)).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
    });
  });

  it('is held against what the archives say', async () => {
    fs.writeFileSync(at('root.tar'), tarArchive(...ENTRIES, NOT_UTF8));
    const image = await made('root.tar');
    const read = (from: number, size: number) => image.subarray(from, from + size);
    const check = async (...more: readonly TestEntry[]) => {
      fs.writeFileSync(at('other.tar'), tarArchive(...ENTRIES, NOT_UTF8, ...more));
      const { tree } = await withTar('other.tar', (tar) => readTree([tar], { layers: false, ownedByRoot: false }));
      checkErofsTree(tree, read);
    };
    await check();
    const of = (name: string, change: Partial<TestEntry>) => {
      const entry = ENTRIES.find((each) => each.name === name);
      return { ...entry, name, ...change };
    };
    const cases: readonly (readonly [TestEntry, string])[] = [
      [of('etc/shadow', { mode: 1 }), '"etc/shadow" is 100000 of 0:42, 8 bytes and not 100001 of 0:42, 8 bytes'],
      [of('etc/shadow', { gid: 43 }), '"etc/shadow" is 100000 of 0:42, 8 bytes and not 100000 of 0:43, 8 bytes'],
      [of('etc/shadow', { data: '' }), '"etc/shadow" is 100000 of 0:42, 8 bytes and not 100000 of 0:42, 0 bytes'],
      [of('dev/null', { minor: 4 }), '"dev/null" is 20666 of 0:0, device 259 and not 20666 of 0:0, device 260'],
      [of('usr/bin/ping', { pax: {} }), '"usr/bin/ping" has not the same attribute "security.capability"'],
      [of('usr/bin/noted', { pax: { 'SCHILY.xattr.user.note': 'w' } }), 'has not the same attribute "user.'],
      [{ name: 'new', data: '' }, '"new" is missing'],
      [{ name: 'dev/sdb', type: '1', linkname: 'dev/null' }, '"dev/sdb" is 60660 of 0:6'],
    ];
    for (const [entry, message] of cases) {
      await expect(check(entry), message).rejects.toMatchObject({
        kind: 'tool',
        message: expect.stringContaining(message),
      });
    }
    const twins = ['a', 'b'].map((name) => ({ name, data: '' }));
    const linked = [
      { name: 'a', data: '' },
      { name: 'b', type: '1', linkname: 'a' },
    ];
    for (const [one, two, message] of [
      [twins, linked, '"b" is a file of its own'],
      [linked, twins, 'one file in place of two'],
      [twins, twins.slice(1), '"a" is in no archive'],
    ] as const) {
      fs.writeFileSync(at('root.tar'), tarArchive(...one));
      fs.writeFileSync(at('other.tar'), tarArchive(...two));
      const other = await made('root.tar');
      const { tree } = await withTar('other.tar', (tar) => readTree([tar], { layers: false, ownedByRoot: false }));
      expect(() => checkErofsTree(tree, (from, size) => other.subarray(from, from + size))).toThrow(message);
    }
  });

  it.runIf(HAS_NAMESPACES)('is no disk when mkfs.erofs does not see what it is told', () => {
    fs.writeFileSync(at('root.tar'), tarArchive(...ENTRIES));
    fs.copyFileSync('/usr/bin/mkfs.erofs', at('real'));
    // As if it were linked statically.
    fs.writeFileSync(at('deaf'), `#!/bin/sh\nunset LD_PRELOAD\nexec ${at('real')} "$@"\n`, { mode: 0o755 });
    const within = [
      'unshare',
      '--user',
      '--map-root-user',
      '--mount',
      'sh',
      '-ec',
      `mount --bind "$0" /usr/bin/mkfs.erofs; exec "$@"`,
      at('deaf'),
    ];
    const ran = build('disk', 'root.tar', { asUser: true, within });
    expect(ran).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('mkfs.erofs was told other files than it made: "" is 40'),
    });
    expect(ran.stderr).toContain('hint: is it linked statically');
    expect(fs.existsSync(at('disk'))).toBe(false);
  });

  it('looks for room for the files and for the file system', async () => {
    fs.writeFileSync(at('root.tar'), tarArchive({ name: 'big', data: BIG }));
    let asked = 0;
    const checkRoom = async (bytes: number) => {
      asked = bytes;
      throw new Error('no room');
    };
    await expect(made('root.tar', { ...(await findScratch(undefined)), checkRoom })).rejects.toThrow('no room');
    expect(asked).toBeGreaterThan(2 * BIG.length);
  });

  it.each([true, false])('leaves nothing when the archive changes meanwhile (in memory: %s)', async (inMemory) => {
    fs.writeFileSync(at('root.tar'), tarArchive({ name: 'a', data: BIG }, { name: 'b', data: 'x' }));
    const scratch = { ...(await findScratch(at('elsewhere'))), inMemory };
    const open = async () => {
      fs.writeFileSync(at('root.tar'), tarArchive({ name: 'a', data: BIG }, { name: 'c', data: 'x' }));
      return scratch.open();
    };
    await expect(made('root.tar', { ...scratch, open })).rejects.toMatchObject({ kind: 'io' });
    expect(fs.readdirSync(at('elsewhere'))).toEqual([]);
  });

  it.each([
    ['SIGKILL', []],
    ['SIGKILL', ['--scratch', 'elsewhere']],
    ['SIGINT', []],
    ['SIGINT', ['--scratch', 'elsewhere']],
  ] as const)('leaves no file and no program behind when it is ended by %s (%j)', async (signal, options) => {
    const many = Array.from({ length: 4000 }, (_, i) => ({ name: `n${i}`, data: 'x'.repeat(5000), uid: i }));
    fs.writeFileSync(at('root.tar'), tarArchive(...many));
    const args = ['image', 'build', '--from', 'root.tar', '--filesystem', 'erofs', '--key-file', 'key'];
    const epoch = `${1_500_000_000 + Math.floor(Math.random() * 1e8)}`;
    vi.stubEnv('SOURCE_DATE_EPOCH', epoch);
    const running = () => programsWith(`SOURCE_DATE_EPOCH=${epoch}`);
    let interrupted = 0;
    for (let run = 0; run < 8; run++) {
      const child = start([...args, ...options, '--out', 'disk'], folder);
      const ended = new Promise((resolve) => child.once('exit', resolve));
      // Bootseal itself, and what makes the file system.
      await expect.poll(() => running().length, { timeout: 20_000, interval: 20 }).toBeGreaterThan(3);
      await sleep(80 * run);
      child.kill(signal);
      await ended;
      if (!fs.existsSync(at('disk'))) interrupted++;
      for (const name of fs.readdirSync(folder)) if (name.startsWith('disk')) fs.rmSync(at(name));
      await expect.poll(running, { timeout: 10_000 }).toEqual([]);
      // Builds of others may be at work there for a while.
      await expect.poll(namedFiles, { timeout: 20_000 }).toEqual([]);
    }
    expect(interrupted).toBeGreaterThan(2);
  });
});

/** What has a name where builds keep what is in the clear: here, and of this user in memory. */
function namedFiles(): readonly string[] {
  return [at('elsewhere'), '/dev/shm'].flatMap((place) =>
    fs.readdirSync(place).filter((name) => name.startsWith('bootseal-')),
  );
}

/** Programs that run with a variable: what a build starts has the time of that build. */
function programsWith(variable: string): readonly string[] {
  return fs.readdirSync('/proc').filter((pid) => {
    if (!/^[0-9]+$/.test(pid)) return false;
    try {
      return fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(variable);
    } catch {
      return false;
    }
  });
}

const OPTIONS = {
  ownedByRoot: false,
  time: 1_700_000_001,
  random: (size: number) => new Uint8Array(size).fill(7),
  onRemark: (line: string) => {
    throw new Error(line);
  },
};

const read = async ({ handle }: { readonly handle: fs.promises.FileHandle }) =>
  fs.readFileSync(`/proc/self/fd/${handle.fd}`);

async function withTar<T>(archive: string, use: (tar: TarFile) => Promise<T>): Promise<T> {
  const handle = await fs.promises.open(at(archive));
  try {
    const { size } = await handle.stat();
    return await use(tarInRegion({ name: archive, handle, at: 0, size }, 'none', undefined));
  } finally {
    await handle.close();
  }
}

/** Returns the whole file system of an archive. */
async function made(archive: string, where?: Scratch): Promise<Buffer> {
  const options = { ...OPTIONS, scratch: where ?? (await findScratch(undefined)), layers: false };
  return withTar(archive, (tar) => withErofsOfArchives([tar], options, read));
}
