/** `launch prepare` binds a guest to a disk: it must be the one of the manifest, whatever the host has put in its place. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { bootseal, scratch } from './script.ts';

let folder: string;
let remove: () => void;
const at = (name: string) => path.join(folder, name);
const build = (name: string, ...more: string[]) =>
  bootseal(['image', 'build', '--from', 'raw', '--key-file', 'key.secret', '--out', name, ...more], folder);

beforeAll(async () => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(at('fw'), fixture('debian-ovmf/OVMF.amdsev_2026.08.fd'));
  fs.writeFileSync(at('kernel'), 'kernel');
  fs.writeFileSync(at('raw'), 'what the disk holds');
  fs.writeFileSync(at('key.secret'), 'ab'.repeat(32));
  for (const name of ['disk.img', 'other.img']) expect(await build(name)).toMatchObject({ status: 0 });
  expect(await build('apart.img', '--detached-header', 'apart.hdr')).toMatchObject({ status: 0 });
  expect(await build('disk.qcow2', '--format', 'qcow2')).toMatchObject({ status: 0 });
  expect(await build('gpt.img', '--shape', 'gpt')).toMatchObject({ status: 0 });
}, 60_000);
afterAll(() => remove());

let count = 0;
/** Prepares a launch for this disk. */
async function prepare(disk: string) {
  const lines = ['platform: sev', 'policy: nodbg,noks,nosend', 'firmware: fw', 'kernel: kernel', `disk: {${disk}}\n`];
  fs.writeFileSync(at('launch.yaml'), lines.join('\n'));
  if (!fs.existsSync(at('lab'))) await bootseal(['lab', 'platform', '--out', 'lab'], folder);
  const out = `launch${count++}`;
  const options = ['--lab', 'lab', '--accept-firmware', 'enforcing-some-unverified', '--out', out];
  const ran = await bootseal(['launch', 'prepare', 'launch.yaml', ...options], folder);
  expect(fs.existsSync(at(out)), ran.stderr).toBe(ran.status === 0);
  return { ...ran, cmdline: ran.status === 0 ? fs.readFileSync(at(`${out}/cmdline`), 'utf8') : '' };
}

/** Returns the words that a guest needs, as the manifest has them. */
function words(manifest: string): string {
  const { luks, header } = JSON.parse(fs.readFileSync(at(manifest), 'utf8'));
  return `bootseal.disk=UUID=${luks.uuid} bootseal.header=${header.sha256},${header.bytes}`;
}

it.each([
  ['a raw disk', 'image: disk.img', 'disk.img.json'],
  ['a qcow2 disk', 'image: disk.qcow2, format: qcow2', 'disk.qcow2.json'],
  ['a partition', 'image: gpt.img', 'gpt.img.json'],
  ['a header apart', 'image: apart.img', 'apart.img.json'],
])('takes %s that is as its manifest says', async (_, disk, manifest) => {
  const { status, stderr, cmdline } = await prepare(disk);
  expect(status, stderr).toBe(0);
  expect(cmdline).toBe(`bootseal.secret=0x810000,0xc00 ${words(manifest)}`);
});

it('leaves alone a manifest in the folder that it would replace', async () => {
  fs.copyFileSync(at('disk.img.json'), at('launch0/firmware.json'));
  const options = ['--lab', 'lab', '--accept-firmware', 'enforcing-some-unverified', '--out', 'launch0', '--force'];
  const lines = ['platform: sev', 'policy: nodbg,noks,nosend', 'firmware: fw', 'kernel: kernel'];
  const disk = 'disk: {image: disk.img, manifest: launch0/firmware.json}\n';
  fs.writeFileSync(at('launch.yaml'), [...lines, disk].join('\n'));
  const ran = await bootseal(['launch', 'prepare', 'launch.yaml', ...options], folder);
  expect(ran).toMatchObject({ status: 2, stderr: expect.stringContaining('which disk.manifest reads') });
  expect(fs.readFileSync(at('launch0/firmware.json'))).toEqual(fs.readFileSync(at('disk.img.json')));
});

/** Puts other bytes into a copy of the disk. */
function changed(name: string, change: (bytes: Buffer) => Buffer | undefined): string {
  const bytes = fs.readFileSync(at('disk.img'));
  fs.writeFileSync(at(name), change(bytes) ?? bytes);
  return `image: ${name}, manifest: disk.img.json`;
}
const flip = (at: number) => (bytes: Buffer) => void bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);

it.each([
  [
    'a swapped disk, which opens with the same key',
    () => 'image: other.img, manifest: disk.img.json',
    'UUID in the header',
  ],
  ['one bit of a keyslot', () => changed('bit.img', flip(40_000)), 'SHA-256 of the header'],
  ['one bit behind everything that LUKS reads', () => changed('end.img', flip((1 << 24) - 1)), 'SHA-256 of the header'],
  ['a disk that was cut off', () => changed('short.img', (bytes) => bytes.subarray(0, -512)), 'size of the disk'],
  [
    'a disk that was made longer',
    () => changed('long.img', (bytes) => Buffer.concat([bytes, bytes])),
    'size of the disk',
  ],
])('refuses %s', async (_, disk, what) => {
  expect(await prepare(disk())).toMatchObject({ status: 1, stderr: expect.stringContaining(`the ${what} is `) });
});

it('looks at the header, not at the data: those are the cipher’s to guard', async () => {
  expect(await prepare(changed('data.img', flip(1 << 24)))).toMatchObject({ status: 0 });
});

it('refuses the raw disk in the place of the one in qcow2, and what is called by the wrong name', async () => {
  const swapped = await prepare('image: disk.img, format: qcow2, manifest: disk.qcow2.json');
  expect(swapped).toMatchObject({ status: 1, stderr: expect.stringContaining('the format of the disk is raw') });
  expect(await prepare('image: disk.qcow2')).toMatchObject({ status: 2, stderr: expect.stringContaining('in qcow2') });
});

it('refuses another header in the place of the one apart', async () => {
  fs.copyFileSync(at('apart.hdr'), at('kept.hdr'));
  fs.writeFileSync(at('apart.hdr'), fs.readFileSync(at('disk.img')).subarray(0, 1 << 24));
  expect(await prepare('image: apart.img')).toMatchObject({ status: 1 });
  fs.rmSync(at('apart.hdr'));
  expect(await prepare('image: apart.img')).toMatchObject({ status: 5 });
  fs.renameSync(at('kept.hdr'), at('apart.hdr'));
});

it('says what is no disk, and what is not there', async () => {
  expect(await prepare(changed('zeros.img', (bytes) => bytes.fill(0)))).toMatchObject({ status: 3 });
  expect(await prepare('image: nowhere, manifest: disk.img.json')).toMatchObject({ status: 5 });
  expect(await prepare('image: raw')).toMatchObject({ status: 5 });
  expect(await prepare('image: disk.img, manifest: raw')).toMatchObject({ status: 3 });
});
