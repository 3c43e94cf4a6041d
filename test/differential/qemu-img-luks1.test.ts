import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { noise } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const CHEAP = ['--kdf', 'pbkdf2', '--kdf-iterations', '1000'];

/** Lets QEMU decrypt a disk and compare it with the plaintext; returns its exit status. */
function compare(disk: string, key: string): number | null {
  const images = ['driver=raw,file.filename=raw', `driver=luks,key-secret=s,file.filename=${disk}`];
  const args = ['compare', '--object', `secret,id=s,file=${at(key)}`, '--image-opts', ...images];
  return spawnSync('qemu-img', args, { cwd: folder, timeout: 60_000 }).status;
}

describeWith(
  { name: 'qemu-img', files: ['/usr/bin/qemu-img'], how: 'run npm test as root once, or install qemu-utils' },
  'qemu-img',
  () => {
    it('reads our LUKS1 with each of its keys, also after they changed', async () => {
      fs.writeFileSync(at('raw'), noise(1 << 20));
      for (const key of ['one', 'two', 'three']) fs.writeFileSync(at(key), `passphrase ${key}`);
      const image = async (...args: readonly string[]) => {
        const ran = await bootseal(['image', ...args, ...CHEAP], folder);
        expect(ran.status, ran.stderr).toBe(0);
      };
      await image(
        'build',
        '--from',
        'raw',
        '--key-file',
        'one',
        '--recovery-key-file',
        'two',
        '--out',
        'disk',
        '--luks1',
      );
      expect(['one', 'two', 'three'].map((key) => compare('disk', key))).toEqual([0, 0, 2]);
      await image('rekey', 'disk', '--key-file', 'one', '--new-key-file', 'three');
      expect(['one', 'two', 'three'].map((key) => compare('disk', key))).toEqual([2, 0, 0]);
    });
  },
);
