import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { folderContents } from './folder-contents.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const everything = () => folderContents(folder);

const FAST = ['--kdf', 'pbkdf2', '--kdf-iterations', '1000'];

beforeAll(async () => {
  fs.mkdirSync(at('keys'));
  fs.writeFileSync(at('raw'), 'what the disk holds');
  fs.writeFileSync(at('keys/key'), 'correct horse battery');
  fs.writeFileSync(at('keys/mine'), 'staple of the owner');
  fs.symlinkSync('keys', at('link'));
  fs.mkdirSync(at('files/boot'), { recursive: true });
  fs.writeFileSync(at('files/boot/a.efi'), 'what is booted');
  fs.symlinkSync('files/boot', at('boot'));
  fs.symlinkSync('keys/key', at('linked-key'));
  fs.linkSync(at('keys/key'), at('hard-key'));
  const key = ['--key-file', 'keys/key'];
  const builds = [
    ['--out', 'disk.img', ...key, ...FAST],
    ['--out', 'apart.img', '--detached-header', 'apart.hdr', ...key, ...FAST],
    ['--out', 'verity.img', '--verity'],
  ];
  for (const build of builds) {
    const made = await bootseal(['image', 'build', '--from', 'raw', ...build], folder);
    expect(made, made.stderr).toMatchObject({ status: 0 });
  }
  fs.linkSync(at('disk.img'), at('disk-2.img'));
});

describe('no file is named -', () => {
  it.each([
    'image build --from raw --key-file keys/key --out -',
    'image build --from raw --verity --out -',
    'image build --from raw --new-key - --out new.img',
    'image build --from raw --key-file keys/key --detached-header - --out new.img',
    'image extract disk.img --key-file keys/key --out -',
    'image extract verity.img --out -',
    'image add-key disk.img --key-file keys/key --new-key -',
    'image rekey disk.img --key-file keys/key --new-key -',
    'lab demo --keep -',
  ])('%s', async (line) => {
    const before = everything();
    const ran = await bootseal(line.split(' '), folder);
    expect(ran, ran.stderr).toMatchObject({ status: 2, stderr: expect.stringMatching(/standard output/) });
    expect(everything()).toEqual(before);
  });
});

describe('a file that is read is never written', () => {
  const EXTRACT = 'image extract disk.img --key-file keys/key --force --out';
  const APART = 'image extract apart.img --header apart.hdr --key-file keys/key --force --out';
  const VERITY = 'image extract verity.img --force --out';
  const BUILD = 'image build --from raw --force';
  const ADD = 'image add-key disk.img --key-file keys/key';
  const REKEY = 'image rekey apart.img --header apart.hdr --key-file keys/key';
  it.each([
    `${EXTRACT} keys/key`,
    `${EXTRACT} link/key`,
    `${EXTRACT} linked-key`,
    `${EXTRACT} hard-key`,
    `${EXTRACT} disk.img`,
    `${EXTRACT} disk-2.img`,
    `${EXTRACT} keys/../disk.img`,
    `${EXTRACT} disk.img.json`,
    `${APART} apart.hdr`,
    `${APART} apart.img.json`,
    `${VERITY} verity.img`,
    `${VERITY} verity.img.json`,
    `${BUILD} --key-file keys/key --out link/key`,
    `${BUILD} --key-file link/key --out keys/key`,
    `${BUILD} --key-file keys/key --out hard-key`,
    `${BUILD} --key-file keys/key --out new.img --detached-header link/key`,
    `${BUILD} --key-file keys/key --recovery-key-file keys/mine --out link/mine`,
    `${BUILD} --key-file keys/key --out raw`,
    `${BUILD} --new-key keys/new --out link/new`,
    `${BUILD} --new-key new.img.json --out new.img`,
    `${BUILD} --verity --out raw`,
    `${BUILD} --key-file keys/key --shape gpt --esp files --out files/boot/a.efi`,
    `${BUILD} --key-file keys/key --shape gpt --esp files --out boot/a.efi`,
    `${BUILD} --key-file keys/key --shape gpt --esp boot --out new.img --detached-header files/boot/a.efi`,
    `${BUILD} --verity --shape gpt --esp files --out boot/a.efi`,
    'image build --from files --owner root --force --key-file keys/key --out boot/a.efi',
    'image build --from boot --verity --filesystem erofs --force --out boot/a.efi',
    `${ADD} --new-key disk.img.json`,
    `${ADD} --new-key link/key`,
    `${REKEY} --new-key apart.hdr`,
    `${REKEY} --new-key apart.img`,
  ])('%s', async (line) => {
    const before = everything();
    const ran = await bootseal(line.split(' '), folder);
    expect(ran, ran.stderr).toMatchObject({ status: 2 });
    expect(everything()).toEqual(before);
  });

  it('nor is the manifest that an image may still get', async () => {
    fs.copyFileSync(at('disk.img'), at('bare.img'));
    const before = everything();
    const rest = ['bare.img', '--key-file', 'keys/key'];
    for (const args of [
      ['add-key', ...rest, '--new-key', 'link/../bare.img.json'],
      ['extract', ...rest, '--out', 'bare.img.json'],
    ]) {
      const ran = await bootseal(['image', ...args], folder);
      expect(ran, ran.stderr).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('one of the files that are read'),
      });
    }
    expect(everything()).toEqual(before);
  });

  it('a new name in a folder that is read is written', async () => {
    const build = 'image build --from raw --key-file keys/key --shape gpt --esp boot --out boot/new.img';
    const ran = await bootseal([...build.split(' '), ...FAST], folder);
    expect(ran, ran.stderr).toMatchObject({ status: 0 });
  });

  it('another name is written', async () => {
    const ran = await bootseal([...EXTRACT.split(' '), 'keys/plain'], folder);
    expect(ran, ran.stderr).toMatchObject({ status: 0 });
    expect(fs.readFileSync(at('keys/plain'), 'latin1')).toContain('what the disk holds');
  });
});
