import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readGuestTable } from '../../src/core/guest/table.ts';
import { buildSecretTable } from '../../src/core/secret/table.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { buildDevmem, dracutWithUnits, installedTree } from './distribution-initrd.ts';
import { encryptRoot, SERVICE_SECRET } from './encrypted-root.ts';
import { GUEST_DEADLINE } from './guest-machine.ts';
import { GUEST, inTree, withLibraries } from './guest-tree.ts';
import { REPORT, runMeasured, SECRET_WORD } from './measured-machine.ts';

const WITH_COMPILER = { ...GUEST, name: `${GUEST.name} or a C compiler`, files: [...GUEST.files, '/usr/bin/gcc'] };

const NAME = 'db.password';
const WORDS = `bootseal.credentials=${NAME}:${SERVICE_SECRET.guid} systemd.import_credentials=no`;
/** As the host would give systemd a credential of that name (systemd.exec(5), LoadCredential=). */
const HOSTS = ['-smbios', `type=11,value=io.systemd.credential:${NAME}=of the host`];

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A service that says on the console what it was given; never the secret itself. */
const consumer = (credential: string, more = ''): string => `[Service]
Type=oneshot
LoadCredential=${credential}
ExecStart=/bin/sh -c 'echo "<3>consumer: $$(sha256sum <$$CREDENTIALS_DIRECTORY/${NAME}) $$(ls -ln $$CREDENTIALS_DIRECTORY/${NAME})" >/dev/kmsg'
${more}`;
const WANTED = '[Unit]\nRequires=consumer.service\nAfter=consumer.service\n';

/** What stands on ttyS1, as the services of the real root tell it. */
const TELL = `#!/bin/sh
exec >/dev/ttyS1 2>/dev/null
PATH=/bin
echo "$1 $(id -u) $(sha256sum <"$CREDENTIALS_DIRECTORY/${NAME}" | cut -d ' ' -f 1) $(cat /run/credstore/${NAME} 2>/dev/null | wc -c)"
`;
const LOOK = `#!/bin/sh
exec >/dev/ttyS1 2>&1
PATH=/bin
case $1 in
  begin) stty -F /dev/ttyS1 raw; chmod 666 /dev/ttyS1; echo "${REPORT}" ;;
  store)
    echo "store $(stat -c '%a %u %g' /run/credstore) $(stat -c '%a %u %g %n' /run/credstore/*)"
    echo "kind $(awk '$2 == "/run/credstore" { print $3 }' /proc/mounts)"
    echo "area $(dd if=/dev/mem bs=4096 skip=$((0x810)) count=1 2>/dev/null | head -c 3072 | xxd -p -c 3072)"
    ;;
  end)
    echo "left $(ls -A /run/credstore)"
    echo "given $(ls -A /run/credentials)"
    sync
    poweroff -f
    ;;
esac
`;

/** The services of the real root, one after another. */
const STEPS: Readonly<Record<string, string>> = {
  begin: 'ExecStart=/look begin',
  named: `LoadCredential=${NAME}\nExecStart=/tell named`,
  placed: `LoadCredential=${NAME}:/run/credstore/${NAME}\nUser=nobody\nExecStart=/tell placed`,
  store: 'ExecStart=/look store',
  forget: 'ExecStart=/bin/umount /run/credstore',
  again: `LoadCredential=${NAME}:/run/credstore/${NAME}\nExecStart=/tell again`,
  unnamed: `LoadCredential=${NAME}\nExecStart=/tell unnamed`,
  end: 'ExecStart=/look end',
};

/** Puts a root with systemd into a folder. */
function systemdRoot(files: string): void {
  const write = (name: string, text: string) => {
    fs.mkdirSync(path.dirname(path.join(files, name)), { recursive: true });
    fs.writeFileSync(path.join(files, name), text, { mode: 0o755 });
  };
  for (const name of ['dev', 'proc', 'run', 'sys', 'tmp', 'usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64']) {
    fs.mkdirSync(path.join(files, name), { recursive: true });
  }
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) fs.symlinkSync(`usr/${name}`, path.join(files, name));
  for (const name of withLibraries(['usr/lib/systemd/systemd', 'bin/busybox'])) {
    fs.mkdirSync(path.dirname(path.join(files, name)), { recursive: true });
    fs.copyFileSync(inTree(name), path.join(files, name));
  }
  for (const name of ['awk', 'cat', 'chmod', 'cut', 'dd', 'head', 'id', 'ls', 'poweroff', 'sh', 'sha256sum']) {
    fs.symlinkSync('busybox', path.join(files, 'bin', name));
  }
  for (const name of ['stat', 'stty', 'sync', 'umount', 'wc', 'xxd'])
    fs.symlinkSync('busybox', path.join(files, 'bin', name));
  fs.symlinkSync('../lib/systemd/systemd', path.join(files, 'sbin/init'));
  write('tell', TELL);
  write('look', LOOK);
  write('etc/os-release', 'ID=test\n');
  write('etc/machine-id', `${'0123456789abcdef'.repeat(2)}\n`);
  write('etc/passwd', 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n');
  write('etc/group', 'root:x:0:\nnobody:x:65534:\n');
  const names = Object.keys(STEPS);
  const unit = '[Unit]\nDefaultDependencies=no\n';
  write('etc/systemd/system/default.target', `${unit}Wants=${names.map((name) => `${name}.service`).join(' ')}\n`);
  for (const [i, [name, service]] of Object.entries(STEPS).entries()) {
    const after = i === 0 ? '' : `After=${names[i - 1]}.service\n`;
    write(`etc/systemd/system/${name}.service`, `${unit}${after}[Service]\nType=oneshot\n${service}\n`);
  }
}

describeWith(WITH_COMPILER, 'credentials for services, on real firmware', () => {
  let folder: string;
  let remove: () => void;
  let tree: string;
  beforeAll(async () => {
    ({ folder, remove } = scratch());
    tree = await installedTree(folder);
    buildDevmem(path.join(tree, 'usr/lib/bootseal/bootseal-devmem'));
  }, 120_000);
  afterAll(() => remove(), 60_000);

  const run = (initrd: string, guest: { words: string; secrets: Uint8Array; disks?: readonly string[] }) =>
    runMeasured(
      folder,
      {
        initrd,
        cmdline: `ro console=ttyS0 panic=-1 ${SECRET_WORD} ${WORDS} ${guest.words}`,
        secrets: guest.secrets,
        disks: (guest.disks ?? []).map((file) => ({ file, serial: 'root' })),
        more: HOSTS,
      },
      GUEST_DEADLINE,
    );

  it("are given in dracut's initrd and in the real root of systemd, are the owner's, and go when they are told to", async () => {
    systemdRoot(path.join(folder, 'root'));
    const root = await encryptRoot(folder, '64M');
    const initrd = dracutWithUnits(tree, 'with-disk', 'bootseal', {
      'etc/systemd/system/consumer.service': consumer(NAME),
      'etc/systemd/system/initrd.target.d/consumer.conf': WANTED,
    });
    const words = `root=/dev/mapper/root rootfstype=ext4 ${root.words}`;
    const { end, report, console } = await run(initrd, { words, secrets: root.secrets, disks: [root.file] });
    expect(end, console).toBe('ended');
    const digest = sha256(SERVICE_SECRET.value);
    expect(console).toMatch(new RegExp(`consumer: ${digest} {2}- -r-------- .* ${SERVICE_SECRET.value.length} `));
    const [named, placed, store, kind, area = '', unnamed, left, given, ...more] = report;
    expect(named, console).toBe(`named 0 ${digest} ${SERVICE_SECRET.value.length}`);
    // Who the service runs as can read what it was given, and not where that came from.
    expect(placed).toBe(`placed 65534 ${digest} 0`);
    expect(store).toBe(`store 700 0 0 600 0 0 /run/credstore/${NAME}`);
    expect(kind).toBe('kind ramfs');
    expect(readGuestTable(Buffer.from(area.slice('area '.length), 'hex'))).toMatchObject({ deleted: 2, shown: [] });
    // What a service names by a path must be there, or it is not started; without a path it is started all the same.
    expect(unnamed).toBe('unnamed 0  0');
    expect([left, given, more]).toEqual(['left ', 'given ', []]);
    for (const text of [console, report.join('\n')]) expect(text).not.toContain(SERVICE_SECRET.value.toString());
  }, 900_000);

  async function withoutDisk(name: string, secret: { guid: string; value: Buffer }, words = ''): Promise<string> {
    const { status, stderr } = await bootseal(
      [
        'initrd',
        'hooks',
        '--for',
        'systemd-credentials',
        '--devmem',
        'tree/usr/lib/bootseal/bootseal-devmem',
        '--out',
        name,
      ],
      folder,
    );
    expect(status, stderr).toBe(0);
    const emergency = `[Service]
ExecStart=
ExecStart=/bin/sh -c 'echo "<3>emergency: $$(ls -A /run/credstore)$$(ls -A /run/credentials/consumer.service)" >/dev/kmsg; echo o >/proc/sysrq-trigger; sleep 60'
StandardInput=null
`;
    const initrd = dracutWithUnits(
      tree,
      `initrd-${name}`,
      '',
      {
        'etc/systemd/system/consumer.service': consumer(
          `${NAME}:/run/credstore/${NAME}`,
          `ExecStart=/bin/sh -c 'echo "<3>consumer: $$(ls -A /run/credstore)" >/dev/kmsg'
RemainAfterExit=yes
ExecStart=systemctl --no-block start emergency.target
# With the others systemd would stop it then, and remove its copy.
[Unit]
DefaultDependencies=no
After=bootseal-credentials.service
`,
        ),
        'etc/systemd/system/initrd.target.d/consumer.conf': WANTED,
        'etc/systemd/system/emergency.service.d/test.conf': emergency,
        'etc/systemd/system/dracut-emergency.service.d/test.conf': emergency,
      },
      path.join(folder, name),
    );
    const secrets = buildSecretTable([{ ...secret, form: 'raw' }], { room: 0xc00 });
    const { end, console } = await run(initrd, { words: `root=/dev/vda rd.timeout=0 ${words}`, secrets });
    expect(end, console).toBe('ended');
    expect(console).not.toContain(secret.value.toString());
    return console;
  }

  it('are given where there is no disk to open, and are gone when the emergency mode comes', async () => {
    const secret = { guid: SERVICE_SECRET.guid, value: Buffer.from(randomBytes(40).toString('hex')) };
    const console = await withoutDisk('given', secret, 'bootseal.on-failure=emergency');
    expect(console).toMatch(new RegExp(`consumer: ${sha256(secret.value)} `));
    expect(console).toMatch(new RegExp(`consumer: ${NAME.replace('.', '\\.')}\r?$`, 'm'));
    // What stood in the store, and the copy of a service that goes on.
    expect(console).not.toMatch(/Stopped .*consumer\.service/);
    expect(console).toMatch(/emergency: *\r?$/m);
  }, 900_000);

  it('are missed before any service is started', async () => {
    const other = { guid: '0a46e24d-478c-4eb1-8696-113eeec3aa99', value: Buffer.from('of nobody here') };
    const console = await withoutDisk('missing', other);
    expect(console).toMatch(/bootseal: there is no credential db\.password: the secret table has no entry e6f5a162-/);
    expect(console).toMatch(/bootseal: no credentials are left: powering off/);
    expect(console).not.toMatch(/consumer: |emergency: /);
  }, 900_000);
});
