/** `lab demo` as a process, on the guests' tree: a whole launch, three attacks, and nothing left behind. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { bootseal } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST, GUEST_TREE } from './guest-tree.ts';
import { useLabFolder, writeFirmware } from './lab-guest-files.ts';

const { fetchDemoData } = createRequire(import.meta.url)('../../bin/setup/demo-data.js') as {
  fetchDemoData: () => void;
};
const COMMAND = path.resolve('bin/bootseal.js');
/** Milliseconds: many times what it takes when the machine does nothing else. */
const DEADLINE = 300_000;

describeWith(GUEST, 'lab demo', () => {
  const at = useLabFolder();

  /** Starts it; `seen` is done when standard output has `text`. */
  function start(...more: string[]) {
    const args = [COMMAND, 'lab', 'demo', '--system', GUEST_TREE, '--firmware', 'fw', ...more];
    const child = spawn(process.execPath, args, {
      cwd: at('.'),
      env: { ...process.env, TMPDIR: at('tmp') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (bytes: Buffer) => {
      stdout += bytes.toString();
    });
    child.stderr.on('data', (bytes: Buffer) => {
      stderr += bytes.toString();
    });
    const ended = new Promise<{ status: number | null; signal: string | null; stdout: string; stderr: string }>(
      (resolve) => child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr })),
    );
    const seen = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => stdout.includes(text) && resolve();
        child.stdout.on('data', look);
        look();
        void ended.then(() => reject(new Error(`it ended: ${stdout}${stderr}`)));
      });
    return { child, ended, seen };
  }
  const machines = () => spawnSync('pgrep', ['-f', `qemu-system-x86_64.*${at('.')}`], { encoding: 'utf8' }).stdout;
  function expectNothingLeft() {
    expect(machines()).toBe('');
    expect(fs.readdirSync(at('tmp'))).toEqual([]);
  }

  it(
    'shows under the rules of SEV-ES a guest that runs on its encrypted disk, and three hosts that are refused, on one screen',
    async () => {
      const { status, stdout, stderr } = await start().ended;
      expect(status, stdout + stderr).toBe(0);
      expect(stderr).toBe('');
      expect(stdout).toMatch(/^ {3}\| root is \/dev\/mapper\/root, ext4$/m);
      expect(stdout).toMatch(/^ {3}\| \/etc\/message says: only the encrypted disk has this sentence$/m);
      expect(stdout).toMatch(/^ {3}\| of the key 0 of 44 bytes are left in memory$/m);
      const [, attacks = ''] = stdout.split(/^5\. .*$/m);
      expect(attacks.match(/error: the launch measurement is not the expected one/g)).toHaveLength(3);
      expect(attacks.match(/\(exit status 1\)/g)).toHaveLength(3);
      const lines = stdout.split('\n');
      expect(lines.length).toBeLessThan(55);
      expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(130);
      // Where it matters: at the start, where the platform is made, where the key leaves, where the guest runs.
      expect(lines.filter((line) => /NOT encrypted/.test(line)).length).toBeGreaterThanOrEqual(5);
      expectNothingLeft();
    },
    DEADLINE,
  );

  it(
    'does the same under the rules of SEV, in JSON, and keeps files with which it can be repeated by hand',
    async () => {
      const { status, stdout, stderr } = await start('--platform', 'sev', '--json', '--keep', 'kept').ended;
      expect(status, stdout + stderr).toBe(0);
      const events = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(events.at(-1)).toMatchObject({ event: 'done', encrypted: false });
      expect(events.filter(({ event }) => event === 'guest')).toHaveLength(3);
      expect(events.filter(({ event, status }) => event === 'command' && status === 1)).toMatchObject(
        Array.from({ length: 3 }, () => ({ error: expect.stringContaining('not the expected one') })),
      );
      expectNothingLeft();
      const key = fs.readFileSync(at('kept/disk.key'), 'utf8');
      expect(stdout).not.toContain(key);
      expect(JSON.parse(fs.readFileSync(at('kept/launch/record.json'), 'utf8'))).toMatchObject({ platform: 'sev' });
      const again = ['launch', 'prepare', 'launch.yaml', '--lab', 'platform', '--out', 'again'];
      const accept = ['--accept-firmware', 'enforcing-some-unverified'];
      expect(await bootseal([...again, ...accept], at('kept'))).toMatchObject({ status: 0 });
      expect(
        await bootseal(['lab', 'demo', '--keep', 'kept', '--system', GUEST_TREE, '--firmware', 'fw'], at('.')),
      ).toMatchObject({
        status: 5,
        stderr: expect.stringContaining('kept exists already'),
      });
    },
    DEADLINE,
  );

  it.each([
    ['SIGINT', 'while the guest boots', '\n4. '],
    ['SIGTERM', 'while the disk is made', '\n1. '],
  ] as const)(
    'leaves no process and no file after %s %s',
    async (signal, _, text) => {
      const { child, ended, seen } = start('--keep', 'interrupted');
      await seen(text);
      child.kill(signal);
      const { signal: by, stderr } = await ended;
      expect({ by, stderr }).toEqual({ by: signal, stderr: '' });
      expectNothingLeft();
      expect(fs.readdirSync(at('.')).filter((name) => name.startsWith('interrupted'))).toEqual([]);
    },
    DEADLINE,
  );

  it(
    'is followed by the last lines of the tour of the README, as they stand there',
    async () => {
      // What `npm run demo` prepares; a test machine has QEMU and the guests' tree, and not yet the firmware.
      fetchDemoData();
      const readme = fs.readFileSync(path.resolve('README.md'), 'utf8');
      const lines = [...readme.matchAll(/^node "\$OLDPWD\/bin\/demo\.js" .*$/gm)].map(([line]) => line);
      expect(lines.map((line) => line.split(' ')[2])).toEqual(['up', 'attack']);
      expect((await start('--keep', 'tour').ended).status).toBe(0);
      for (const line of lines) {
        const ran = spawnSync('bash', ['-c', line], {
          cwd: at('tour'),
          env: { ...process.env, OLDPWD: path.resolve('.'), TMPDIR: at('tmp') },
          encoding: 'utf8',
        });
        expect(ran.status, ran.stderr).toBe(0);
      }
      expectNothingLeft();
    },
    2 * DEADLINE,
  );

  it('names all that is missing, with the command that installs it', async () => {
    fs.mkdirSync(at('empty/usr/bin'), { recursive: true });
    fs.writeFileSync(at('empty/usr/bin/busybox'), 'a small build, with insmod only');
    const ran = await bootseal(['lab', 'demo', '--system', 'empty', '--firmware', 'fw'], at('.'));
    expect(ran).toMatchObject({ status: 6, stdout: '' });
    expect(ran.stderr).toMatch(/a static busybox, cryptsetup, a kernel with its modules/);
    expect(ran.stderr).toMatch(
      /apt-get install --no-install-recommends busybox-static cryptsetup-bin linux-image-cloud-amd64$/m,
    );
  });

  it('says before its work that the folder to keep cannot be written', async () => {
    const words = ['lab', 'demo', '--system', GUEST_TREE, '--firmware', 'fw', '--keep', 'nowhere/kept'];
    expect(await bootseal(words, at('.'))).toMatchObject({
      status: 5,
      stdout: '',
      stderr: expect.stringMatching(/cannot write .*nowhere\/kept: no such file or directory/),
    });
  });

  it('refuses a firmware that checks nothing, and one that is not there', async () => {
    fs.writeFileSync(at('none'), Buffer.alloc(4096));
    const run = (firmware: string) =>
      bootseal(['lab', 'demo', '--system', GUEST_TREE, '--firmware', firmware], at('.'));
    expect((await run('none')).status).toBeGreaterThan(1);
    expect(await run('nowhere')).toMatchObject({ status: 5 });
    writeFirmware(at('generic'), 'debian-ovmf/OVMF_2026.08.fd');
    expect(await run('generic')).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('does not check what it boots'),
    });
  });
});
