/** The lab's commands where nothing is started: places that cannot be written, and what is refused before. */
import * as fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { keepFiles } from '../../src/cli/lab-demo.ts';
import { writeNewFile } from '../../src/host/new-file.ts';
import { checkNewFolder, writeNewFolder } from '../../src/host/new-folder.ts';
import { fixture } from '../fixtures.ts';
import { bootseal, scratch } from './script.ts';

let folder: string;
let remove: () => void;
const at = (name: string) => path.join(folder, name);
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.mkdirSync(at('tmp'));
  vi.stubEnv('TMPDIR', at('tmp'));
  // QEMU as far as it is looked for.
  fs.mkdirSync(at('bin'));
  fs.writeFileSync(at('bin/qemu-system-x86_64'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  vi.stubEnv('PATH', `${at('bin')}:${process.env['PATH']}`);
  fs.writeFileSync(at('fw'), fixture('debian-ovmf/OVMF.amdsev_2026.08.fd'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  remove();
});
const lab = (...args: readonly string[]) => bootseal(['lab', ...args], folder);

it.each([
  ['up', ['up', 'launch.yaml']],
  ['attack', ['attack', '--firmware', 'fw']],
] as const)('%s says that its temporary files have no place', async (_, args) => {
  vi.stubEnv('TMPDIR', at('nowhere'));
  const { status, stderr } = await lab(...args);
  expect(stderr).toMatch(
    new RegExp(`^bootseal: error: cannot write ${at('nowhere')}: no such file or directory\nbootseal: hint: .*TMPDIR`),
  );
  expect(status).toBe(5);
});

it('up opens no socket whose path is too long, before it does anything', async () => {
  const { status, stderr } = await lab('up', 'nowhere.yaml', '--qmp', 'x'.repeat(108));
  expect(stderr).toMatch(/^bootseal: error: the path of a socket has at most 107 bytes, not /);
  expect(status).toBe(2);
});

it('up makes no platform for a launch that was prepared for another', async () => {
  const { status, stderr } = await lab('up', 'launch.yaml', '--lab', 'typo', '--launch', 'launch');
  expect(stderr).toMatch(
    new RegExp(`^bootseal: error: there is no platform in ${at('typo')}\nbootseal: hint: give --lab the folder`),
  );
  expect(status).toBe(5);
  expect(fs.existsSync(at('typo'))).toBe(false);
});

it('up advises what it has when the policy lets the host read the guest', async () => {
  fs.writeFileSync(at('kernel'), 'kernel');
  fs.writeFileSync(at('launch.yaml'), 'platform: sev\npolicy: noks\nfirmware: fw\nkernel: kernel\n');
  const { status, stderr } = await lab('up', 'launch.yaml', '--accept-firmware', 'enforcing-some-unverified');
  expect(status).toBe(2);
  expect(stderr).toMatch(/error: policy noks lets the host read and change the guest's memory\n.*hint: add nodbg /);
  expect(stderr).not.toContain('--insecure-allow-debug');
});

it('demo keeps its files under the longest name that there is, and refuses a longer one at once', async () => {
  fs.writeFileSync(at('tmp/file'), 'kept');
  const longest = at('x'.repeat(255));
  await keepFiles(at('tmp'), longest);
  expect(fs.readFileSync(path.join(longest, 'file'), 'utf8')).toBe('kept');
  expect(fs.readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
  const tooLong = { kind: 'io', message: expect.stringMatching(/: the name is too long$/) };
  await expect(keepFiles(at('tmp'), `${longest}x`)).rejects.toMatchObject(tooLong);
  await expect(checkNewFolder(`${longest}x`, [])).rejects.toMatchObject(tooLong);
  await expect(writeNewFile(`${longest}x`, '', 0o600)).rejects.toMatchObject(tooLong);
  // Beside it another name is needed for a while.
  await expect(writeNewFile(at('y'.repeat(250)), '', 0o600)).rejects.toMatchObject(tooLong);
  await expect(writeNewFolder(at('y'.repeat(250)), [])).rejects.toMatchObject(tooLong);
});

it('up refuses to end a guest at once', async () => {
  expect(await lab('up', 'launch.yaml', '--deadline', '0')).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/--deadline 0 .*\n.*hint: give it at least a second/),
  });
});

it('attack says what it needs itself', async () => {
  // No program can be run.
  const none = vi.spyOn(process.getBuiltinModule('node:fs'), 'accessSync').mockImplementation(() => {
    throw new Error('EACCES');
  });
  syncBuiltinESMExports();
  const { status, stderr } = await lab('attack', '--firmware', 'fw').finally(() => {
    none.mockRestore();
    syncBuiltinESMExports();
  });
  expect(status).toBe(6);
  expect(stderr).toContain('the attacks need what is not on this machine, or not in /: qemu-system-x86_64');
});

it('attack leaves nothing when the firmware is none', async () => {
  fs.writeFileSync(at('vmlinuz'), Buffer.alloc(1 << 20, 'kernel'));
  const ran = await lab('attack', '--firmware', 'vmlinuz');
  expect(ran.status, ran.stderr).not.toBe(0);
  expect(ran.status).not.toBe(70);
  expect(fs.readdirSync(at('tmp'))).toEqual([]);
});
