import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { believedFirmware } from '../../src/cli/identify-firmware.ts';
import type { Io } from '../../src/cli/io.ts';
import { fixture } from '../fixtures.ts';
import { linuxKernel } from '../linux-kernel.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
const NOWHERE = 'ab'.repeat(48);

beforeEach(() => {
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'fw'), fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
  fs.writeFileSync(path.join(folder, 'k'), linuxKernel());
});
afterEach(remove);

const identify = (...args: readonly string[]) =>
  bootseal(['identify', NOWHERE, '--firmware', 'fw', '--threads', '1', ...args], folder);

it('identify refuses more combinations than it can hold', async () => {
  fs.writeFileSync(path.join(folder, 'other'), linuxKernel({ rest: 7 }));
  const lines = Array.from({ length: 2001 }, (_, i) => ['--cmdline', `a${i}`]).flat();
  const { status, stderr } = await identify('--kernel', 'k', '--kernel', 'other', ...lines);
  expect(status).toBe(2);
  expect(stderr).toContain('4002 combinations of --firmware, --kernel, --initrd and --cmdline: at most 4000');
});

it('identify refuses more lines of Kata Containers than it can hold', async () => {
  const lines = Array.from({ length: 6 }, (_, i) => ['--cmdline', `a${i}`]).flat();
  const { status, stderr } = await identify('--kernel', 'k', '--kata', '--vcpus', '240', ...lines);
  expect(status).toBe(2);
  expect(stderr).toMatch(/--kata makes [0-9]{5} command lines: at most 20000 are searched at once/);
  expect(stderr).toContain('hint: give a smaller number to --vcpus');
});

it('identify counts the lines of Kata Containers for each firmware', async () => {
  const other = fixture('sev-snp-measure/ovmf_OvmfX64_suffix.bin');
  fs.writeFileSync(path.join(folder, 'other'), other);
  const lines = Array.from({ length: 2 }, (_, i) => ['--cmdline', `a${i}`]).flat();
  const args = ['--kernel', 'k', '--kata', '--vcpus', '240', ...lines, '--cpu', 'EPYC-v4', '--profile', 'qemu'];
  const { status, stderr } = await identify(...args, '--firmware', 'other', '--budget', '1');
  expect(status).toBe(2);
  expect(stderr).toMatch(
    /--kata makes 19392 command lines for each of 2 firmware images: at most 20000 are searched at once/,
  );
});

it('identify refuses more firmware than it can hold, and counts none twice', async () => {
  const io = { cwd: folder } as Io;
  const size = fs.statSync(path.join(folder, 'fw')).size;
  fs.copyFileSync(path.join(folder, 'fw'), path.join(folder, 'same'));
  fs.writeFileSync(path.join(folder, 'other'), fixture('sev-snp-measure/ovmf_OvmfX64_suffix.bin'));
  const one = await believedFirmware(io, ['fw', 'same', 'fw'], size);
  expect(one.map(({ name }) => name)).toEqual(['fw']);
  await expect(believedFirmware(io, ['fw', 'same', 'other'], size)).rejects.toMatchObject({
    kind: 'usage',
    message: `--firmware: more than ${size} bytes of images in all, which are held in memory`,
  });
});

describe('identify --budget', () => {
  const many = ['--kernel', 'k', '--vcpus', '512'];
  for (let i = 0; i < 1000; i++) many.push('--cmdline', `a${i}`);

  it('ends a long search, prints what was covered, and is neither a match nor a mismatch', async () => {
    const { status, stdout, stderr } = await identify(...many, '--budget', '0.5');
    expect(status).toBe(2);
    expect(stderr).toContain('the budget of 0.5 s was used up before all launches were tried');
    const [, tried, of] =
      /^no match {3}so far, ([0-9]+) of at most ([0-9]+) launches tried, then the budget of 0\.5 s was used up$/m.exec(
        stdout,
      ) ?? [];
    expect(Number(of)).toBeGreaterThan(1e9);
    expect(Number(tried)).toBeLessThan(Number(of));
    expect(stderr).toContain(`note: up to ${of} launches are tried: --cpu, --vcpus,`);
    expect(stdout).toMatch(/^(part of|not tried) {2}/m);
    const json = await identify(...many, '--budget', '0.5', '--json');
    expect(json.status).toBe(2);
    expect(JSON.parse(json.stdout)).toMatchObject({ match: null, stopped: true });
  });

  it('does not change a search that is done before, and says nothing of a short one', async () => {
    const { status, stdout, stderr } = await identify('--cpu', 'EPYC-v4', '--vcpus', '2', '--budget', '600');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^no match {3}[0-9]+ launches tried$/m);
    expect(stderr).not.toContain('launches are tried');
  });

  it.each(['0', '-1', 'x', '1e3', '2000001', ''])('refuses %j', async (budget) => {
    const { status, stderr } = await identify('--budget', budget);
    expect(status).toBe(2);
    expect(stderr).toContain('it is a number of seconds above 0');
  });
});

describe('identify --tik, when the search was stopped', () => {
  const evidence = Buffer.concat([Buffer.alloc(32, 1), Buffer.alloc(16, 2)]).toString('hex');
  const args = ['identify', evidence, '--tik', 'tik', '--policy', '5', '--api-major', '1', '--threads', '1'];

  beforeEach(() => fs.writeFileSync(path.join(folder, 'tik'), Buffer.alloc(16, 7)));

  it('does not say that what the platform may have signed was covered', async () => {
    const { stdout } = await bootseal([...args, '--firmware', 'fw', '--budget', '1'], folder);
    expect(stdout).toContain('part of    policies 0x5, API 1.40 to 1.63, builds 0 to 255\n');
    expect(stdout).not.toContain('covered    policies');
  });

  it.each([[], ['--json']])('says nothing of it where nothing was tried: %j', async (...more) => {
    const late = (async function* () {
      await new Promise((resolve) => setTimeout(resolve, 100));
      yield fs.readFileSync(path.join(folder, 'fw'));
    })();
    const stopped = [...args, '--firmware', '-', '--budget', '0.05', ...more];
    const { stdout } = await bootseal(stopped, folder, { stdin: late });
    if (more.length > 0) {
      expect(JSON.parse(stdout)).toMatchObject({ tried: 0, stopped: true, covered: { signed: null } });
    } else {
      expect(stdout).toContain('no match   so far, 0 of at most');
      expect(stdout).not.toContain('policies');
    }
  });
});
