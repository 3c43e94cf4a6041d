import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { noise } from '../disk-image/raw-image.ts';
import { describeWith, needRoot } from '../needs.ts';
import { CRYPTSETUP, cryptsetup, cryptsetupSucceeds, REENCRYPTION, volumeKey } from './cryptsetup-peer.ts';

// Each runs a dozen programs.
vi.setConfig({ testTimeout: 120_000 });
const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const KEYS = { one: 'the first', two: 'the second', three: 'the third' };
for (const [name, key] of Object.entries(KEYS)) fs.writeFileSync(at(name), key);

const PBKDF2 = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000'];
const ARGON2ID = [
  '--pbkdf',
  'argon2id',
  '--pbkdf-force-iterations',
  '4',
  '--pbkdf-memory',
  '64',
  '--pbkdf-parallel',
  '2',
];
const OUR_PBKDF2 = ['--kdf', 'pbkdf2', '--kdf-iterations', '1000'];
const OUR_ARGON2ID = ['--kdf', 'argon2id', '--kdf-memory', '1', '--kdf-lanes', '2'];

async function image(...args: readonly string[]): Promise<string> {
  const ran = await bootseal(['image', ...args], folder);
  expect(ran.status, ran.stderr).toBe(0);
  return ran.stdout;
}

/** Holds which keys cryptsetup opens, and that it finds nothing to mend. */
function expectOpen(header: string, keys: readonly string[], kinds: RegExp = /./): void {
  for (const [name, key] of Object.entries(KEYS)) {
    const { status } = cryptsetup(['open', '--test-passphrase', '--key-file', '-', at(header)], key);
    expect(status, name).toBe(keys.includes(name) ? 0 : 2);
  }
  const before = fs.readFileSync(at(header));
  const dump = cryptsetupSucceeds(['luksDump', '--debug', at(header)]);
  expect(dump.split('\n').filter((line) => /error|fail|recover|invalid|illegal/i.test(line))).toEqual([]);
  expect(dump).toMatch(kinds);
  // cryptsetup mends a bad copy without being asked.
  expect(fs.readFileSync(at(header)).equals(before)).toBe(true);
}

/** What cryptsetup encrypted, in place; root only. */
function encryptTheirs(name: string, plain: Buffer, ...args: readonly string[]): void {
  fs.writeFileSync(at(name), Buffer.concat([plain, Buffer.alloc(32 << 20)]));
  const reduce = ['reencrypt', '--encrypt', '--reduce-device-size', '32M', ...PBKDF2, '--key-file', '-', ...args];
  cryptsetupSucceeds([...reduce, at(name)], KEYS.one);
}

describeWith(CRYPTSETUP, 'cryptsetup and changed keys', () => {
  describe.each([
    ['LUKS2', [], 'disk', OUR_ARGON2ID, /argon2id/],
    ['LUKS2 detached', ['--detached-header', 'disk.hdr'], 'disk.hdr', OUR_ARGON2ID, /argon2id/],
    ['LUKS1', ['--luks1'], 'disk', OUR_PBKDF2, /LUKS header information/],
  ] as const)('our %s', (_name, options, header, kdf, kinds) => {
    const apart = header === 'disk' ? [] : ['--header', header];
    it('opens after add-key, rekey and remove-key, to the same volume key and data', async (test) => {
      const plain = noise(1 << 20);
      fs.writeFileSync(at('raw'), plain);
      await image('build', '--from', 'raw', '--out', 'disk', '--force', '--key-file', 'one', ...OUR_PBKDF2, ...options);
      const key = volumeKey(at(header), Buffer.from(KEYS.one));
      await image('add-key', 'disk', '--key-file', 'one', '--new-key-file', 'two', ...kdf, ...apart);
      expectOpen(header, ['one', 'two'], kinds);
      await image('rekey', 'disk', '--key-file', 'one', '--new-key-file', 'three', ...kdf, ...apart);
      expectOpen(header, ['two', 'three'], kinds);
      await image('remove-key', 'disk', '--key-file', 'two', ...apart);
      expectOpen(header, ['three']);
      expect(volumeKey(at(header), Buffer.from(KEYS.three))).toBe(key);

      // And cryptsetup goes on from there.
      fs.rmSync(at('disk.json'));
      cryptsetupSucceeds(['luksAddKey', ...PBKDF2, '--key-file', at('three'), at(header), at('one')]);
      cryptsetupSucceeds(['luksRemoveKey', at(header), at('three')]);
      expectOpen(header, ['one']);
      await image('extract', 'disk', '--key-file', 'one', '--out', 'back', '--force', ...apart);
      expect(fs.readFileSync(at('back')).equals(plain)).toBe(true);
      // cryptsetup decrypts LUKS2 only.
      if (options[0] === '--luks1') return;
      needRoot(test, REENCRYPTION);
      const slot = /^ {2}(\d+): luks2/m.exec(cryptsetupSucceeds(['luksDump', at(header)]))?.[1] ?? '';
      const args = ['reencrypt', '--decrypt', '--force-offline-reencrypt', '--key-slot', slot, '--key-file', '-'];
      cryptsetupSucceeds([...args, '--header', at(apart.length > 0 ? header : 'exported'), at('disk')], KEYS.one);
      expect(fs.readFileSync(at('disk')).subarray(0, plain.length).equals(plain)).toBe(true);
    });
  });

  const THEIRS: Readonly<Record<string, readonly string[]>> = {
    LUKS2: ['--type', 'luks2', ...PBKDF2],
    'LUKS2 with argon2id and a big header': ['--type', 'luks2', ...ARGON2ID, '--luks2-metadata-size', '64k'],
    'LUKS2 with AES-128, SHA-512 and sectors of 4096': [
      ...['--type', 'luks2', ...PBKDF2, '-s', '256', '--hash', 'sha512', '--sector-size', '4096'],
    ],
    'LUKS2 with another keyslot cipher': [
      ...['--type', 'luks2', ...PBKDF2, '--keyslot-cipher', 'aes-cbc-essiv:sha256', '--keyslot-key-size', '256'],
    ],
    LUKS1: ['--type', 'luks1', ...PBKDF2],
    'LUKS1 with SHA-1 and AES-128': ['--type', 'luks1', '--hash', 'sha1', '-s', '256', ...PBKDF2],
  };

  it.each(Object.entries(THEIRS))('its %s: our changes, in turn with its own', async (_title, args) => {
    fs.writeFileSync(at('theirs'), '');
    fs.truncateSync(at('theirs'), 24 << 20);
    cryptsetupSucceeds(['luksFormat', ...args, '--key-file', '-', at('theirs')], KEYS.one);
    const key = volumeKey(at('theirs'), Buffer.from(KEYS.one));
    cryptsetupSucceeds(['luksAddKey', ...PBKDF2, '--key-file', at('one'), at('theirs'), at('two')]);
    await image('rekey', 'theirs', '--key-file', 'one', '--new-key-file', 'three', ...OUR_PBKDF2);
    expectOpen('theirs', ['two', 'three']);
    cryptsetupSucceeds(['luksChangeKey', ...PBKDF2, '--key-file', at('two'), at('theirs'), at('one')]);
    expectOpen('theirs', ['one', 'three']);
    await image('remove-key', 'theirs', '--key-file', 'three');
    await image('add-key', 'theirs', '--key-file', 'one', '--new-key-file', 'two', ...OUR_PBKDF2);
    expectOpen('theirs', ['one', 'two']);
    await image('remove-key', 'theirs', '--key-file', 'one');
    expectOpen('theirs', ['two']);
    expect(volumeKey(at('theirs'), Buffer.from(KEYS.two))).toBe(key);
  });

  it('tokens, flags and priorities that it set are still there', async () => {
    fs.writeFileSync(at('set'), '');
    fs.truncateSync(at('set'), 24 << 20);
    cryptsetupSucceeds(['luksFormat', '--type', 'luks2', ...PBKDF2, '--key-file', '-', at('set')], KEYS.one);
    cryptsetupSucceeds(['luksAddKey', ...PBKDF2, '--key-file', at('one'), at('set'), at('two')]);
    cryptsetupSucceeds(['config', '--priority', 'prefer', '--key-slot', '0', at('set')]);
    cryptsetupSucceeds(['config', '--label', 'mine', '--subsystem', 'sub', at('set')]);
    cryptsetupSucceeds(['token', 'add', '--key-description', 'root', '--key-slot', '0', at('set')]);
    await image('rekey', 'set', '--key-file', 'one', '--new-key-file', 'three', ...OUR_ARGON2ID);
    const dump = cryptsetupSucceeds(['luksDump', at('set')]);
    for (const line of [
      /Label:\s+mine/,
      /Subsystem:\s+sub/,
      /Priority:\s+preferred/,
      /0: luks2-keyring\n.*root\n\s+Keyslot:\s+0/,
    ]) {
      expect(dump).toMatch(line);
    }
    await image('remove-key', 'set', '--key-file', 'three');
    expect(cryptsetupSucceeds(['token', 'export', '--token-id', '0', at('set')])).toContain('"keyslots":[]');
    expectOpen('set', ['two']);
  });

  it('a keyslot that holds the key of no data neither opens them nor stands in for one that does', async () => {
    fs.writeFileSync(at('unbound'), '');
    fs.truncateSync(at('unbound'), 24 << 20);
    cryptsetupSucceeds(['luksFormat', '--type', 'luks2', ...PBKDF2, '--key-file', '-', at('unbound')], KEYS.one);
    const unbound = ['--unbound', '--key-size', '256', ...PBKDF2, '--key-file', at('one'), at('unbound'), at('two')];
    cryptsetupSucceeds(['luksAddKey', ...unbound]);
    const key = volumeKey(at('unbound'), Buffer.from(KEYS.one));
    const before = fs.readFileSync(at('unbound'));
    for (const [status, ...args] of [
      [2, 'remove-key', '--key-file', 'one'],
      [4, 'remove-key', '--keyslot', '0', '--remaining-key-file', 'two'],
      [4, 'add-key', '--key-file', 'two', '--new-key-file', 'three'],
      [4, 'rekey', '--key-file', 'two', '--new-key-file', 'three'],
      [4, 'extract', '--key-file', 'two', '--out', 'none'],
      [2, 'extract', '--key-file', 'two', '--keyslot', '1', '--out', 'none'],
    ] as const) {
      const [command = '', ...options] = args;
      const ran = await bootseal(['image', command, 'unbound', ...options], folder);
      expect(ran.status, `${args.join(' ')}: ${ran.stderr}`).toBe(status);
    }
    expect(fs.readFileSync(at('unbound')).equals(before)).toBe(true);
    await image('rekey', 'unbound', '--key-file', 'one', '--new-key-file', 'two', ...OUR_PBKDF2);
    expect(volumeKey(at('unbound'), Buffer.from(KEYS.two))).toBe(key);
    await image('add-key', 'unbound', '--key-file', 'two', '--new-key-file', 'one', ...OUR_PBKDF2);
    await image('remove-key', 'unbound', '--key-file', 'two');
    expectOpen('unbound', ['one']);
    expect(volumeKey(at('unbound'), Buffer.from(KEYS.one))).toBe(key);
  });

  it('mends a header that we find half written as we do', async () => {
    fs.writeFileSync(at('raw'), noise(4096));
    await image('build', '--from', 'raw', '--out', 'half', '--key-file', 'one', ...OUR_PBKDF2);
    fs.rmSync(at('half.json'));
    for (const place of [5000, 0x4000 + 5000]) {
      const half = fs.readFileSync(at('half'));
      half.fill(0xee, place, place + 10);
      fs.writeFileSync(at('ours'), half);
      fs.writeFileSync(at('its'), half);
      await image('repair', 'ours');
      expect(cryptsetupSucceeds(['luksDump', '--debug', at('its')])).toMatch(/requires recovery/);
      expectOpen('ours', ['one']);
      // The same but for the salt of the copy and the checksum over it.
      const [a, b] = [fs.readFileSync(at('ours')), fs.readFileSync(at('its'))];
      const start = place < 0x4000 ? 0 : 0x4000;
      for (const bytes of [a, b]) bytes.fill(0, start + 104, start + 512);
      expect(a.equals(b)).toBe(true);
    }
  });

  it('and other programs that have the lock are waited for, and not for ever', async () => {
    fs.writeFileSync(at('raw'), noise(4096));
    await image('build', '--from', 'raw', '--out', 'locked', '--key-file', 'one', ...OUR_PBKDF2);
    const before = fs.readFileSync(at('locked'));
    const holder = spawn('flock', ['--exclusive', at('locked'), 'sh', '-c', 'echo locked; exec sleep 30'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await once(holder.stdout, 'data');
    const args = ['image', 'add-key', 'locked', '--key-file', 'one', '--new-key-file', 'two'];
    expect(await bootseal(args, folder)).toMatchObject({
      status: 6,
      stderr: expect.stringContaining('another program has it locked'),
    });
    expect(fs.readFileSync(at('locked')).equals(before)).toBe(true);
    // The sleep has the lock as well.
    holder.kill('SIGKILL');
  });

  it('what it encrypted is verified and extracted after luksAddKey, luksKillSlot, luksHeaderRestore and priorities', async (test) => {
    needRoot(test, REENCRYPTION);
    const plain = noise(2 << 20);
    encryptTheirs('data', plain);
    const extracted = async (key: string) => {
      await image('verify', 'data', '--key-file', key);
      await image('extract', 'data', '--key-file', key, '--out', 'plain', '--force');
      return fs.readFileSync(at('plain')).subarray(0, plain.length).equals(plain);
    };
    expect(await extracted('one')).toBe(true);
    cryptsetupSucceeds(['luksHeaderBackup', '--header-backup-file', at('backup'), at('data')]);
    cryptsetupSucceeds(['luksAddKey', ...ARGON2ID, '--key-file', at('one'), at('data'), at('two')]);
    cryptsetupSucceeds(['config', '--priority', 'prefer', '--key-slot', '1', at('data')]);
    expect(await extracted('two')).toBe(true);
    cryptsetupSucceeds(['luksKillSlot', at('data'), '0']);
    expect((await bootseal(['image', 'verify', 'data', '--key-file', 'one'], folder)).status).toBe(4);
    expect(await extracted('two')).toBe(true);
    cryptsetupSucceeds(['luksHeaderRestore', '--header-backup-file', at('backup'), at('data')]);
    expect(await extracted('one')).toBe(true);
    await image('rekey', 'data', '--key-file', 'one', '--new-key-file', 'three', ...OUR_PBKDF2);
    expect(await extracted('three')).toBe(true);
    expectOpen('data', ['three']);
  });
});
