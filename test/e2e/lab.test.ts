/** The lab from end to end: real QEMU, real firmware, a real kernel, and a guest that finds its secret in memory. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { findProfile } from '../../src/core/measurement/profiles.ts';
import { QmpClient } from '../../src/host/qmp/client.ts';
import { followConsole } from '../../src/lab/console.ts';
import { type BootedKernel, type LabGuest, startLab } from '../../src/lab/machine.ts';
import { openLabPlatform } from '../../src/lab/psp/platform.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST, kernelFile } from './guest-tree.ts';
import { ACCEPT, shownMemory, writeFirmware, writeLabInitrd } from './lab-guest-files.ts';

const DEADLINE = 240_000;
const LOOKS = 21;
const PASSPHRASE = 'correct horse battery';

/** Returns where the processor is, LOOKS times, from `start` milliseconds on. */
async function watch(client: QmpClient, start: number): Promise<readonly bigint[]> {
  await setTimeout(start);
  const places: bigint[] = [];
  for (let i = 0; i < LOOKS; i++) {
    const shown = await client.execute('human-monitor-command', { 'command-line': 'info registers' });
    places.push(BigInt(`0x${/\bRIP=([0-9a-f]{16})/.exec(`${shown}`)?.[1]}`));
    await setTimeout(190);
  }
  return places;
}

describeWith(GUEST, 'a guest of the lab', () => {
  let folder: string;
  let remove: () => void;
  const at = (name: string) => path.join(folder, name);

  beforeAll(async () => {
    ({ folder, remove } = scratch());
    writeFirmware(at('fw'));
    await writeLabInitrd(at('initrd'));
    await writeLabInitrd(at('evil-initrd'), 'another file');
    fs.writeFileSync(at('pass.secret'), PASSPHRASE);
    const lines = ['platform: sev-es', 'policy: [nodbg, noks, nosend, es]', 'firmware: fw', `kernel: ${kernelFile()}`];
    const more = ['initrd: initrd', 'cmdline: console=ttyS0 quiet', 'vcpus: 2', 'cpu: EPYC-v4', 'memory: 512M'];
    fs.writeFileSync(at('launch.yaml'), [...lines, ...more, 'secrets:', '  disk-passphrase: pass.secret\n'].join('\n'));
  });
  afterAll(() => remove());
  // Of its own: other tests start guests at the same time.
  beforeEach(() => {
    fs.mkdirSync(at('tmp'));
    vi.stubEnv('TMPDIR', at('tmp'));
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    fs.rmSync(at('tmp'), { recursive: true });
  });

  it(
    'finds the secret where its firmware says, and leaves nothing behind',
    async () => {
      const ran = await bootseal(['lab', 'up', 'launch.yaml', ...ACCEPT, '--json', '--deadline', '200'], folder);
      expect(ran.status, `${ran.stdout}${ran.stderr}`).toBe(0);
      const events = ran.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(events.filter(({ event }) => event !== 'console')).toMatchObject([
        { event: 'paused', encrypted: false },
        { event: 'injected', secrets: ['736869e5-84f0-4973-92ec-06879ce3da0b'] },
        { event: 'ended' },
      ]);
      const lines = events.flatMap(({ line }) => line ?? []);
      expect(lines.join('\n')).toContain('bootseal.secret=0x810000,0xc00');
      const memory = shownMemory(lines);
      expect(memory.subarray(0, 4).toString('hex')).toBe('42f5741e');
      expect(memory.includes(PASSPHRASE)).toBe(true);
      expect(ran.stderr).toContain('NOT encrypted');
      expect(fs.readdirSync(at('tmp'))).toEqual([]);
    },
    DEADLINE,
  );

  it(
    'does not start when its initrd is another than the one in the hash table, also when nobody verifies',
    async () => {
      const boot: BootedKernel = {
        kernel: kernelFile(),
        initrd: at('initrd'),
        cmdline: Buffer.from('console=ttyS0 quiet'),
      };
      const guest: Omit<LabGuest, 'boot'> = {
        platform: await openLabPlatform(at('lab')),
        policy: 1,
        owner: undefined,
        firmware: at('fw'),
        profile: findProfile('qemu'),
        cpu: { signature: 0, features: 0n },
        vcpus: 1,
        memory: 512,
        disks: [],
      };
      const run = async (over: Pick<LabGuest, 'boot' | 'hashed'>, name: string, deadline: number, look?: number) => {
        fs.mkdirSync(at(name));
        const machine = await startLab({ ...guest, ...over }, { folder: at(name), qmp: at(`${name}/qmp`), deadline });
        const lines: string[] = [];
        try {
          const client = await QmpClient.connect(at(`${name}/qmp`));
          await client.execute('cont');
          const start = Date.now();
          const watched = look === undefined ? undefined : watch(client, look);
          await followConsole(machine.console, machine.ended, (line) => lines.push(line));
          client.close();
          return {
            lines: lines.join('\n'),
            end: await machine.ended,
            time: Date.now() - start,
            digest: machine.digest,
            places: await watched,
          };
        } finally {
          await machine.stop();
        }
      };
      const good = await run({ boot }, 'good', 120_000);
      expect(good).toMatchObject({ end: 'ended', lines: expect.stringContaining('GUEST command line') });
      // The platform measures the same, since the host put the right hashes into memory.
      const evil = await run(
        { boot: { ...boot, initrd: at('evil-initrd') }, hashed: boot },
        'evil',
        good.time + 10_000,
        good.time,
      );
      expect(evil.digest).toEqual(good.digest);
      expect(evil.end).toBe('deadline');
      expect(evil.lines).not.toContain('GUEST');
      // Debian's firmware says nothing when it halts (edk2, CpuDeadLoop): it stays at a few instructions of its own, for
      // ever, but for its timer's interrupts, which some of the looks meet.
      const places = (evil.places ?? []).toSorted((a, b) => Number(a - b));
      expect(places).toHaveLength(LOOKS);
      const middle = places[(LOOKS - 1) / 2] ?? 0n;
      const halted = places.filter((place) => Math.abs(Number(place - middle)) < 64);
      expect(halted.length, places.map((place) => place.toString(16)).join(' ')).toBeGreaterThan(LOOKS / 2);
      expect(middle).toBeLessThan(512n << 20n);
    },
    DEADLINE,
  );
});
