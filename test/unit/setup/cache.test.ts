/** The set-up where its cache cannot be written, and where PATH has what cannot be run. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scratch } from '../../cli/script.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(path.join(folder, 'file'), '');
});
afterEach(() => remove());

/** Runs `script` with a file where the cache should be. */
function setUp(script: string, env: Readonly<Record<string, string>> = {}) {
  const cache = path.join(folder, 'file');
  const { CI, ...rest } = process.env;
  const options = { encoding: 'utf8', env: { ...rest, XDG_CACHE_HOME: cache, ...env }, timeout: 20_000 } as const;
  return { cache, ...spawnSync(process.execPath, ['-e', script], options) };
}

it('says for the demo that the cache cannot be written, and where it could be', () => {
  const { status, stderr, cache } = setUp("require('./bin/setup/demo-data.js').fetchDemoData()");
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(
      new RegExp(`^setup: error: cannot write ${cache}/bootseal: .*\nsetup: hint: .*XDG_CACHE_HOME.*\n$`),
    ),
  });
});

it('goes on to the tests without a cache: those that need it are skipped, and fail in CI', () => {
  const script =
    "require('./bin/setup/guest-packages.js').fetchGuestPackages(); require('./bin/setup/efi-secret-driver.js').buildEfiSecret()";
  const { status, stderr, cache } = setUp(script);
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: expect.stringMatching(
      new RegExp(`^setup: cannot write ${cache}/bootseal: .*; the tests that need it are skipped\nsetup: hint: .*\n$`),
    ),
  });
  expect(setUp(script, { CI: 'true' })).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^setup: error: cannot write /),
  });
});

it('takes a program for missing when PATH has none that may be run', () => {
  fs.mkdirSync(path.join(folder, 'bin'));
  fs.writeFileSync(path.join(folder, 'bin', 'no-such-program'), '', { mode: 0o644 });
  const script = "console.log(require('./bin/setup/steps.js').attempt('no-such-program', []).missing)";
  expect(setUp(script, { PATH: path.join(folder, 'bin') })).toMatchObject({ stdout: 'true\n' });
  fs.chmodSync(path.join(folder, 'bin', 'no-such-program'), 0o755);
  expect(setUp(script, { PATH: path.join(folder, 'bin') })).toMatchObject({ stdout: 'false\n' });
});

it.each([
  ['a folder', (file: string) => fs.mkdirSync(file)],
  ['a link that leads to itself', (file: string) => fs.symlinkSync(file, file)],
  ['a pipe', (file: string) => spawnSync('mkfifo', [file])],
])('names the cached firmware that cannot be read, and what to do: %s', (_, make) => {
  const file = path.join(folder, 'bootseal', 'OVMF.amdsev.fd');
  fs.mkdirSync(path.dirname(file));
  make(file);
  const script = "require('./bin/setup/demo-data.js').fetchDemoData()";
  const { status, stderr } = setUp(script, { XDG_CACHE_HOME: folder });
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(
      new RegExp(`^setup: error: cannot read ${file}: .*\nsetup: hint: remove it: .*rm -r ${file}\\)\n$`),
    ),
  });
});

it('refuses a cache below /proc at once', () => {
  const script = "console.log(JSON.stringify(require('./bin/setup/package-tree.js').inCache(() => undefined)))";
  const options = { encoding: 'utf8', env: { ...process.env, XDG_CACHE_HOME: '/proc/none' }, timeout: 10_000 } as const;
  const { stdout, signal } = spawnSync(process.execPath, ['-e', script], options);
  expect(signal).toBeNull();
  expect(JSON.parse(stdout)).toEqual({
    message: 'cannot write /proc/none/bootseal: ENOENT: no such file or directory',
    hint: expect.stringContaining('XDG_CACHE_HOME'),
  });
});

describe('a download that is broken off', () => {
  const cached = () => fs.readdirSync(path.join(folder, 'bootseal'));
  const script = "require('./bin/setup/guest-packages.js').fetchGuestPackages(true)";

  /** Starts it with an apt-get that does not end, and sends a signal when it has begun: to the group, as a terminal, or to the process. */
  async function brokenOff(signal: NodeJS.Signals, isGroup: boolean) {
    fs.mkdirSync(path.join(folder, 'bin'));
    const apt = '#!/bin/sh\nexec sleep 30\n';
    fs.writeFileSync(path.join(folder, 'bin', 'apt-get'), apt, { mode: 0o755 });
    const env = { ...process.env, XDG_CACHE_HOME: folder, PATH: `${folder}/bin:${process.env['PATH']}` };
    const child = spawn(process.execPath, ['-e', script], { env, detached: true, stdio: 'ignore' });
    const ended = new Promise<number | string | null>((resolve) =>
      child.on('close', (status, by) => resolve(status ?? by)),
    );
    const pid = child.pid ?? 0;
    const children = () => fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    while (children() === '' || !fs.readFileSync(`/proc/${children()}/cmdline`, 'utf8').startsWith('sleep'))
      await new Promise((resolve) => setTimeout(resolve, 20));
    expect(cached()).toHaveLength(1);
    process.kill(isGroup ? -pid : pid, signal);
    const status = await ended;
    const left = cached();
    if (!isGroup) process.kill(-pid, 'SIGKILL');
    return { status, left };
  }

  it('leaves nothing after Ctrl-C', async () => {
    expect(await brokenOff('SIGINT', true)).toEqual({ status: 130, left: [] });
  });

  it('leaves to the next one what a kill has left', async () => {
    const { status, left } = await brokenOff('SIGKILL', false);
    expect({ status, left }).toEqual({ status: 'SIGKILL', left: [expect.stringMatching(/^part-/)] });
    // Of one that goes on, and of another machine, nothing is removed.
    const others = [(left[0] ?? '').replace(/\d+(-\w+)$/, `${process.pid}$1`), 'part-elsewhere-1-abcdef'];
    for (const name of others) fs.mkdirSync(path.join(folder, 'bootseal', name));
    const next = "require('./bin/setup/package-tree.js').inCache(() => undefined)";
    expect(setUp(next, { XDG_CACHE_HOME: folder })).toMatchObject({ status: 0, stderr: '' });
    expect(cached().sort()).toEqual(others.sort());
  });
});
