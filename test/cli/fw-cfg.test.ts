/** `--fw-cfg`: a copy that was made without -L has links that lead nowhere, which is not what a host without the items has. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (...names: readonly string[]) => path.join(folder, ...names);
const measure = (copy: string) =>
  bootseal(['measure', 'tdx', '--firmware', 'fw', '--kernel', 'linux', '--fw-cfg', copy], folder);
const LINK = '../by_key/45';
const RAW: Readonly<Record<string, Uint8Array>> = {
  'etc/table-loader': fixture('tdx-boot/table-loader.bin'),
  'etc/acpi/rsdp': Buffer.from('RSD PTR 0123456789ab'),
  'etc/acpi/tables': Buffer.from('DSDT'),
  'etc/boot/kernel': Buffer.from('MZ'),
};

beforeAll(() => {
  fs.writeFileSync(at('fw'), fixture('debian-ovmf/OVMF_2025.02-8+deb13u1.fd'));
  fs.writeFileSync(at('linux'), fixture('tdx-boot/linux.efi'));
  for (const copy of ['whole', 'item', 'shim', 'all']) {
    for (const [name, raw] of Object.entries(RAW)) {
      const parent = path.dirname(at(copy, name));
      fs.mkdirSync(parent, { recursive: true });
      if (copy === 'all') fs.symlinkSync(LINK, at(copy, name));
      else {
        fs.mkdirSync(at(copy, name));
        fs.writeFileSync(at(copy, name, 'raw'), raw);
      }
    }
  }
  fs.symlinkSync(LINK, at('item', 'bootorder'));
  fs.symlinkSync(LINK, at('shim', 'etc/boot/shim'));
});

it('is read where it is whole', async () => {
  expect(await measure('whole')).toMatchObject({ status: 0 });
});

it.each([
  ['item', 'item/bootorder'],
  ['all', 'all/etc/table-loader'],
])('is refused where it has a link alone (%s)', async (copy, item) => {
  const { status, stdout, stderr } = await measure(copy);
  expect({ status, stdout }).toEqual({ status: 3, stdout: '' });
  expect(stderr).toContain(`${item}: the item is there, and its contents (raw) are not`);
  expect(stderr).toContain('cp -rL /sys/firmware/qemu_fw_cfg/by_name fw_cfg');
});

it('counts a link as an item that the firmware looks at', async () => {
  const { status, stderr } = await measure('shim');
  expect(status).toBe(2);
  expect(stderr).toContain('etc/boot/shim');
});
