import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { noise, tool } from '../disk-image/raw-image.ts';
import { seededRandom } from '../luks-image.ts';
import { describeWith } from '../needs.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(at('raw'), noise((3 << 20) + 512));
  fs.writeFileSync(at('key'), 'a key of text that many know');
  fs.mkdirSync(at('esp/EFI'), { recursive: true });
  fs.writeFileSync(at('esp/EFI/X'), noise(200_000));
});
afterEach(() => remove());

const at = (name: string): string => path.join(folder, name);
const qemuImg = (...args: string[]): string => tool('/usr/bin/qemu-img', args, folder);

/** Builds with the same randomness each time. */
async function build(out: string, ...options: string[]) {
  const args = ['image', 'build', '--from', 'raw', '--key-file', 'key', '--out', out, '--kdf', 'pbkdf2', '--json'];
  const ran = await bootseal([...args, ...options], folder, { randomBytes: seededRandom(5) });
  expect(ran.status, ran.stderr).toBe(0);
  return JSON.parse(ran.stdout);
}

const verify = (...args: string[]) => bootseal(['image', 'verify', ...args, '--key-file', 'key', '--json'], folder);

describeWith(
  { name: 'qemu-img', files: ['/usr/bin/qemu-img'], how: 'run npm test as root once, or install qemu-utils' },
  'qemu-img and the qcow2 images that image build makes',
  () => {
    it.each([
      ['a whole disk', []],
      ['a GPT with an EFI system partition', ['--shape', 'gpt', '--esp', 'esp']],
      ['a detached header', ['--detached-header', 'header', '--force']],
    ])('finds no mistake, and the same disk as in the raw one: %s', async (_, options) => {
      const raw = await build('disk.raw', ...options);
      const manifest = await build('disk.qcow2', ...options, '--format', 'qcow2');
      expect(manifest).toMatchObject({ imageFormat: 'qcow2', diskBytes: raw.imageBytes });
      expect(fs.statSync(at('disk.qcow2')).size).toBe(manifest.imageBytes);
      const checked = JSON.parse(qemuImg('check', '--output', 'json', 'disk.qcow2'));
      expect(checked).toMatchObject({ 'check-errors': 0, 'image-end-offset': manifest.imageBytes });
      expect(checked).not.toHaveProperty('leaks');
      expect(qemuImg('compare', '-f', 'raw', '-F', 'qcow2', 'disk.raw', 'disk.qcow2')).toContain('identical');
      const info = JSON.parse(qemuImg('info', '--output', 'json', 'disk.qcow2'));
      expect(info).toMatchObject({ format: 'qcow2', 'virtual-size': raw.imageBytes, 'cluster-size': 65536 });
      expect(info['format-specific'].data).toMatchObject({ compat: '1.1', 'refcount-bits': 16, corrupt: false });
      const header = options.includes('--detached-header') ? ['--header', 'header'] : [];
      expect(await verify('disk.qcow2', ...header)).toEqual(await verify('disk.raw', ...header));
      const args = ['image', 'extract', 'disk.qcow2', ...header, '--key-file', 'key', '--out', 'back'];
      expect((await bootseal(args, folder)).status).toBe(0);
      expect(Buffer.compare(fs.readFileSync(at('back')), fs.readFileSync(at('raw')))).toBe(0);
    });

    it('leaves out what nothing is written to', async () => {
      await build('disk.qcow2', '--shape', 'gpt', '--esp', 'esp', '--format', 'qcow2');
      const map: { start: number; length: number; present: boolean }[] = JSON.parse(
        qemuImg('map', '--output', 'json', 'disk.qcow2'),
      );
      const held = map.filter(({ present }) => present).reduce((sum, { length }) => sum + length, 0);
      // Header, keyslots and data of the LUKS image, tables, files: not the 64 MiB of the EFI system partition.
      expect(held).toBeGreaterThan(19 << 20);
      expect(held).toBeLessThan(22 << 20);
    });

    it('makes images that are read here, with clusters of every size', async () => {
      await build('disk.raw', '--shape', 'gpt');
      const expected = await verify('disk.raw');
      expect(expected.status).toBe(0);
      for (const options of [
        'cluster_size=512',
        'cluster_size=2M',
        'compat=0.10',
        'preallocation=full',
        'lazy_refcounts=on',
      ]) {
        qemuImg('convert', '-f', 'raw', '-O', 'qcow2', '-o', options, 'disk.raw', 'other');
        expect(await verify('other'), options).toEqual(expected);
      }
    }, 90_000);

    it('makes images that are refused, and never opens a file that one names', async () => {
      await build('disk.raw');
      const refused = async (message: string) => {
        const ran = await bootseal(['image', 'inspect', 'other'], folder);
        expect(ran).toMatchObject({ status: 3, stdout: '', stderr: expect.stringContaining(message) });
        expect(ran.stderr).toContain('hint: on a machine of yours, qemu-img convert');
      };
      qemuImg('create', '-f', 'qcow2', '-F', 'raw', '-b', at('disk.raw'), 'other');
      await refused('no file that an image names is opened');
      qemuImg('create', '-f', 'qcow2', '-o', 'extended_l2=on', 'other', '32M');
      await refused('it has the feature "extended L2 entries"');
      qemuImg('create', '-f', 'qcow2', '-o', 'data_file=data,data_file_raw=on', 'other', '32M');
      await refused('it has the feature "external data file"');
      fs.writeFileSync(at('secret'), 'abc');
      // Not luks: qemu-img times its key derivation and ends with "Unable to get accurate CPU usage" where the clock is coarse.
      const object = ['--object', 'secret,id=s,file=secret', '-o', 'encrypt.format=aes,encrypt.key-secret=s'];
      qemuImg('create', '-f', 'qcow2', ...object, 'other', '32M');
      await refused('it has the encryption of qcow2 itself');
      fs.writeFileSync(at('zeros'), new Uint8Array(1 << 20).fill(7));
      qemuImg('convert', '-c', '-f', 'raw', '-O', 'qcow2', 'zeros', 'other');
      await refused('it has compressed clusters');
    });
  },
);
