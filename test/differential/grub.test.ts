import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';

vi.setConfig({ testTimeout: 120_000 });
const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const KEY = 'a key of one line';
const CHEAP = ['--kdf', 'pbkdf2', '--kdf-iterations', '1000'];

/** Lets GRUB's own code open a disk and read a file from it; it asks for the key at a terminal, and takes what comes after. */
async function grubReads(disk: string, key: string): Promise<string> {
  const command = `exec grub-fstest -C '${at(disk)}' cat '(crypto0)/greeting'`;
  const terminal = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null']);
  const ended = once(terminal, 'close');
  let printed = '';
  terminal.stdout.on('data', (piece: Buffer) => {
    const wasAsked = printed.includes('Enter passphrase');
    printed += piece.toString();
    // A moment later, when the terminal is in the mode for passphrases: what was typed before is thrown away.
    if (!wasAsked && printed.includes('Enter passphrase')) setTimeout(() => terminal.stdin.write(`${key}\n`), 300);
  });
  const tooLong = setTimeout(() => terminal.kill('SIGKILL'), 50_000);
  await ended;
  clearTimeout(tooLong);
  return printed;
}

async function image(...args: readonly string[]): Promise<void> {
  const ran = await bootseal(['image', ...args], folder);
  expect(ran.status, ran.stderr).toBe(0);
}

describeWith(
  {
    name: 'grub-fstest',
    files: ['/usr/bin/grub-fstest', '/usr/bin/script', '/sbin/mke2fs'],
    how: 'run npm test as root once, or install grub-common, bsdutils and e2fsprogs',
  },
  'GRUB',
  () => {
    beforeAll(() => {
      fs.mkdirSync(at('root'));
      fs.writeFileSync(at('root/greeting'), 'read by GRUB\n');
      const made = spawnSync('/sbin/mke2fs', ['-q', '-t', 'ext4', '-b', '4096', '-d', at('root'), at('raw'), '8M']);
      expect(made.status, made.stderr.toString()).toBe(0);
      fs.writeFileSync(at('key'), KEY);
      fs.writeFileSync(at('other'), 'another key');
    });

    it('opens our LUKS1, also after its key was replaced', async () => {
      await image('build', '--from', 'raw', '--key-file', 'key', '--out', 'one', '--luks1', ...CHEAP);
      expect(await grubReads('one', KEY)).toContain('read by GRUB');
      expect(await grubReads('one', 'wrong')).not.toContain('read by GRUB');
      await image('rekey', 'one', '--key-file', 'key', '--new-key-file', 'other', ...CHEAP);
      expect(await grubReads('one', 'another key')).toContain('read by GRUB');
      expect(await grubReads('one', KEY)).not.toContain('read by GRUB');
    });

    it.each(['512', '4096'])(
      'opens our LUKS2 with pbkdf2 and sectors of %s, beside a keyslot that it cannot open',
      async (size) => {
        const out = `two-${size}`;
        await image('build', '--from', 'raw', '--key-file', 'key', '--out', out, '--sector-size', size, ...CHEAP);
        const argon2 = ['--kdf', 'argon2id', '--kdf-memory', '1'];
        await image('add-key', out, '--key-file', 'key', '--new-key-file', 'other', ...argon2);
        expect(await grubReads(out, KEY)).toContain('read by GRUB');
        expect(await grubReads(out, 'another key')).not.toContain('read by GRUB');
      },
    );
  },
);
