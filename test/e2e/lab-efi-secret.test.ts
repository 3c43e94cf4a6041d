/** A whole launch in the lab with Linux's driver efi_secret, which stock Debian kernels do not have: `unlock` takes the key from securityfs. */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { makeRoot, SERVICE_SECRET } from './encrypted-root.ts';
import { DISK_MODULES, GUEST_DEADLINE } from './guest-machine.ts';
import { GUEST, kernelFile } from './guest-tree.ts';
import { MOUNTED, writeInitrd } from './initrd.ts';
import { ACCEPT, SECRET_AREA, writeFirmware } from './lab-guest-files.ts';

const { efiSecretModules } = createRequire(import.meta.url)('../../bin/setup/efi-secret-driver.js') as {
  efiSecretModules(): { readonly folder: string } | undefined;
};
const MODULES = efiSecretModules()?.folder ?? '/nonexistent';
const DRIVER = { ...GUEST, name: `${GUEST.name} or the driver efi_secret`, files: [...GUEST.files, MODULES] };

/** The driver learns from provide.ko where the area is, as it else would from the firmware's table (efi-secret/provide.c). */
const INIT = `${MOUNTED}exec >/dev/ttyS0 2>&1
while read -r module; do insmod "$module"; done < /modules
dd if=/location of=/dev/mem bs=4096 seek=$((0x10001)) conv=notrunc 2>/dev/null
insmod /provide.ko
insmod /efi_secret.ko
mount -t securityfs securityfs /sys/kernel/security
shown() { echo; echo "GUEST $1: $(ls /sys/kernel/security/secrets/coco | sort | tr '\\n' ' ')"; }
shown before
/usr/lib/bootseal/unlock && echo "GUEST opened: $(cryptsetup status root | grep cipher:)"
shown after
poweroff -f
`;

describeWith(DRIVER, "a launch whose kernel has Linux's driver of secrets", () => {
  let folder: string;
  let remove: () => void;
  const at = (name: string) => path.join(folder, name);

  beforeAll(async () => {
    ({ folder, remove } = scratch());
    await makeRoot(folder);
    writeFirmware(at('fw'));
    fs.writeFileSync(at('service'), SERVICE_SECRET.value);
    const location = Buffer.alloc(4096);
    location.writeBigUInt64LE(BigInt(SECRET_AREA), 0);
    location.writeBigUInt64LE(0xc00n, 8);
    const drivers = ['provide.ko', 'efi_secret.ko'].map((name) => [name, fs.readFileSync(path.join(MODULES, name))]);
    await writeInitrd(at('base'), {
      programs: ['bin/busybox', 'sbin/cryptsetup'],
      modules: DISK_MODULES,
      files: { init: INIT, location, ...Object.fromEntries(drivers) },
    });
    const words = ['initrd', 'add', '--base', 'base', '--with', 'unlock', '--out', 'initrd'];
    expect(await bootseal(words, folder)).toMatchObject({ status: 0 });
  }, 120_000);
  afterAll(() => remove());

  it.each([
    ['sev', 'nodbg,noks,nosend', ''],
    ['sev-es', 'nodbg,noks,nosend,es', 'cpu: EPYC-v4\n'],
  ])(
    'gives unlock the key under the rules of %s, and it is gone from the driver after',
    async (platform, policy, cpu) => {
      fs.writeFileSync(
        at('launch.yaml'),
        `platform: ${platform}
policy: ${policy}
firmware: fw
kernel: ${kernelFile()}
initrd: initrd
cmdline: console=ttyS0 panic=-1 quiet memmap=64K$0x10000000
${cpu}memory: 1024M
disk:
  image: root.disk
secrets:
  disk-passphrase: root.key
  ${SERVICE_SECRET.guid}: service
`,
      );
      const up = ['lab', 'up', 'launch.yaml', ...ACCEPT, '--json', '--deadline', `${GUEST_DEADLINE / 1000}`];
      const { status, stdout, stderr } = await bootseal(up, folder);
      expect(status, stdout + stderr).toBe(0);
      const lines = stdout
        .trim()
        .split('\n')
        .flatMap((line) => (JSON.parse(line) as { line?: string }).line ?? [])
        .filter((line) => line.startsWith('GUEST'))
        .map((line) => line.trim());
      expect(lines, stdout).toEqual([
        `GUEST before: ${DISK_PASSPHRASE} ${SERVICE_SECRET.guid}`,
        expect.stringMatching(/^GUEST opened: +cipher: +aes-xts-plain64$/),
        `GUEST after: ${SERVICE_SECRET.guid}`,
      ]);
    },
    GUEST_DEADLINE + 60_000,
  );
});
