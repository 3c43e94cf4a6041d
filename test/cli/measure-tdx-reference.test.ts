/** `measure tdx --reference rvps`: what Trustee's default policy asks for, and where it goes. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const BOOT = ['--firmware', 'fw', '--kernel', 'linux', '--initrd', 'initrd', '--cmdline', 'console=ttyS0 quiet'];
const measure = (...args: readonly string[]) => bootseal(['measure', 'tdx', ...args], folder);
const payloadOf = (text: string) => JSON.parse(Buffer.from(JSON.parse(text).payload, 'base64').toString());

beforeAll(() => {
  fs.writeFileSync(at('fw'), fixture('debian-ovmf/OVMF_2025.02-8+deb13u1.fd'));
  fs.writeFileSync(at('linux'), fixture('tdx-boot/linux.efi'));
  fs.writeFileSync(at('initrd'), 'an initrd');
});

it('has the registers and the digests of the events of kernel and load options', async () => {
  const { results } = JSON.parse((await measure(...BOOT, '--json')).stdout);
  const [{ digest, rtmrs, events }] = results;
  const kernel = events.find(({ type }: { type: string }) => type === 'EV_EFI_BOOT_SERVICES_APPLICATION');
  const options = Buffer.from('console=ttyS0 quiet initrd=initrd\0', 'utf16le');
  expect(payloadOf((await measure(...BOOT, '--reference', 'rvps')).stdout)).toEqual({
    mr_td: [digest],
    rtmr_1: [rtmrs[1].value],
    rtmr_2: [rtmrs[2].value],
    tdvfkernel: kernel.digest,
    tdvfkernelparams: createHash('sha384').update(options).digest('hex'),
  });
});

it('has no load options where the stub gets none', async () => {
  const boot = ['--firmware', 'fw', '--kernel', 'linux', '--reference', 'rvps'];
  const payload = payloadOf((await measure(...boot)).stdout);
  expect(Object.keys(payload)).toEqual(['mr_td', 'rtmr_1', 'rtmr_2', 'tdvfkernel']);
});

it('says what the policy asks for besides', async () => {
  const { stderr } = await measure(...BOOT, '--reference', 'rvps');
  expect(stderr).toMatch(/note: Trustee's default policy also asks for xfam/);
});

it('goes to a new file, and takes the place of one with --force, never of one that is read', async () => {
  const reference = [...BOOT, '--reference', 'rvps'];
  const printed = (await measure(...reference)).stdout;
  expect(await measure(...reference, '--out', 'rvps.json')).toMatchObject({ status: 0, stdout: '' });
  expect(fs.readFileSync(at('rvps.json'), 'utf8')).toBe(printed);
  expect(await measure(...reference, '--out', 'rvps.json')).toMatchObject({ status: 5 });
  fs.writeFileSync(at('rvps.json'), 'old');
  expect(await measure(...reference, '--out', 'rvps.json', '--force')).toMatchObject({ status: 0 });
  expect(fs.readFileSync(at('rvps.json'), 'utf8')).toBe(printed);
  expect(await measure(...reference, '--out', '-')).toMatchObject({ status: 0, stdout: printed });
  fs.mkdirSync(at('fw_cfg/etc/boot-menu-wait'), { recursive: true });
  for (const name of ['smbios', 'order', 'line', 'loader', 'fw_cfg/etc/boot-menu-wait/raw']) {
    fs.writeFileSync(at(name), 'read');
  }
  const given = ['--smbios', 'smbios', '--boot-variable', 'BootOrder=order', '--fw-cfg', 'fw_cfg'];
  const acpi = ['--acpi-loader', 'loader', '--acpi-rsdp', 'loader', '--acpi-tables', 'loader'];
  const cases: [string, string[]][] = [
    ...['fw', 'linux', 'initrd', 'smbios', 'order', 'fw_cfg/etc/boot-menu-wait/raw'].map((name): [string, string[]] => [
      name,
      [...BOOT, ...given],
    ]),
    ['loader', [...BOOT, ...acpi]],
    ['line', [...BOOT.slice(0, 6), '--cmdline-file', 'line']],
  ];
  for (const [name, options] of cases) {
    const before = fs.readFileSync(at(name));
    const ran = await measure(...options, '--reference', 'rvps', '--out', name, '--force');
    expect(ran, ran.stderr).toMatchObject({ status: 2, stderr: expect.stringMatching(/would be written/) });
    expect(fs.readFileSync(at(name)).equals(before)).toBe(true);
  }
});

it('is what --out and --force go with', async () => {
  for (const args of [['--out', 'no'], ['--force']]) {
    expect(await measure(...BOOT, ...args)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('--out and --force go with --reference'),
    });
  }
});
