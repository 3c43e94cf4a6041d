import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readGuestTable } from '../../src/core/guest/table.ts';
import { hexToBytes } from '../../src/core/hex.ts';
import { scratch } from '../cli/script.ts';
import { vectors } from '../fixtures.ts';
import { secretArea } from '../guest-tree.ts';
import { describeWith } from '../needs.ts';
import { makeRoot, type RootDisk, SERVICE_SECRET } from './encrypted-root.ts';
import { GUEST_DEADLINE, runScript } from './guest-machine.ts';
import { GUEST } from './guest-tree.ts';

const TEMPLATES = path.join(import.meta.dirname, '..', '..', 'templates', 'guest');
const { efiSecretModules } = createRequire(import.meta.url)('../../bin/setup/efi-secret-driver.js') as {
  efiSecretModules(): { readonly folder: string } | undefined;
};
const MODULES = efiSecretModules()?.folder ?? '/nonexistent';
const DRIVER = { ...GUEST, name: `${GUEST.name} or the driver efi_secret`, files: [...GUEST.files, MODULES] };

const { cases } = vectors<{ linux_efi_secret_conformance: { cases: { id: string; area: string }[] } }>(
  'secret.json',
).linux_efi_secret_conformance;
const AREA_SIZE = 0xc00;
const PAGE = 4096;

/** More than the driver shows, and none of them the disk's key. */
const MANY = Array.from(
  { length: 70 },
  (_, i) => [`00000001-0000-0000-0000-0000000000${(i + 16).toString(16)}`, `the secret ${i}`] as const,
);

const page = (bytes: Uint8Array): Buffer => Buffer.concat([bytes, Buffer.alloc(PAGE - bytes.length)]);

/** Shows each area to the driver, then opens the disk with what the driver gives. provide.c says where things are. */
const script = (words: string): string => `
mkdir -p /usr/lib/bootseal/modules
cp /templates/* /usr/lib/bootseal/
cp /efi_secret.ko /usr/lib/bootseal/modules/00-efi_secret.ko
put() { dd if=$1 of=/dev/mem bs=${PAGE} seek=$2 conv=notrunc 2>/dev/null; }
put /location $((0x10001))
insmod /provide.ko
mount -t securityfs securityfs /sys/kernel/security
for name in $(ls /areas); do
  put "/areas/$name" $((0x10000))
  insmod /efi_secret.ko
  echo "$name $(ls /sys/kernel/security/secrets/coco 2>/dev/null | sort | tr '\\n' ' ')"
  rmmod efi_secret
done
umount /sys/kernel/security
echo '${words} bootseal.on-failure=emergency' > /run/cmdline
for name in right wrong many; do
  put /tables/$name $((0x10000))
  insmod /efi_secret.ko
  mount --bind /run/cmdline /proc/cmdline
  /usr/lib/bootseal/unlock
  echo "unlock-$name $? $(ls /sys/kernel/security/secrets/coco | tr '\\n' ' ')"
  umount /proc/cmdline
  cryptsetup close root 2>/dev/null
  echo "area-$name $(dd if=/dev/mem bs=${PAGE} skip=$((0x10000)) count=1 2>/dev/null | head -c ${AREA_SIZE} | xxd -p -c ${AREA_SIZE})"
  rmmod efi_secret
done
`;

describeWith(DRIVER, "Linux's own driver of secrets", () => {
  let folder: string;
  let remove: () => void;
  let root: RootDisk;
  let report: Map<string, string>;
  beforeAll(async () => {
    ({ folder, remove } = scratch());
    root = await makeRoot(folder);
    const location = Buffer.alloc(16);
    location.writeBigUInt64LE(0x10000000n, 0);
    location.writeBigUInt64LE(BigInt(AREA_SIZE), 8);
    const lines = await runScript(folder, {
      script: script(root.words),
      files: {
        'provide.ko': fs.readFileSync(path.join(MODULES, 'provide.ko')),
        'efi_secret.ko': fs.readFileSync(path.join(MODULES, 'efi_secret.ko')),
        location: page(location),
        'tables/right': page(root.secrets),
        'tables/wrong': page(root.wrongSecrets),
        'tables/many': page(secretArea(MANY, AREA_SIZE)),
        ...Object.fromEntries(
          ['unlock', 'secrets.sh', 'credentials.sh', 'end.sh'].map((name) => [
            `templates/${name}`,
            fs.readFileSync(path.join(TEMPLATES, name)),
          ]),
        ),
        ...Object.fromEntries(cases.map(({ id, area }) => [`areas/${id}`, page(hexToBytes(area))])),
      },
      disks: [{ file: root.file, serial: 'root' }],
      cmdline: 'memmap=64K$0x10000000',
    });
    report = new Map(lines.map((line) => [line.split(' ')[0] ?? '', line.split(' ').slice(1).join(' ').trim()]));
  }, GUEST_DEADLINE + 60_000);
  afterAll(() => remove());

  it.each(cases)('shows of $id what our reader of tables says', ({ id, area }) => {
    const { shown } = readGuestTable(page(hexToBytes(area)).subarray(0, AREA_SIZE));
    const expected = shown.map(({ guid }) => guid).sort();
    expect(report.get(id)).toBe(expected.join(' '));
  });

  it('gives unlock the key, and erases it when its file is removed', () => {
    expect(report.get('unlock-right')).toBe(`0 ${SERVICE_SECRET.guid}`);
    const area = Buffer.from(report.get('area-right') ?? '', 'hex');
    expect(area.includes(root.key)).toBe(false);
    expect(area.includes(SERVICE_SECRET.value)).toBe(true);
  });

  it('has nothing left after a key that does not open the disk', () => {
    expect(report.get('unlock-wrong')).toBe('1');
    const area = Buffer.from(report.get('area-wrong') ?? '', 'hex');
    expect(area).toHaveLength(AREA_SIZE);
    expect(area.includes('staple')).toBe(false);
    expect(area.includes(SERVICE_SECRET.value)).toBe(false);
  });
  it('has nothing left of more secrets than it shows: it is loaded again, and looked at again', () => {
    expect(report.get('unlock-many')).toBe('1');
    const area = Buffer.from(report.get('area-many') ?? '', 'hex');
    expect(area).toHaveLength(AREA_SIZE);
    expect(area.includes('the secret')).toBe(false);
  });
});
