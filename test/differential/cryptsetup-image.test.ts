import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { beginsWith, ext4Noise, noise, tool } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

const at = (name: string): string => path.join(folder, name);

/** Not all sizes are whole blocks, sectors or groups of sectors. */
const CASES = [
  { title: 'sectors of 512', plain: () => ext4Noise((5 << 20) + 512, 1024), sectorSize: 512 },
  { title: 'sectors of 4096', plain: () => ext4Noise((5 << 20) + 4096, 4096), sectorSize: 4096 },
  { title: 'zeros, which are encrypted as well', plain: () => Buffer.alloc(3 << 20), sectorSize: 512 },
  { title: 'a last sector that is filled', plain: () => noise((1 << 20) + 1), sectorSize: 512 },
] as const;

async function build(plain: Buffer, ...options: string[]) {
  fs.writeFileSync(at('raw'), plain);
  const ran = await bootseal(['image', 'build', '--from', 'raw', '--out', 'disk', '--json', ...options], folder);
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout);
}

/** Lets cryptsetup decrypt a disk in place, without the kernel. */
function decrypt(header: string): void {
  const args = ['reencrypt', '--decrypt', '--header', header, '--force-offline-reencrypt', '-q', '--key-slot', '0'];
  tool('cryptsetup', [...args, '--key-file', 'key', 'disk'], folder);
}

describeWith(
  {
    name: 'cryptsetup',
    files: ['/usr/sbin/cryptsetup'],
    how: 'run npm test as root once, or install cryptsetup-bin',
  },
  'cryptsetup and the disks that image build makes',
  () => {
    it.each(CASES)('opens and decrypts: $title', async ({ plain, sectorSize }) => {
      const bytes = plain();
      const manifest = await build(bytes, '--new-key', 'key', '--label', 'root');
      expect(manifest.data.sectorSize).toBe(sectorSize);
      const disk = fs.readFileSync(at('disk'));
      expect(disk).toHaveLength(manifest.imageBytes);
      expect(sha256(disk.subarray(0, manifest.header.bytes))).toBe(manifest.header.sha256);

      const dump = tool('cryptsetup', ['luksDump', '--debug', 'disk'], folder);
      expect(dump).not.toMatch(/error|invalid|recover/i);
      expect(dump).toContain(`UUID:          \t${manifest.luks.uuid}`);
      expect(dump).toContain('Label:         \troot');
      expect(dump).toContain(`sector: ${sectorSize} [bytes]`);

      tool('cryptsetup', ['open', '--test-passphrase', '--key-file', 'key', 'disk'], folder);
      decrypt('exported');
      const padded = Buffer.concat([bytes, Buffer.alloc(manifest.data.bytes - bytes.length)]);
      expect(beginsWith(at('disk'), padded)).toBe(true);
    });

    it.each(CASES.slice(0, 2))('opens and decrypts with a detached header: $title', async ({ plain, sectorSize }) => {
      const bytes = plain();
      const manifest = await build(bytes, '--new-key', 'key', '--detached-header', 'header');
      expect(manifest.data).toMatchObject({ sectorSize, offset: 0, bytes: bytes.length });
      expect(sha256(fs.readFileSync(at('header')))).toBe(manifest.header.sha256);
      tool('cryptsetup', ['open', '--test-passphrase', '--key-file', 'key', '--header', 'header', 'disk'], folder);
      decrypt('header');
      // cryptsetup writes in units of 4096 bytes and so makes the file longer.
      expect(beginsWith(at('disk'), bytes)).toBe(true);
    });

    it('opens a passphrase of Argon2id, and no other key', async () => {
      fs.writeFileSync(at('key'), 'correct horse battery staple');
      fs.writeFileSync(at('wrong'), 'correct horse battery stable');
      await build(ext4Noise(1 << 20, 4096), '--key-file', 'key');
      const open = (key: string) =>
        spawnSync('cryptsetup', ['open', '--test-passphrase', '--key-file', key, 'disk'], { cwd: folder }).status;
      expect(tool('cryptsetup', ['luksDump', 'disk'], folder)).toMatch(/PBKDF: +argon2id/);
      expect([open('key'), open('wrong')]).toEqual([0, 2]);
    });

    it('finds no two sectors alike, and nothing of one disk in the next', async () => {
      const plain = Buffer.alloc(1 << 20);
      const sectors = new Set<string>();
      let count = 0;
      for (const name of ['first', 'second']) {
        const manifest = await build(plain, '--new-key', name, '--force');
        const disk = fs.readFileSync(at('disk'));
        for (let offset = manifest.data.offset; offset < disk.length; offset += 512) {
          sectors.add(disk.toString('latin1', offset, offset + 512));
          count++;
        }
      }
      expect(sectors.size).toBe(count);
      expect(count).toBe(4096);
      expect(fs.readFileSync(at('first')).equals(fs.readFileSync(at('second')))).toBe(false);
    });
  },
);

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
