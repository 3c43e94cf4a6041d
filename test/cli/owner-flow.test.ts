import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLabPlatform, type LabPlatform, readLabPlatform } from '../../src/lab/psp/platform.ts';
import { firmwareImage } from '../firmware-image.ts';
import { type HostGuest, launchGuest } from '../lab-guest.ts';
import { bootseal, scratch } from './script.ts';

const POLICY = 0xf;
const SECRET_AREA = 0x810000;
let folder: string;
let remove: () => void;
let platform: LabPlatform;

const read = (name: string) => fs.readFileSync(path.join(folder, name));

/** An owner makes a session; a host starts the guest with what it was given. */
beforeEach(async () => {
  ({ folder, remove } = scratch());
  await createLabPlatform(path.join(folder, 'lab'));
  platform = await readLabPlatform(path.join(folder, 'lab'));
  for (const [name, bytes] of Object.entries({ fw: firmwareImage(), kernel: 'kernel', pass: 'word' })) {
    fs.writeFileSync(path.join(folder, name), bytes);
  }
  const created = await bootseal(
    ['session', 'create', '--platform', 'sev-es', '--lab', 'lab', '--policy']
      .concat(['nodbg,noks,es,nosend', '--firmware', 'fw', '--kernel', 'kernel', '--vcpus', '1-4', '--cpu', 'EPYC-v4'])
      .concat(['--minimum-api', '1.50', '--out', 'launch']),
    folder,
  );
  expect(created.status, created.stderr).toBe(0);
  expect(created.stderr).toContain('NOT encrypted');
});
afterEach(() => remove());

const launch = (over: Partial<HostGuest> = {}, on = platform) =>
  launchGuest(on, {
    policy: POLICY,
    owner: { godh: read('launch/godh').toString(), session: read('launch/session').toString() },
    firmware: firmwareImage(),
    kernel: 'kernel',
    vcpus: 1,
    ...over,
  });
const record = ['--record', 'launch/record.json', '--measurement'];
const build = (measurement: string, out = 'packet') =>
  bootseal(['secret', 'build', ...record, measurement, '--secret', 'disk-passphrase=pass', '--out', out], folder);

describe("the owner's flow", () => {
  it('goes from the session to the secret in guest memory', async () => {
    const { guest, memory, measurement } = launch({ vcpus: 3 });
    const verified = await bootseal(['verify', 'launch', ...record, measurement, '--json'], folder);
    expect(verified).toMatchObject({ status: 0 });
    expect(verified.stderr).toContain('NOT encrypted');
    expect(JSON.parse(verified.stdout).launch).toMatchObject({
      profile: 'qemu',
      profileVersion: 1,
      vcpus: 3,
      cpu: 'EPYC-v4',
      api: { major: 1, minor: 55, build: 255 },
    });

    const built = await bootseal(
      ['secret', 'build', ...record, measurement, '--secret', 'disk-passphrase=pass', '--out', 'packet', '--json'],
      folder,
    );
    expect(built.status, built.stderr).toBe(0);
    expect(JSON.parse(built.stdout).launch).toMatchObject({ profile: 'qemu', profileVersion: 1, vcpus: 3 });
    guest.launchSecret(read('packet/header.bin'), read('packet/secret.bin'), SECRET_AREA);
    guest.launchFinish();
    const table = Buffer.from(memory.get(SECRET_AREA) ?? []);
    expect(table.includes('word')).toBe(true);
    expect(table.subarray(0, 4).toString('hex')).toBe('42f5741e');
  });

  it('releases one secret to one launch', async () => {
    const first = launch();
    expect(await build(first.measurement)).toMatchObject({ status: 0 });
    expect(await build(first.measurement, 'again')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('was used at'),
    });
    const second = launch();
    expect(await build(second.measurement, 'again')).toMatchObject({ status: 2 });
    expect(fs.existsSync(path.join(folder, 'again'))).toBe(false);
    const packet = [read('packet/header.bin'), read('packet/secret.bin'), SECRET_AREA] as const;
    expect(() => second.guest.launchSecret(...packet)).toThrow('BAD_MEASUREMENT');
    first.guest.launchSecret(...packet);
  });

  it('refuses another kernel, command line, firmware, number of vCPUs, older API, and a guest without the session', async () => {
    const old: LabPlatform = { ...platform, api: { major: 1, minor: 49, build: 255 } };
    const changed = firmwareImage();
    changed[0] = (changed[0] ?? 0) ^ 1;
    for (const { measurement } of [
      launch({ kernel: 'kernal' }),
      launch({ initrd: 'initrd' }),
      launch({ cmdline: 'init=/bin/sh' }),
      launch({ firmware: changed }),
      launch({ vcpus: 5 }),
      launch({ owner: undefined }),
      launch({ owner: undefined, policy: 0xe }),
      launch({}, old),
    ]) {
      const refused = await build(measurement);
      expect(refused, refused.stderr).toMatchObject({ status: 1, stdout: '' });
      expect(fs.existsSync(path.join(folder, 'packet'))).toBe(false);
    }
  });

  it('cannot be started with another policy, nor on a machine with another PDH', async () => {
    expect(() => launch({ policy: POLICY & ~1 })).toThrow('BAD_MEASUREMENT');
    await createLabPlatform(path.join(folder, 'other'));
    const other = await readLabPlatform(path.join(folder, 'other'));
    expect(() => launch({}, other)).toThrow('BAD_MEASUREMENT');
  });

  it('takes the root of a lab only when told so', async () => {
    const create = (...how: string[]) =>
      bootseal(
        ['session', 'create', '--platform', 'sev', '--policy', 'nodbg', '--firmware', 'fw', '--out', 'other', ...how],
        folder,
      );
    expect(await create('--platform-certs', 'lab')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/none of AMD's root keys[\s\S]*--lab/),
    });
    expect(await create('--lab', 'lab', '--root', 'milan')).toMatchObject({ status: 2 });
    expect(fs.existsSync(path.join(folder, 'other'))).toBe(false);
    expect(JSON.parse(read('launch/record.json').toString()).platformKey).toMatchObject({
      verified: false,
      root: 'lab',
    });
  });
});
