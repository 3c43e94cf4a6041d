import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { fixture } from '../fixtures.ts';
import { DISK, writeTree } from '../guest-tree.ts';
import { sampleImage } from '../luks-image.ts';
import { describeWith } from '../needs.ts';

const needed = {
  name: 'keyctl and cryptsetup',
  files: ['/usr/bin/keyctl', '/usr/sbin/cryptsetup'],
  how: 'apt-get install keyutils cryptsetup-bin',
};

/** No other test, and no other run of this one, has keys of this name. */
const NAME = `bootseal:test-${process.pid}`;

const keyctl = (...args: string[]) => spawnSync('/usr/bin/keyctl', args, { encoding: 'utf8' });
const isThere = () => keyctl('search', '@u', 'user', NAME).status === 0;

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(path.join(folder, 'disk.img'), fixture('luks/cs261-l2-pbkdf2-512.img'));
  execFileSync('/usr/sbin/cryptsetup', ['token', 'add', '--key-description', NAME, path.join(folder, 'disk.img')]);
  writeTree(folder, {
    'run/': '',
    [`sys/kernel/security/secrets/coco/${DISK}`]: fixture('luks/passphrase.txt'),
  });
});
afterEach(() => {
  const found = keyctl('search', '@u', 'user', NAME);
  if (found.status === 0) keyctl('unlink', found.stdout.trim(), '@u');
  remove();
});

const guest = (...words: string[]) => bootseal(['guest', ...words, '--root', '.'], folder);
const leftInRun = () => fs.readdirSync(path.join(folder, 'run'));

describeWith(needed, "the kernel's keyring and cryptsetup", () => {
  it('keep a secret as a key, with its limits', async () => {
    const ran = await guest(
      'keyring',
      DISK,
      '--description',
      NAME,
      '--timeout',
      '77',
      '--perm',
      '0x3f010000',
      '--json',
    );
    expect(ran.stderr).toBe('');
    const { key, type } = JSON.parse(ran.stdout);
    expect(type).toBe('user');
    expect(keyctl('pipe', `${key}`).stdout).toBe(Buffer.from(fixture('luks/passphrase.txt')).toString());
    expect(keyctl('rdescribe', `${key}`).stdout.trim()).toBe(`user;0;0;3f010000;${NAME}`);
    expect(fs.readFileSync('/proc/keys', 'utf8')).toMatch(new RegExp(`\\b1m .*${NAME}`));
  });

  it('keep a logon key that nobody can read', async () => {
    const ran = await guest('keyring', DISK, '--description', NAME, '--type', 'logon', '--json');
    const { key } = JSON.parse(ran.stdout);
    expect(keyctl('pipe', `${key}`).status).not.toBe(0);
    keyctl('unlink', `${key}`, '@u');
  });

  it('open a disk through its token, and nothing is left', async () => {
    const image = fs.readFileSync(path.join(folder, 'disk.img'));
    const described = JSON.parse((await bootseal(['image', 'inspect', 'disk.img', '--json'], folder)).stdout);
    const sha256 = createHash('sha256').update(image.subarray(0, described.segments[0].offset)).digest('hex');
    const ran = await guest('unlock', 'disk.img', '--test', '--header-sha256', sha256, '--json');
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    expect(JSON.parse(ran.stdout)).toEqual({ device: 'disk.img', name: null, keyDescription: NAME, erased: false });
    expect(isThere()).toBe(false);
    expect(leftInRun()).toEqual([]);
  });

  it('do not open it with another key, and nothing is left', async () => {
    writeTree(folder, { [`sys/kernel/security/secrets/coco/${DISK}`]: 'another key' });
    const ran = await guest('unlock', 'disk.img', '--test');
    expect(ran.status).toBe(4);
    expect(ran.stderr).toContain('the key of the token does not open the disk');
    expect(ran.stderr).not.toContain('another key');
    expect(isThere()).toBe(false);
    expect(leftInRun()).toEqual([]);
  });

  it('are not asked when the header is another one', async () => {
    const ran = await guest('unlock', 'disk.img', '--test', '--header-sha256', '0'.repeat(64));
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain('the header is not the one that was made');
    expect(isThere()).toBe(false);
  });

  it('are not asked when the header turns encryption off', async () => {
    fs.writeFileSync(path.join(folder, 'null.img'), sampleImage({ 'segments.0.encryption': 'cipher_null-ecb' }));
    const ran = await guest('unlock', 'null.img', '--test');
    expect(ran.status).toBe(1);
    expect(ran.stderr).toContain('the header is not to be trusted: segment 0 is not encrypted at all');
  });

  it.each([['--test'], ['--test', '--json'], ['--test', '--request', 'efi:disk-passphrase']])(
    'are not asked for a key that no key can be named like: %s',
    async (...words) => {
      const image = path.join(folder, 'disk.img');
      execFileSync('/usr/sbin/cryptsetup', ['token', 'remove', '--token-id', '0', image]);
      const token = { type: 'luks2-keyring', keyslots: ['0'], key_description: `${NAME}\n\0c` };
      execFileSync('/usr/sbin/cryptsetup', ['token', 'import', image], { input: JSON.stringify(token) });
      const ran = await guest('unlock', 'disk.img', ...words);
      expect(ran).toMatchObject({ status: 3, stdout: '' });
      expect(ran.stderr).toContain('JSON: a string with a NUL in it');
      expect(leftInRun()).toEqual([]);
    },
  );

  it('keep a key of the same name from being replaced by a disk that names it', async () => {
    spawnSync('/usr/bin/keyctl', ['padd', 'user', NAME, '@u'], { input: 'of somebody else' });
    const ran = await guest('unlock', 'disk.img', '--test');
    expect(ran.status).toBe(2);
    expect(ran.stderr).toContain('has a key');
    const key = keyctl('search', '@u', 'user', NAME).stdout.trim();
    expect(keyctl('pipe', key).stdout).toBe('of somebody else');
  });
});
