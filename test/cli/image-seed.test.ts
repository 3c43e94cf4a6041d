import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bareDisk } from '../../src/core/disk/shape.ts';
import { type LuksHeader, readHeader, unlock } from '../../src/core/luks/image.ts';
import { plan } from '../../src/core/luks/plan.ts';
import { withSource } from '../../src/host/image/source.ts';
import { writeImage } from '../../src/host/image/write-image.ts';
import { noise } from '../disk-image/raw-image.ts';
import { memoryDisk, nodeLuksCrypto } from '../luks-image.ts';
import { describeWith } from '../needs.ts';
import { bootseal, scratch } from './script.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(at('raw'), noise(300_000));
  fs.writeFileSync(at('recovery.secret'), 'a passphrase of mine');
});
afterEach(() => remove());
const at = (name: string) => path.join(folder, name);
const read = (name: string) => new Uint8Array(fs.readFileSync(at(name)));

const KEY = ['--new-key', 'disk.secret'];
const RAW = ['--from', '../raw'];

/** Builds in a folder of its own, so that all files are called the same. */
async function build(name: string, ...options: string[]) {
  fs.mkdirSync(at(name));
  const ran = await bootseal(['image', 'build', '--out', 'disk', '--json', ...options], at(name));
  expect(ran.status, ran.stderr).toBe(0);
  return { manifest: JSON.parse(ran.stdout), stderr: ran.stderr };
}

/** Everything that a build wrote. */
function filesOf(name: string): Record<string, Buffer> {
  const names = fs.readdirSync(at(name));
  return Object.fromEntries(names.map((file) => [file, fs.readFileSync(path.join(at(name), file))]));
}

function expectSame(first: string, second: string): void {
  const [a, b] = [filesOf(first), filesOf(second)];
  expect(Object.keys(a)).toEqual(Object.keys(b));
  for (const [file, bytes] of Object.entries(a)) expect(b[file]?.equals(bytes), file).toBe(true);
}

async function opened(name: string): Promise<{ readonly header: LuksHeader; readonly volumeKey: Uint8Array }> {
  const disk = memoryDisk(read(`${name}/disk`));
  const header = await readHeader(disk);
  const { volumeKey } = await unlock(header, disk, read(`${name}/disk.secret`), nodeLuksCrypto);
  return { header, volumeKey };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('image build --seed', () => {
  it.each<[string, string[]]>([
    ['a bare disk', KEY],
    ['a detached header', [...KEY, '--detached-header', 'header']],
    ['a GPT with an EFI system partition', [...KEY, '--shape', 'gpt', '--esp', '../esp', '--esp-size', '34M']],
    ['qcow2', [...KEY, '--format', 'qcow2']],
    ['qcow2 with a GPT', [...KEY, '--format', 'qcow2', '--shape', 'gpt', '--esp', '../esp', '--esp-size', '34M']],
    ['hmac', [...KEY, '--integrity', 'hmac']],
    ['gcm', [...KEY, '--integrity', 'gcm']],
    ['sectors of 512 bytes', [...KEY, '--sector-size', '512', '--label', 'root']],
    ['several keyslots', [...KEY, '--recovery-key-file', '../recovery.secret', '--keyring-token', 'disk']],
    ['a key that is given', ['--key-file', '../recovery.secret', '--kdf', 'pbkdf2', '--kdf-iterations', '1000']],
    ['LUKS1', [...KEY, '--luks1']],
    ['verity', ['--verity']],
    ['verity in a GPT', ['--verity', '--shape', 'gpt', '--esp', '../esp', '--esp-size', '34M']],
  ])('makes the same bytes again: %s', async (_, options) => {
    fs.mkdirSync(at('esp'));
    fs.writeFileSync(at('esp/BOOT.EFI'), 'boots');
    const { manifest } = await build('a', ...RAW, '--seed', 'x', ...options);
    await build('b', ...RAW, '--seed', 'x', ...options);
    expect(manifest.testOnly).toBe(true);
    expectSame('a', 'b');
    await build('other', ...RAW, '--seed', 'y', ...options);
    expect(filesOf('other')['disk']?.equals(filesOf('a')['disk'] ?? Buffer.of())).toBe(false);
  });

  it('says aloud that the disk is for tests: in help, warning, output and manifest', async () => {
    const ran = await bootseal(
      ['image', 'build', ...['--from', 'raw', '--out', 'disk', '--seed', 'x'], ...KEY],
      folder,
    );
    expect(ran.stderr).toContain('warning: TEST ONLY: the disk is made from --seed: whoever knows seed and content');
    expect(ran.stdout).toMatch(/^TEST ONLY +made from --seed/m);
    expect(JSON.parse(fs.readFileSync(at('disk.json'), 'utf8')).testOnly).toBe(true);
    expect((await bootseal(['image', 'build', '--help'], folder)).stdout).toMatch(/--seed <text> +FOR TESTS ONLY/);
    expect(await bootseal(['image', 'verify', 'disk', '--key-file', 'disk.secret'], folder)).toMatchObject({
      status: 0,
    });
  });

  it('stays so when the keys change: the volume key is still known', async () => {
    await build('a', ...RAW, '--seed', 'x', ...KEY);
    const args = ['image', 'rekey', 'a/disk', '--key-file', 'a/disk.secret', '--new-key', 'new.secret'];
    expect(await bootseal(args, folder)).toMatchObject({ status: 0 });
    expect(JSON.parse(fs.readFileSync(at('a/disk.json'), 'utf8')).testOnly).toBe(true);
  });

  it('never gives two contents, or two ways to encrypt one, the same volume key', async () => {
    const seed = ['--seed', 'x', ...KEY];
    await build('base', ...RAW, ...seed);
    await build('sectors', ...RAW, ...seed, '--sector-size', '512');
    await build('labelled', ...RAW, ...seed, '--label', 'root');
    await build('luks1', ...RAW, ...seed, '--luks1');
    await build('other-seed', ...RAW, '--seed', 'y', ...KEY);
    const bytes = fs.readFileSync(at('raw'));
    bytes.writeUInt8(bytes.readUInt8(299_999) ^ 1, 299_999);
    fs.writeFileSync(at('raw'), bytes);
    await build('one-bit', ...RAW, ...seed);
    fs.writeFileSync(at('raw'), bytes.subarray(0, -1));
    await build('one-byte-less', ...RAW, ...seed);
    const names = ['base', 'sectors', 'labelled', 'luks1', 'other-seed', 'one-bit', 'one-byte-less'];
    const made = await Promise.all(names.map(opened));
    expect(new Set(made.map(({ volumeKey }) => hex(volumeKey))).size).toBe(names.length);
    expect(new Set(names.map((name) => hex(read(`${name}/disk.secret`)))).size).toBe(names.length);
    // No sector of the one is one of the other, also where the plaintext is the same.
    const sectors = (name: string) => chunks(read(`${name}/disk`).subarray(16 << 20), 512);
    const known = new Set(sectors('base'));
    expect(sectors('one-bit').some((sector) => known.has(sector))).toBe(false);
  });

  it('goes by what the content is, not by what files are called', async () => {
    fs.copyFileSync(at('raw'), at('copy'));
    fs.mkdirSync(at('esp'));
    fs.mkdirSync(at('boot'));
    await build('a', ...RAW, '--seed', 'x', ...KEY, '--shape', 'gpt', '--esp', '../esp', '--esp-size', '34M');
    await build(
      'b',
      '--from',
      '../copy',
      '--seed',
      'x',
      ...KEY,
      '--shape',
      'gpt',
      '--esp',
      '../boot',
      '--esp-size',
      '34M',
    );
    expectSame('a', 'b');
  });

  it('encrypts nothing else than what was digested', async () => {
    const options = {
      version: 2,
      dataSize: 4096,
      keySize: 64,
      sectorSize: 512,
      detached: false,
      headerSize: 1 << 20,
      keys: [{ passphrase: Uint8Array.of(1), kdf: { type: 'pbkdf2', iterations: 1000 } }],
    } as const;
    const disk = bareDisk(await plan(options, noise, nodeLuksCrypto));
    fs.writeFileSync(at('raw'), noise(4096));
    const image = { file: at('disk'), mode: 0o644, replace: false };
    const written = withSource(at('raw'), (source) => {
      const changed = { ...source, state: { mtimeNs: 1n, size: 4096n } };
      return writeImage(disk, changed, { image, header: undefined, besides: [] }, {});
    });
    await expect(written).rejects.toMatchObject({ kind: 'io', message: expect.stringContaining('was changed') });
    expect(fs.readdirSync(folder).sort()).toEqual(['raw', 'recovery.secret']);
  });

  it('is refused when it is empty, and for what can be read only once', async () => {
    const empty = ['image', 'build', '--from', 'raw', '--out', 'x', ...KEY, '--seed', ''];
    expect(await bootseal(empty, folder)).toMatchObject({ status: 2, stderr: expect.stringContaining('is empty') });
    const raw = async function* () {
      yield fs.readFileSync(at('raw'));
    };
    const piped = ['image', 'build', '--from', '-', '--size', '300000', '--out', 'x', ...KEY, '--seed', 'x'];
    expect(await bootseal(piped, folder, { stdin: raw() })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--seed takes no raw image on standard input'),
    });
    expect(fs.readdirSync(folder).sort()).toEqual(['raw', 'recovery.secret']);
  });
});

const E2FS = ['/usr/sbin/mke2fs', '/usr/sbin/debugfs', '/usr/sbin/e2fsck'];
const HOW = 'run npm test as root once, or install';

/** Makes the same files, the names in another order; nothing says when. */
function makeTree(name: string, names: readonly string[]): void {
  fs.mkdirSync(at(`${name}/folder`), { recursive: true });
  for (const file of names) fs.writeFileSync(at(`${name}/${file}`), file.repeat(2000));
  fs.linkSync(at(`${name}/a`), at(`${name}/folder/link`));
  fs.symlinkSync('a', at(`${name}/symlink`));
  for (const file of ['folder', ...names, '.']) fs.utimesSync(at(`${name}/${file}`), 1e9, 1e9);
  fs.lutimesSync(at(`${name}/symlink`), 1e9, 1e9);
}

const SEED = ['--seed', 'x', '--owner', 'root'];
const SMALL = ['--size', '16M'];

/** A second and more lie between two builds of which one must not show when it was. */
const nextSecond = () => new Promise((resolve) => setTimeout(resolve, 1100));

describeWith({ name: 'e2fsprogs', files: E2FS, how: `${HOW} e2fsprogs` }, 'image build --seed of files', () => {
  it.each<[string, string[]]>([
    ['encrypted', KEY],
    ['sparse', [...KEY, '--sparse']],
    ['sparse qcow2', [...KEY, '--sparse', '--format', 'qcow2']],
    ['verity', ['--verity']],
  ])('makes the same file system again: %s', async (_, options) => {
    makeTree('tree', ['a', 'b', 'c']);
    makeTree('again', ['c', 'b', 'a']);
    await build('one', '--from', '../tree', ...SEED, ...SMALL, ...options);
    await nextSecond();
    await build('two', '--from', '../again', ...SEED, ...SMALL, ...options);
    expectSame('one', 'two');
  });

  it('makes it of an archive, also on standard input', async () => {
    makeTree('tree', ['a', 'b']);
    expect(spawnSync('/usr/bin/tar', ['-cf', 'tree.tar', '-C', 'tree', '.'], { cwd: folder }).status).toBe(0);
    await build('one', '--from', '../tree.tar', ...SEED, ...SMALL, ...KEY);
    await nextSecond();
    await build('two', '--from', '../tree.tar', ...SEED, ...SMALL, ...KEY);
    fs.mkdirSync(at('piped'));
    const stdin = fs.createReadStream(at('tree.tar'));
    const args = ['image', 'build', '--from', '-', '--out', 'disk', ...SEED, ...SMALL, ...KEY];
    expect(await bootseal(args, at('piped'), { stdin })).toMatchObject({ status: 0 });
    expectSame('one', 'two');
    expectSame('one', 'piped');
  });

  it('without a seed gives two file systems of the same files UUIDs and hash seeds of their own', async () => {
    makeTree('tree', ['a']);
    const superblocks: Buffer[] = [];
    for (const name of ['one', 'two']) {
      await build(name, '--from', '../tree', '--verity', ...SMALL);
      superblocks.push(fs.readFileSync(at(`${name}/disk`)).subarray(1024, 2048));
    }
    const [one = Buffer.of(), two = Buffer.of()] = superblocks;
    for (const place of [0x68, 0xec]) {
      expect(one.subarray(place, place + 16).equals(two.subarray(place, place + 16))).toBe(false);
    }
  });
});

const EROFS = ['/usr/bin/mkfs.erofs', '/usr/bin/fsck.erofs'];

describeWith({ name: 'erofs-utils', files: EROFS, how: `${HOW} erofs-utils` }, 'image build --seed of EROFS', () => {
  it('makes the same file system again', async () => {
    makeTree('tree', ['a', 'b', 'c']);
    makeTree('again', ['c', 'b', 'a']);
    for (const [name, from] of Object.entries({ one: '../tree', two: '../again' })) {
      await build(name, '--from', from, '--filesystem', 'erofs', ...SEED, ...KEY);
      await nextSecond();
    }
    expectSame('one', 'two');
  });
});

/** Whole pieces, as text that a set can hold. */
function chunks(bytes: Uint8Array, size: number): string[] {
  const whole = Math.floor(bytes.length / size);
  return Array.from({ length: whole }, (_, i) =>
    Buffer.from(bytes.subarray(i * size, (i + 1) * size)).toString('latin1'),
  );
}

/** Every run of 16 bytes, at any place. */
function runs(bytes: Uint8Array): string[] {
  return Array.from({ length: bytes.length - 15 }, (_, i) => hex(bytes.subarray(i, i + 16)));
}

/** All that must be another one in every disk. */
async function secrets(name: string): Promise<Uint8Array[]> {
  const { header, volumeKey } = await opened(name);
  const own = [volumeKey, read(`${name}/disk.secret`)];
  if (header.version === 1) {
    const salts = header.keyslots.filter(({ active }) => active).map(({ salt }) => salt);
    return [...own, ...salts, header.digestSalt, header.digest, new Uint8Array(Buffer.from(header.uuid))];
  }
  const { keyslots, digests } = header.current.metadata;
  return [
    ...own,
    ...keyslots.flatMap((slot) => (slot.kind === 'luks2' && slot.kdf.type !== 'foreign' ? [slot.kdf.salt] : [])),
    ...digests.flatMap(({ pbkdf2 }) => (pbkdf2 === undefined ? [] : [pbkdf2.salt, pbkdf2.digest])),
    ...Object.values(header.copies).flatMap((copy) => (copy.state === 'good' ? [copy.copy.salt] : [])),
    new Uint8Array(Buffer.from(header.current.uuid)),
  ];
}

/** Bytes of the first keyslots and of what follows them. */
const KEYSLOTS = 1 << 20;

describe('image build without a seed', () => {
  it.each<[string, string[], keyslotsAt: number, count: number]>([
    ['LUKS2', ['--recovery-key-file', '../recovery.secret'], 32768, 9],
    ['LUKS2 with gcm', ['--integrity', 'gcm'], 32768, 8],
    ['LUKS1', ['--luks1'], 4096, 6],
  ])(
    'shares no 16 bytes of key, salt or keyslot between two disks of one content: %s',
    async (_, options, start, count) => {
      const { manifest } = await build('a', ...RAW, ...KEY, ...options);
      await build('b', ...RAW, ...KEY, ...options);
      expect(manifest.testOnly).toBe(false);
      const [a, b] = [await secrets('a'), await secrets('b')];
      expect([a.length, b.length]).toEqual([count, count]);
      const known = new Set(a.flatMap(runs));
      expect(b.flatMap(runs).filter((run) => known.has(run))).toEqual([]);
      // Stripes, what stands between them, and ciphertext; the superblock of tags is the same everywhere.
      const { header, data, imageBytes } = manifest;
      const blocks = (name: string) => {
        const disk = read(`${name}/disk`);
        const cipher = disk.subarray(data.integrity === null ? header.bytes : imageBytes - data.bytes);
        return [...chunks(disk.subarray(start, start + KEYSLOTS), 16), ...chunks(cipher, 16)];
      };
      const blocksOfA = new Set(blocks('a'));
      expect(blocks('b').filter((block) => blocksOfA.has(block))).toEqual([]);
    },
  );

  it('shares no salt, UUID or root hash between two disks with a hash tree', async () => {
    const [a, b] = [await build('a', ...RAW, '--verity'), await build('b', ...RAW, '--verity')];
    expect(a.manifest.testOnly).toBe(false);
    for (const key of ['rootHash', 'salt', 'uuid']) expect(a.manifest.verity[key]).not.toBe(b.manifest.verity[key]);
  });
});
