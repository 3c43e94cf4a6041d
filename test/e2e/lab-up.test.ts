/** `lab up` as a process: it waits for an owner, and when its time is over or a signal comes nothing is left. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST } from './guest-tree.ts';
import { ACCEPT, writeFirmware } from './lab-guest-files.ts';

const COMMAND = path.resolve('bin/bootseal.js');

describeWith(GUEST, 'lab up', () => {
  let folder: string;
  let remove: () => void;
  const at = (name: string) => path.join(folder, name);

  beforeAll(async () => {
    ({ folder, remove } = scratch());
    writeFirmware(at('fw'));
    fs.writeFileSync(at('kernel'), 'kernel');
    fs.mkdirSync(at('tmp'));
    fs.writeFileSync(at('launch.yaml'), 'platform: sev\npolicy: nodbg\nfirmware: fw\nkernel: kernel\nmemory: 256M\n');
    const run = (...args: string[]) => bootseal(args, folder);
    expect(await run('lab', 'platform', '--out', 'lab')).toMatchObject({ status: 0 });
    const prepare = ['launch', 'prepare', 'launch.yaml', '--lab', 'lab', '--out', 'launch', ...ACCEPT];
    expect(await run(...prepare)).toMatchObject({ status: 0 });
  });
  afterAll(() => remove());

  /** Starts it and returns when its guest waits. */
  async function waiting(...more: string[]) {
    const args = ['lab', 'up', 'launch.yaml', '--lab', 'lab', '--launch', 'launch', '--json', ...more];
    const child = spawn(process.execPath, [COMMAND, ...args], {
      cwd: folder,
      env: { ...process.env, TMPDIR: at('tmp') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stderr.on('data', (bytes: Buffer) => {
      stderr += bytes.toString();
    });
    const ended = new Promise<{ status: number | null; signal: string | null; stderr: string }>((resolve) =>
      child.on('close', (status, signal) => resolve({ status, signal, stderr })),
    );
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (bytes: Buffer) => {
        stdout += bytes.toString();
        if (stdout.includes('"event":"waiting"')) resolve();
      });
      void ended.then(() => reject(new Error(`it ended: ${stdout}${stderr}`)));
    });
    return { child, ended };
  }
  const machines = () => spawnSync('pgrep', ['-f', `qemu-system-x86_64.*${folder}`], { encoding: 'utf8' }).stdout;

  it.each([
    ['SIGTERM', { signal: 'SIGTERM' }],
    ['SIGINT', { signal: 'SIGINT' }],
    // Nor a core, in which the key would be.
    ['SIGQUIT', { status: 131 }],
  ] as const)(
    'leaves no process and no file after %s',
    async (signal, end) => {
      const { child, ended } = await waiting();
      expect(machines()).not.toBe('');
      expect(fs.readdirSync(at('tmp'))).toHaveLength(1);
      child.kill(signal);
      expect(await ended).toMatchObject(end);
      expect(machines()).toBe('');
      expect(fs.readdirSync(at('tmp'))).toEqual([]);
    },
    90_000,
  );

  it('ends a guest whose time is over', async () => {
    const { ended } = await waiting('--deadline', '8');
    expect(await ended).toMatchObject({ status: 6, stderr: expect.stringContaining('did not end in 8 s') });
    expect(machines()).toBe('');
    expect(fs.readdirSync(at('tmp'))).toEqual([]);
  }, 90_000);

  it('ends at once when QEMU does', async () => {
    const broken = `${fs.readFileSync(at('launch.yaml'), 'utf8')}disk:\n  image: nowhere\n`;
    fs.writeFileSync(at('broken.yaml'), broken);
    const args = ['lab', 'up', 'broken.yaml', '--lab', 'lab', '--launch', 'launch'];
    const start = Date.now();
    const ran = spawnSync(process.execPath, [COMMAND, ...args], { cwd: folder, encoding: 'utf8' });
    expect(ran).toMatchObject({ status: 6, stderr: expect.stringContaining('nowhere') });
    // Ten seconds are what QEMU has to make its sockets.
    expect(Date.now() - start).toBeLessThan(9_000);
  }, 90_000);

  it('refuses what it cannot start', async () => {
    const up = (...more: string[]) => bootseal(['lab', 'up', 'launch.yaml', ...more], folder);
    expect(await up('--launch', 'launch')).toMatchObject({ status: 2 });
    expect(await up()).toMatchObject({ status: 2, stderr: expect.stringContaining('class enforcing-some-unverified') });
    expect(await up(...ACCEPT)).toMatchObject({ status: 2, stderr: expect.stringContaining('no secrets') });
    expect(await up('--lab', 'lab', '--launch', 'nowhere')).toMatchObject({ status: 5 });
  }, 90_000);
});
