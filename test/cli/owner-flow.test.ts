import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { firmwareImage } from '../firmware-image.ts';
import { forgedPlatform } from '../platform.ts';
import { type Channel, launchMeasure, launchSecret, launchStart } from '../software-psp.ts';
import { bootseal, scratch } from './script.ts';

const POLICY = 0xf;
const API = [1, 55, 24];
let folder: string;
let remove: () => void;
let channel: Channel;

const read = (name: string) => fs.readFileSync(path.join(folder, name));

/** An owner makes a session; a host starts the guest with what it was given. */
beforeEach(async () => {
  ({ folder, remove } = scratch());
  const { chain, pdhKey } = forgedPlatform();
  for (const [name, bytes] of Object.entries({
    fw: firmwareImage(),
    kernel: 'kernel',
    'pdh.cert': chain.pdh,
    pass: 'word',
  })) {
    fs.writeFileSync(path.join(folder, name), bytes);
  }
  const created = await bootseal(
    ['session', 'create', '--platform', 'sev-es', '--pdh', 'pdh.cert', '--insecure-unverified-pdh', '--policy']
      .concat(['nodbg,noks,es,nosend', '--firmware', 'fw', '--kernel', 'kernel', '--vcpus', '1-4', '--cpu', 'EPYC-v4'])
      .concat(['--minimum-api', '1.50', '--out', 'launch']),
    folder,
  );
  expect(created.status, created.stderr).toBe(0);
  channel = launchStart(read('launch/godh').toString(), read('launch/session').toString(), POLICY, pdhKey);
});
afterEach(() => remove());

const digest = (vcpus: number): string => JSON.parse(read('launch/record.json').toString()).expected[vcpus - 1].digest;
const record = ['--record', 'launch/record.json', '--measurement'];
const build = (measurement: string, out = 'packet') =>
  bootseal(['secret', 'build', ...record, measurement, '--secret', 'disk-passphrase=pass', '--out', out], folder);

describe("the owner's flow", () => {
  it('goes from the session to the secret in guest memory', async () => {
    const measurement = launchMeasure(channel, API, POLICY, digest(3));
    const verified = await bootseal(['verify', 'launch', ...record, measurement, '--json'], folder);
    expect(verified).toMatchObject({ status: 0 });
    expect(JSON.parse(verified.stdout).launch).toMatchObject({ digest: digest(3), vcpus: 3, cpu: 'EPYC-v4' });

    expect(await build(measurement)).toMatchObject({ status: 0 });
    const memory = launchSecret(channel, read('packet/header.bin'), read('packet/secret.bin'), measurement);
    expect(memory.includes('word')).toBe(true);
    expect(memory.subarray(0, 4).toString('hex')).toBe('42f5741e');
  });

  it('releases one secret to one launch', async () => {
    const measurement = launchMeasure(channel, API, POLICY, digest(1));
    expect(await build(measurement)).toMatchObject({ status: 0 });
    expect(await build(measurement, 'again')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('was used at'),
    });
    const next = launchMeasure(channel, API, POLICY, digest(1));
    expect(await build(next, 'again')).toMatchObject({ status: 2 });
    expect(fs.existsSync(path.join(folder, 'again'))).toBe(false);
  });

  it('refuses a guest with another policy, digest, or older firmware than the session is for', async () => {
    const other = '00'.repeat(32);
    for (const measurement of [
      launchMeasure(channel, API, POLICY & ~1, digest(1)),
      launchMeasure(channel, API, POLICY, other),
      launchMeasure(channel, [1, 49, 255], POLICY, digest(1)),
    ]) {
      expect(await build(measurement)).toMatchObject({ status: 1, stdout: '' });
      expect(fs.existsSync(path.join(folder, 'packet'))).toBe(false);
    }
  });

  it('cannot be started with another policy, nor on a machine with another PDH', () => {
    const [godh, session] = [read('launch/godh').toString(), read('launch/session').toString()];
    const { pdhKey } = forgedPlatform();
    expect(() => launchStart(godh, session, POLICY & ~1, pdhKey)).toThrow('BAD_MEASUREMENT');
    expect(() => launchStart(godh, session, POLICY, new Uint8Array(48).fill(1))).toThrow('BAD_MEASUREMENT');
  });
});
