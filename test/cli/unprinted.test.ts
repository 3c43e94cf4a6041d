/** A result that cannot be printed is a failed run, and that leaves nothing: no files, and in the place of others those that were there. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { DISK, KBC, secretArea } from '../guest-tree.ts';
import { writeLaunch } from '../launch-record.ts';
import { folderContents } from './folder-contents.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const everything = () => folderContents(folder);

/** Runs a command whose standard output takes nothing. */
const unprinted = (line: string, code: string) => {
  const write = (_: unknown, lost: (error: Error) => void = () => undefined) =>
    lost(Object.assign(new Error('injected'), { code }));
  return bootseal(line.split(' '), folder, { stdout: { isTTY: false, write } });
};

const KDF = '--kdf pbkdf2 --kdf-iterations 1000';
const LAUNCH = '--lab lab --accept-firmware enforcing-some-unverified';

beforeAll(async () => {
  fs.writeFileSync(at('id.pem'), fixture('sev-snp-measure/id_key_test.pem'));
  fs.writeFileSync(at('fw'), fixture('debian-ovmf/OVMF.amdsev_2026.08.fd'));
  fs.writeFileSync(at('kernel'), 'kernel');
  fs.writeFileSync(at('raw'), 'what the disk holds');
  fs.writeFileSync(at('key'), 'ab'.repeat(32));
  fs.writeFileSync(at('launch.yaml'), 'platform: sev\npolicy: nodbg,noks,nosend\nfirmware: fw\nkernel: kernel\n');
  const secrets: [string, string][] = [
    [DISK, 'correct horse'],
    [KBC, '{"default/key/1":"AAAA"}'],
  ];
  fs.writeFileSync(at('table'), secretArea(secrets));
  writeLaunch(at('sealed'), ['area=0x810000:0xc00']);
  for (const line of [
    'lab platform --out lab',
    `image build --from raw --key-file key --out disk.img ${KDF}`,
    'image build --from raw --verity --out verity.img',
    'secret build --record sealed/record.json --measurement sealed/measurement.b64 --secret disk-passphrase=key --out packet',
  ]) {
    const made = await bootseal(line.split(' '), folder);
    expect(made, made.stderr).toMatchObject({ status: 0 });
  }
});

const DIGEST = '07'.repeat(48);
const POLICY = 'nodbg,noks,nosend';
const COMMANDS: readonly string[] = [
  `id-block create --digest ${DIGEST} --policy smt --id-key id.pem --out block`,
  `session create --platform sev --policy ${POLICY} --firmware fw --kernel kernel ${LAUNCH} --out session`,
  `launch prepare launch.yaml ${LAUNCH} --out launch`,
  'initrd hooks --for dracut --out hooks',
  'initrd add --base initrd --file etc/raw=raw --out new-initrd',
  'secret open packet --tk sealed/tk --measurement sealed/measurement.b64 --out opened',
  'secret inspect table --value disk-passphrase --out value',
  'guest read disk-passphrase --table table --out secret',
  'guest bridge offline-fs-kbc --table table --out kbc.json',
  'image extract disk.img --key-file key --out data',
  'image extract verity.img --out verity-data',
  `image build --from raw --key-file key --out new.img --detached-header new.hdr ${KDF}`,
  'image build --from raw --verity --out new-verity.img',
];

describe('a result that cannot be printed', () => {
  beforeAll(() => {
    fs.writeFileSync(at('initrd'), fixture('initrd/etc.cpio'));
  });

  it.each(COMMANDS)('leaves nothing: %s', async (line) => {
    const before = everything();
    for (const form of ['', ' --json']) {
      const ran = await unprinted(line + form, 'ENOSPC');
      expect(ran, ran.stderr).toMatchObject({ status: 5 });
      expect(ran.stderr.match(/cannot write the result: no space left on the device/g)).toHaveLength(1);
      expect(everything()).toEqual(before);
    }
    // That nobody reads it is no failure.
    const unread = await unprinted(line, 'EPIPE');
    expect(unread, unread.stderr).toMatchObject({ status: 0 });
    const made = everything();
    expect(Object.keys(made).length).toBeGreaterThan(Object.keys(before).length);
    const again = await unprinted(`${line} --force`, 'ENOSPC');
    expect(again, again.stderr).toMatchObject({ status: 5 });
    expect(everything()).toEqual(made);
  });

  it('leaves an empty folder that was there', async () => {
    fs.mkdirSync(at('empty'));
    const before = everything();
    const line = `id-block create --digest ${DIGEST} --policy smt --id-key id.pem --out empty`;
    expect(await unprinted(line, 'ENOSPC')).toMatchObject({ status: 5 });
    expect(everything()).toEqual(before);
  });

  it('leaves no key', async () => {
    const before = everything();
    const line = `image build --from raw --new-key new.key --out keyed.img ${KDF}`;
    expect(await unprinted(line, 'ENOSPC')).toMatchObject({ status: 5 });
    expect(everything()).toEqual(before);
  });

  it('leaves no platform', async () => {
    const before = everything();
    expect(await unprinted('lab platform --out another', 'ENOSPC')).toMatchObject({ status: 5 });
    expect(everything()).toEqual(before);
  });

  // The record is spent: no other packet can ever be made for that launch.
  it('leaves the packet of a record that is spent', async () => {
    writeLaunch(at('once'), ['area=0x810000:0xc00']);
    const of = '--record once/record.json --measurement once/measurement.b64';
    const ran = await unprinted(`secret build ${of} --secret disk-passphrase=key --out kept`, 'ENOSPC');
    expect(fs.existsSync(at('kept/secret.bin')), ran.stderr).toBe(true);
  });
});
