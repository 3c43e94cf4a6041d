import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { noise, tool } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';
import { cryptsetup, cryptsetupSucceeds } from './cryptsetup-peer.ts';

// Each runs a dozen programs.
vi.setConfig({ testTimeout: 120_000 });
const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const KEYS = { one: 'the first', two: 'the second', three: 'the third' };
for (const [name, key] of Object.entries(KEYS)) fs.writeFileSync(at(name), key);

const CHEAP = ['--kdf', 'pbkdf2', '--kdf-iterations', '1000'];
const qemuImg = (...args: readonly string[]): string => tool('/usr/bin/qemu-img', args, folder);
const sgdisk = (...args: readonly string[]): string => tool('/usr/sbin/sgdisk', args, folder);
const MIB = 1 << 20;

async function image(...args: readonly string[]): Promise<void> {
  const ran = await bootseal(['image', ...args], folder);
  expect(ran.status, ran.stderr).toBe(0);
}

/** Adds a key, replaces the first one, and removes the added one. */
async function change(name: string): Promise<void> {
  await image('add-key', name, '--key-file', 'one', '--new-key-file', 'two', ...CHEAP);
  await image('rekey', name, '--key-file', 'one', '--new-key-file', 'three', ...CHEAP);
  await image('remove-key', name, '--key-file', 'two');
}

/** Holds that cryptsetup opens a partition with the third key only, and that sgdisk and cryptsetup find nothing to mend. */
function expectChanged(disk: string, place: { offset: number; bytes: number }): void {
  expect(sgdisk('-v', disk)).toContain('No problems found');
  fs.writeFileSync(at('luks'), fs.readFileSync(at(disk)).subarray(place.offset, place.offset + place.bytes));
  for (const [name, key] of Object.entries(KEYS)) {
    const { status } = cryptsetup(['open', '--test-passphrase', '--key-file', '-', at('luks')], key);
    expect(status, name).toBe(name === 'three' ? 0 : 2);
  }
  const dump = cryptsetupSucceeds(['luksDump', '--debug', at('luks')]);
  expect(dump.split('\n').filter((line) => /error|fail|recover|invalid|illegal/i.test(line))).toEqual([]);
}

/** The hash of a disk without the header of the image in it, which is all that a change of keys may touch. */
function restOf(disk: string, { offset }: { offset: number }, headerBytes: number): string {
  const bytes = fs.readFileSync(at(disk));
  return createHash('sha256')
    .update(bytes.fill(0, offset, offset + headerBytes))
    .digest('hex');
}

/** Holds that qemu-img finds no mistake, and returns the disk as a raw one. */
function rawOf(name: string): string {
  const checked = JSON.parse(qemuImg('check', '--output', 'json', name));
  expect(checked).toMatchObject({ 'check-errors': 0 });
  for (const wrong of ['leaks', 'corruptions']) expect(checked).not.toHaveProperty(wrong);
  qemuImg('convert', '-O', 'raw', name, 'raw-disk');
  return 'raw-disk';
}

const PEERS = {
  name: 'cryptsetup, sgdisk and qemu-img',
  files: ['/usr/sbin/cryptsetup', '/usr/sbin/sgdisk', '/usr/bin/qemu-img', '/usr/bin/qemu-io'],
  how: 'run npm test as root once, or install cryptsetup-bin, gdisk and qemu-utils',
};

describeWith(PEERS, 'disks whose keys were changed in place, to cryptsetup, sgdisk and qemu-img', () => {
  /** What cryptsetup and sgdisk made: LUKS2 in the second partition. */
  const THEIRS = { offset: 3 * MIB, bytes: 4 * MIB };

  beforeAll(() => {
    fs.writeFileSync(at('content'), noise(MIB));
    fs.writeFileSync(at('part'), new Uint8Array(THEIRS.bytes));
    const size = ['--offset', '4096', '--luks2-keyslots-size', '1008k', '--key-file', '-', at('part')];
    cryptsetupSucceeds(['luksFormat', '--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', ...size], KEYS.one);
    fs.writeFileSync(at('theirs'), new Uint8Array(8 * MIB));
    sgdisk('-n', '1:2048:+1M', '-n', `2:${THEIRS.offset / 512}:+4M`, '-t', '2:8309', 'theirs');
    const file = fs.openSync(at('theirs'), 'r+');
    fs.writeSync(file, fs.readFileSync(at('part')), 0, THEIRS.bytes, THEIRS.offset);
    fs.closeSync(file);
  });

  it.each([
    ['raw', 'LUKS2', []],
    ['qcow2', 'LUKS2', []],
    ['raw', 'LUKS1', ['--luks1']],
    ['qcow2', 'LUKS1', ['--luks1']],
  ] as const)('ours, %s with %s: right, and the same but for the header', async (format, _luks, options) => {
    const shape = ['--shape', 'gpt', '--format', format, '--force', ...options, ...CHEAP];
    await image('build', '--from', 'content', '--out', 'ours', '--key-file', 'one', ...shape);
    const { partitionTable, header } = JSON.parse(fs.readFileSync(at('ours.json'), 'utf8'));
    const place = partitionTable.partitions[0];
    const raw = () => (format === 'raw' ? 'ours' : rawOf('ours'));
    const before = restOf(raw(), place, header.bytes);
    await change('ours');
    expect(restOf(raw(), place, header.bytes)).toBe(before);
    expectChanged(raw(), place);
    await image('verify', 'ours', '--key-file', 'three');
  });

  it('theirs: right, and the same but for the header', async () => {
    fs.copyFileSync(at('theirs'), at('disk'));
    const before = restOf('disk', THEIRS, 2 * MIB);
    await change('disk');
    expect(restOf('disk', THEIRS, 2 * MIB)).toBe(before);
    expectChanged('disk', THEIRS);
  });

  it.each([
    [[]],
    [['-o', 'compat=0.10']],
    [['-o', 'cluster_size=2M,refcount_bits=64']],
    [['-S', '0', '-o', 'cluster_size=512,refcount_bits=1']],
    [['-S', '0', '-o', 'cluster_size=4k,refcount_bits=8,lazy_refcounts=on']],
    [['-o', 'preallocation=falloc,refcount_bits=2']],
    // The clusters of the image come in another order, as they do in a machine that runs.
    [['-W', '-S', '0', '-o', 'cluster_size=4k']],
  ])('what qemu-img made of it with %j: right', async (options) => {
    qemuImg('convert', '-O', 'qcow2', ...options, 'theirs', 'disk.qcow2');
    const before = restOf(rawOf('disk.qcow2'), THEIRS, 2 * MIB);
    await change('disk.qcow2');
    expect(restOf(rawOf('disk.qcow2'), THEIRS, 2 * MIB)).toBe(before);
    expectChanged('raw-disk', THEIRS);
  });

  it.each<[string, (name: string) => void, string]>([
    ['a snapshot', (name) => qemuImg('snapshot', '-c', 'one', name), 'a snapshot has it too'],
    ['a bitmap', (name) => qemuImg('bitmap', '--add', name, 'map'), 'bitmaps'],
    [
      'clusters of zeros',
      (name) => qemuImg('convert', '-O', 'qcow2', '-o', 'cluster_size=512', 'theirs', name),
      'not allo',
    ],
    ['compressed clusters', (name) => qemuImg('convert', '-c', '-O', 'qcow2', 'theirs', name), 'compressed clusters'],
    ['another file below', (name) => qemuImg('create', '-f', 'qcow2', '-b', 'theirs', '-F', 'raw', name), 'difference'],
    [
      'an external data file',
      (name) => qemuImg('convert', '-O', 'qcow2', '-o', 'data_file=beside', 'theirs', name),
      'external data file',
    ],
  ])('with %s it is refused, and nothing is written', async (_, make, message) => {
    qemuImg('convert', '-O', 'qcow2', 'theirs', 'refused.qcow2');
    make('refused.qcow2');
    const before = fs.readFileSync(at('refused.qcow2'));
    for (const [command, ...args] of [
      ['add-key', '--key-file', 'one', '--new-key', 'new.key'],
      ['rekey', '--key-file', 'one', '--new-key', 'new.key'],
      ['remove-key', '--key-file', 'one', '--allow-lockout'],
    ] as const) {
      const ran = await bootseal(['image', command, 'refused.qcow2', ...args], folder);
      expect(ran, command).toMatchObject({ status: 3, stderr: expect.stringContaining(message) });
    }
    expect(fs.readFileSync(at('refused.qcow2')).equals(before)).toBe(true);
    expect(
      fs
        .readFileSync(at('theirs'))
        .subarray(THEIRS.offset, THEIRS.offset + 6)
        .toString('latin1'),
    ).toBe('LUKS\xba\xbe');
    expect(fs.existsSync(at('new.key'))).toBe(false);
  });

  it('without its snapshot, or made anew as the hint says, it is changed', async () => {
    qemuImg('convert', '-O', 'qcow2', '-o', 'cluster_size=4k', 'theirs', 'small.qcow2');
    const refused = await bootseal(['image', 'rekey', 'small.qcow2', '--key-file', 'one', '--new-key', 'n'], folder);
    expect(refused.stderr).toContain('qemu-img convert -O qcow2 -S 0 IMAGE NEW');
    qemuImg('convert', '-O', 'qcow2', '-S', '0', 'small.qcow2', 'again.qcow2');
    await change('again.qcow2');
    expectChanged(rawOf('again.qcow2'), THEIRS);
    qemuImg('convert', '-O', 'qcow2', 'theirs', 'snap.qcow2');
    qemuImg('snapshot', '-c', 'one', 'snap.qcow2');
    qemuImg('snapshot', '-d', 'one', 'snap.qcow2');
    await change('snap.qcow2');
    expectChanged(rawOf('snap.qcow2'), THEIRS);
  });

  it('a header that wants a keyslot beyond the end of its partition gets none, and what is there stays', async () => {
    fs.copyFileSync(at('theirs'), at('short'));
    sgdisk('-d', '2', '-n', `2:${THEIRS.offset / 512}:+512K`, '-t', '2:8309', 'short');
    const before = fs.readFileSync(at('short'));
    const args = ['image', 'add-key', 'short', '--key-file', 'one', '--new-key', 'short.key'];
    const ran = await bootseal(args, folder);
    expect(ran).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('ends after 524288 bytes, before the end of the keyslots'),
    });
    expect(fs.readFileSync(at('short')).equals(before)).toBe(true);
    expect(fs.existsSync(at('short.key'))).toBe(false);
  });

  it.each(['raw', 'qcow2'])('while QEMU works with it nothing is written: %s', async (format) => {
    qemuImg('convert', '-O', format, 'theirs', 'busy');
    const before = fs.readFileSync(at('busy'));
    const qemu = spawn('/usr/bin/qemu-io', ['-f', format, '-c', 'sleep 60000', at('busy')], { stdio: 'ignore' });
    const { ino } = fs.statSync(at('busy'));
    try {
      await vi.waitFor(() => expect(fs.readFileSync('/proc/locks', 'utf8')).toMatch(new RegExp(`:${ino} 10[01] 101`)), {
        timeout: 20_000,
      });
      const ran = await bootseal(['image', 'rekey', 'busy', '--key-file', 'one', '--new-key', 'busy.key'], folder);
      expect(ran).toMatchObject({ status: 6, stderr: expect.stringContaining('QEMU works with it') });
      expect(fs.readFileSync(at('busy')).equals(before)).toBe(true);
      expect(fs.existsSync(at('busy.key'))).toBe(false);
    } finally {
      qemu.kill('SIGKILL');
      await once(qemu, 'exit');
    }
    await change('busy');
  });

  it('half a header is mended in a partition of qcow2', async () => {
    fs.copyFileSync(at('theirs'), at('half'));
    const file = fs.openSync(at('half'), 'r+');
    fs.writeSync(file, Buffer.alloc(10, 0xee), 0, 10, THEIRS.offset + 5000);
    fs.closeSync(file);
    qemuImg('convert', '-O', 'qcow2', 'half', 'half.qcow2');
    const refused = await bootseal(['image', 'add-key', 'half.qcow2', '--key-file', 'one', '--new-key', 'n'], folder);
    expect(refused).toMatchObject({ status: 1, stderr: expect.stringContaining('image repair') });
    await image('repair', 'half.qcow2');
    await change('half.qcow2');
    expectChanged(rawOf('half.qcow2'), THEIRS);
  });
});
