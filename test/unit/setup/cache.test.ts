/** The set-up where its cache cannot be written, and where PATH has what cannot be run. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
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
  const options = { encoding: 'utf8', env: { ...rest, XDG_CACHE_HOME: cache, ...env } } as const;
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
