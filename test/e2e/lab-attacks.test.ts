/**
 * The host's moves against a launch, each made for real: QEMU with Debian's OVMF, paused, the software PSP hashing what lies in its memory,
 * and the owner's own command on the other end of QMP. docs/threat-model.md cites the titles.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { findProfile } from '../../src/core/measurement/profiles.ts';
import { QmpClient } from '../../src/host/qmp/client.ts';
import { type LabGuest, type LabMachine, readRam, startLab } from '../../src/lab/machine.ts';
import { createLabPlatform, readLabPlatform } from '../../src/lab/psp/platform.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { fakeQemu, listen } from '../fake-qmp.ts';
import { describeWith } from '../needs.ts';
import { GUEST } from './guest-tree.ts';
import { ACCEPT, GENERIC, SECRET_AREA, writeFirmware } from './lab-guest-files.ts';

const PASSPHRASE = 'correct horse battery';
/** EPYC-v4. */
const SIGNATURE = 0x800f12;
const ELSEWHERE = 0x900000;

describeWith(GUEST, "the host's moves", () => {
  let folder: string;
  let remove: () => void;
  let count = 0;
  let launch: string;
  const running: LabMachine[] = [];
  const at = (name: string) => path.join(folder, name);
  const run = (...args: string[]) => bootseal(args, folder);

  beforeAll(async () => {
    ({ folder, remove } = scratch());
    fs.mkdirSync(at('tmp'));
    // Of its own: other tests start guests at the same time.
    vi.stubEnv('TMPDIR', at('tmp'));
    writeFirmware(at('fw'));
    writeFirmware(at('generic'), GENERIC);
    for (const name of ['kernel', 'initrd', 'evil']) fs.writeFileSync(at(name), name);
    fs.writeFileSync(at('pass.secret'), PASSPHRASE);
    const lines = [
      'platform: sev-es',
      'policy: [nodbg, noks, nosend, es]',
      'firmware: fw',
      'kernel: kernel',
      'initrd: initrd',
    ];
    const more = [
      'cmdline: quiet',
      'vcpus: 2',
      'cpu: EPYC-v4',
      'disk:',
      '  image: disk',
      'secrets:',
      '  disk-passphrase: pass.secret\n',
    ];
    fs.writeFileSync(at('launch.yaml'), [...lines, ...more].join('\n'));
    fs.writeFileSync(at('raw'), 'what the disk holds');
    for (const out of ['disk', 'other']) {
      expect(await run('image', 'build', '--from', 'raw', '--key-file', 'pass.secret', '--out', out)).toMatchObject({
        status: 0,
      });
    }
    await createLabPlatform(at('lab'));
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    remove();
  });
  const prepare = async () => {
    launch = `launch${count++}`;
    const prepared = await run('launch', 'prepare', 'launch.yaml', '--lab', 'lab', ...ACCEPT, '--out', launch);
    expect(prepared.status, prepared.stderr).toBe(0);
  };
  beforeEach(prepare);
  afterEach(async () => {
    for (const machine of running.splice(0)) await machine.stop();
  });

  const bytes = (name: string) => fs.readFileSync(at(name));
  const text64 = (name: string) => Buffer.from(bytes(name).toString(), 'base64');

  /** Starts what the host likes; the rest is as the owner prepared it. */
  async function start(over: Partial<LabGuest> = {}, from = launch): Promise<{ machine: LabMachine; qmp: string }> {
    const place = { folder: fs.mkdtempSync(at('m')), qmp: at(`q${count++}`), deadline: 60_000 };
    const guest: LabGuest = {
      platform: await readLabPlatform(at('lab')),
      policy: 0xf,
      owner: { godh: text64(`${from}/godh`), session: text64(`${from}/session`) },
      firmware: at('fw'),
      boot: { kernel: at('kernel'), initrd: at('initrd'), cmdline: bytes(`${from}/cmdline`) },
      profile: findProfile('qemu'),
      cpu: { signature: SIGNATURE, features: 0n },
      vcpus: 2,
      memory: 256,
      disks: [],
      ...over,
    };
    const machine = await startLab(guest, place);
    running.push(machine);
    return { machine, qmp: place.qmp };
  }
  const inject = (qmp: string, ...more: string[]) =>
    run(
      'launch',
      'inject',
      '--record',
      `${launch}/record.json`,
      '--qmp',
      qmp,
      '--secret',
      'disk-passphrase=pass.secret',
      ...more,
    );
  const memory = ({ ram }: LabMachine, gpa = SECRET_AREA) => Buffer.from(readRam(ram, gpa, 0xc00));
  const isSpent = () => JSON.parse(bytes(`${launch}/record.json`).toString()).used !== null;

  it('none: the launch as it was prepared gets its secret', async () => {
    const { machine, qmp } = await start();
    const ran = await inject(qmp, '--no-resume');
    expect(ran.status, ran.stderr).toBe(0);
    expect(memory(machine).includes(PASSPHRASE)).toBe(true);
  });

  const boot = () => ({ kernel: at('kernel'), initrd: at('initrd'), cmdline: bytes(`${launch}/cmdline`) });
  it.each<[string, () => Partial<LabGuest>]>([
    ['a tampered kernel', () => ({ boot: { ...boot(), kernel: at('evil') } })],
    ['a tampered initrd', () => ({ boot: { ...boot(), initrd: at('evil') } })],
    ['no initrd', () => ({ boot: { ...boot(), initrd: undefined } })],
    [
      'a tampered command line',
      () => ({ boot: { ...boot(), cmdline: Buffer.from(`${boot().cmdline} init=/bin/sh`) } }),
    ],
    ['a swapped firmware', () => ({ firmware: at('generic') })],
    ['another number of vCPUs', () => ({ vcpus: 3 })],
    ['another CPU state', () => ({ profile: findProfile('qemu-legacy') })],
    ["a guest without the owner's session", () => ({ owner: undefined })],
    ['a guest that can be debugged, without the session', () => ({ owner: undefined, policy: 0xe })],
  ])('%s: another measurement, and nothing leaves', async (_, over) => {
    const { machine, qmp } = await start(over());
    expect(await inject(qmp)).toMatchObject({ status: 1, stdout: '' });
    expect(memory(machine).every((byte) => byte === 0)).toBe(true);
    expect(isSpent()).toBe(false);
  });

  it('a swapped disk: its header is in the measured command line', async () => {
    const { cmdline } = boot();
    const hash = (name: string) => JSON.parse(bytes(`${name}.json`).toString()).header.sha256 as string;
    const swapped = Buffer.from(cmdline.toString().replace(hash('disk'), hash('other')));
    expect(swapped.equals(cmdline)).toBe(false);
    const { qmp } = await start({ boot: { ...boot(), cmdline: swapped } });
    expect(await inject(qmp)).toMatchObject({ status: 1, stdout: '' });
  });

  it.each([
    ['a weaker policy', 0x7],
    ['a policy that allows debugging', 0xe],
  ])('%s: the platform refuses the session', async (_, policy) => {
    await expect(start({ policy })).rejects.toMatchObject({
      kind: 'mismatch',
      message: expect.stringContaining('LAUNCH_START: BAD_MEASUREMENT'),
    });
  });

  it('a session that was changed on its way: the platform refuses it', async () => {
    const session = text64(`${launch}/session`);
    session.writeUInt8(session.readUInt8(40) ^ 1, 40);
    await expect(start({ owner: { godh: text64(`${launch}/godh`), session } })).rejects.toMatchObject({
      kind: 'mismatch',
    });
  });

  it('another platform: it cannot read the session', async () => {
    await createLabPlatform(at(`other${count}`));
    const platform = await readLabPlatform(at(`other${count}`));
    await expect(start({ platform })).rejects.toMatchObject({ kind: 'mismatch' });
  });

  it('a forged chain: a root that signs itself is not taken without --lab', async () => {
    const session = ['session', 'create', '--platform', 'sev', '--policy', 'nodbg', '--firmware', 'fw', ...ACCEPT];
    expect(await run(...session, '--platform-certs', 'lab', '--out', 'forged')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("none of AMD's root keys"),
    });
  });

  it('an old measurement: it is of another session, or of a launch that was served', async () => {
    const old = await start();
    const measurement = Buffer.from(old.machine.measurement).toString('base64');
    expect(await inject(old.qmp, '--no-resume')).toMatchObject({ status: 0 });
    // A host that says the old one again, whatever runs behind it.
    const sev = { enabled: true, state: 'launch-secret', 'api-major': 1, 'api-minor': 55, 'build-id': 255 };
    const told: string[] = [];
    const close = await listen(
      at('replay'),
      fakeQemu((command) => ({ return: command === 'query-sev' ? sev : { data: measurement } }), told),
    );
    try {
      const next = `next${count++}`;
      expect(await run('launch', 'prepare', 'launch.yaml', '--lab', 'lab', ...ACCEPT, '--out', next)).toMatchObject({
        status: 0,
      });
      launch = next;
      expect(await inject('replay')).toMatchObject({ status: 1 });
      expect(told).not.toContain('sev-inject-launch-secret');
      expect(isSpent()).toBe(false);
    } finally {
      await close();
    }
  });

  it('an old packet in a second launch: its platform refuses it', async () => {
    const first = await start();
    expect(await inject(first.qmp, '--no-resume')).toMatchObject({ status: 0 });
    const { header, secret, gpa } = JSON.parse(bytes(`${launch}/packet.json`).toString());
    const second = await start();
    const client = await QmpClient.connect(second.qmp);
    await expect(
      client.execute('sev-inject-launch-secret', { 'packet-header': header, secret, gpa }),
    ).rejects.toMatchObject({
      words: expect.stringContaining("fw_error=11 'Bad measurement'"),
    });
    client.close();
    expect(memory(second.machine).every((byte) => byte === 0)).toBe(true);
    expect(await inject(second.qmp)).toMatchObject({ status: 2, stderr: expect.stringContaining('another launch') });
  });

  it('the packet at another address: NOT prevented, but the guest looks where its firmware says and finds nothing', async () => {
    const { machine, qmp } = await start();
    // The host keeps the packet to itself and tells the owner that it was injected.
    const sev = { enabled: true, state: 'launch-secret', 'api-major': 1, 'api-minor': 55, 'build-id': 255 };
    const data = Buffer.from(machine.measurement).toString('base64');
    let packet: Record<string, unknown> = {};
    const close = await listen(
      at('lying'),
      fakeQemu((command, args) => {
        if (command === 'sev-inject-launch-secret') packet = args ?? {};
        return { return: command === 'query-sev' ? sev : { data } };
      }),
    );
    expect(await inject('lying')).toMatchObject({ status: 0 });
    await close();
    const client = await QmpClient.connect(qmp);
    await client.execute('sev-inject-launch-secret', { ...packet, gpa: ELSEWHERE });
    client.close();
    expect(memory(machine, ELSEWHERE).includes(PASSPHRASE)).toBe(true);
    expect(memory(machine).every((byte) => byte === 0)).toBe(true);
  });

  const LAUNCHES = 100;
  it(
    `none, ${LAUNCHES} times in a row: no process, file, socket or memory is left`,
    async () => {
      const children = () =>
        spawnSync('ps', ['--ppid', `${process.pid}`, '-o', 'comm='], { encoding: 'utf8' }).stdout.match(/qemu/g);
      const openFiles = () => fs.readdirSync('/proc/self/fd').length;
      const seen: { readonly open: number; readonly memory: number }[] = [];
      for (let i = 0; i < LAUNCHES; i++) {
        if (i > 0) await prepare();
        const { machine, qmp } = await start();
        const ran = await inject(qmp);
        expect(ran.status, ran.stderr).toBe(0);
        await machine.stop();
        running.length = 0;
        expect(fs.existsSync(qmp)).toBe(false);
        seen.push({ open: openFiles(), memory: process.memoryUsage().rss });
      }
      expect(children()).toBeNull();
      expect(fs.readdirSync(at('tmp'))).toEqual([]);
      const [early, late] = [seen[LAUNCHES / 4], seen.at(-1)];
      expect(late?.open).toBeLessThanOrEqual(early?.open ?? 0);
      expect((late?.memory ?? 0) - (early?.memory ?? 0)).toBeLessThan(64 << 20);
    },
    LAUNCHES * 10_000,
  );
});

describe('the list in docs/threat-model.md', () => {
  it('names tests of this file only', () => {
    const here = fs.readFileSync(import.meta.filename, 'utf8');
    const doc = fs.readFileSync('docs/threat-model.md', 'utf8');
    const cited = [...doc.matchAll(/lab-attacks: “([^”]+)”/g)].map(([, title]) => title ?? '');
    expect(cited.length).toBeGreaterThan(5);
    for (const title of cited) expect(here, title).toContain(title);
  });
});
