import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runMachine } from '../../src/lab/qemu.ts';
import { scratch } from '../cli/script.ts';
import { fixture } from '../fixtures.ts';
import { DISK, secretArea } from '../guest-tree.ts';
import { PASSPHRASE } from '../luks-image.ts';
import { describeWith } from '../needs.ts';
import { GUEST_DEADLINE, START } from './guest-machine.ts';
import { GUEST, kernelFile } from './guest-tree.ts';
import { writeInitrd } from './initrd.ts';

const ROOT = path.join(import.meta.dirname, '../..');

/** Programs of this machine that the guest runs besides Node. */
const PROGRAMS = ['/usr/bin/keyctl', '/sbin/request-key'];

const needed = {
  ...GUEST,
  name: 'QEMU, the Debian packages of a guest, keyutils or cryptsetup',
  files: [...GUEST.files, ...PROGRAMS, '/usr/sbin/cryptsetup'],
};

/** Where the secrets are: memory that the command line keeps from the kernel, as firmware does with the secret area. */
const AREA = 0x1f810000;

/** Every part begins with a line `== NAME`; what it prints is looked at below. */
const INIT = `${START}part() { echo "== $1"; }
part list
bootseal guest list --json
part read
bootseal guest read disk-passphrase --out /run/key && cmp /run/key /passphrase && echo same
rm /run/key
part request
key=$(keyctl request2 user bootseal:disk efi:disk-passphrase @u) && keyctl pipe "$key" | cmp - /passphrase && echo same
keyctl rdescribe "$key"
keyctl revoke "$key"; keyctl unlink "$key" @u
part stranger
/usr/sbin/chroot --userspec=65534:65534 / keyctl request2 user bootseal:other efi:disk-passphrase @u
part file
/usr/sbin/chroot --userspec=65534:65534 / keyctl request2 user bootseal:file file:/passphrase @u
part unlock
bootseal guest unlock /dev/vda data --request efi:disk-passphrase
head -c 16 /dev/mapper/data; echo
cryptsetup close data
part left
keyctl search @u user bootseal:disk
ls /run | grep -v '^cryptsetup$'
part secret
bootseal guest unlock /dev/vda data --erase --json
cryptsetup status data | grep -c 'is active'
part erased
bootseal guest list --json
part done
sync
poweroff -f
`;

/** Returns a program of this machine and its libraries, by the paths that the initrd has them under. */
function withHostLibraries(program: string): Record<string, Buffer> {
  const libraries = [...execFileSync('/usr/bin/ldd', [program], { encoding: 'utf8' }).matchAll(/(\/\S+) \(0x/g)];
  const all = [program, ...libraries.map(([, file]) => file ?? '')];
  return Object.fromEntries(
    all.map((file) => [file.replace(/^\/(bin|sbin|lib|lib64)\//, '/usr/$1/').slice(1), fs.readFileSync(file)]),
  );
}

describeWith(needed, 'the commands of a guest on a real kernel', () => {
  const parts = new Map<string, string>();
  const { folder, remove } = scratch();
  const at = (name: string) => path.join(folder, name);

  beforeAll(
    async () => {
      fs.writeFileSync(at('disk'), fixture('luks/cs261-l2-pbkdf2-512.img'));
      execFileSync('/usr/sbin/cryptsetup', ['token', 'add', '--key-description', 'bootseal:disk', at('disk')]);
      fs.writeFileSync(at('area'), secretArea([[DISK, Buffer.from(PASSPHRASE).toString()]]));
      const bundled = ['bin/bootseal.js', 'bin/bundle.js', 'bin/package.json', 'dist/bootseal.cjs', 'package.json'];
      await writeInitrd(at('initrd'), {
        programs: ['bin/busybox', 'sbin/cryptsetup', 'usr/sbin/chroot'],
        modules: ['virtio_pci', 'virtio_blk', 'dm_mod', 'dm_crypt', 'xts', 'aesni_intel', 'ecb', 'algif_skcipher'],
        files: {
          ...Object.assign({}, ...[process.execPath, ...PROGRAMS].map(withHostLibraries)),
          ...Object.fromEntries(
            bundled.map((name) => [`opt/bootseal/${name}`, fs.readFileSync(path.join(ROOT, name))]),
          ),
          'usr/bin/bootseal': `#!/bin/busybox sh\nexec ${process.execPath} /opt/bootseal/bin/bootseal.js "$@"\n`,
          'etc/request-key.d/bootseal.conf': fs.readFileSync(path.join(ROOT, 'templates/request-key/bootseal.conf')),
          'etc/request-key.conf': 'negate * * * /bin/keyctl negate %k 30 %S\n',
          passphrase: Buffer.from(PASSPHRASE),
          init: INIT,
        },
      });
      const end = await runMachine(
        {
          boot: {
            kernel: kernelFile(),
            initrd: at('initrd'),
            cmdline: `console=ttyS0 panic=-1 memmap=4K$0x${AREA.toString(16)} bootseal.secret=0x${AREA.toString(16)},0xc00`,
          },
          memory: 1024,
          disks: [{ file: at('disk'), serial: 'disk' }],
          loaded: [{ file: at('area'), address: AREA }],
          serial: [at('console'), at('report')],
        },
        3 * GUEST_DEADLINE,
      );
      const report = fs.readFileSync(at('report'), 'latin1').replaceAll('\r', '');
      if (end !== 'ended')
        throw new Error(`the guest did not end: ${report}\n${fs.readFileSync(at('console'), 'latin1')}`);
      for (const part of report.split(/^== /m).slice(1)) {
        parts.set(part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1));
      }
    },
    3 * GUEST_DEADLINE + 30_000,
  );
  afterAll(remove);

  const part = (name: string) => parts.get(name) ?? `no part ${name} in ${[...parts].join('\n')}`;

  it('finds the secret in memory, without the driver, and says why it looked there', () => {
    const { source, passed, entries } = JSON.parse(part('list'));
    expect(source).toEqual({ kind: 'memory', place: `/dev/mem at 0x${AREA.toString(16)}, 3072 bytes` });
    expect(passed).toEqual([{ place: 'securityfs', why: expect.stringContaining('securityfs is not mounted') }]);
    expect(entries).toEqual([{ guid: DISK, name: 'disk-passphrase', bytes: PASSPHRASE.length, nulTerminated: false }]);
    expect(part('read')).toContain('same\n');
  });

  it('makes a key that root asks for, through request-key and our rule', () => {
    expect(part('request')).toMatch(/^same\nuser;0;0;[0-9a-f]{8};bootseal:disk\n/);
  });

  it('refuses it to another user', () => {
    expect(part('stranger')).toContain('Key was rejected by service');
    expect(part('file')).toContain('Key was rejected by service');
  });

  it('opens a disk through its token with an unmodified cryptsetup, and leaves no key', () => {
    expect(part('unlock')).toBe('/dev/vda: open as /dev/mapper/data\nBLOCK0000000000!\n');
    expect(part('left')).toBe('keyctl_search: Required key not available\n');
  });

  it('opens it with the secret itself, and erases that', () => {
    expect(part('secret')).toBe(
      '{"device":"/dev/vda","name":"data","keyDescription":"bootseal:disk","erased":true}\n1\n',
    );
    expect(JSON.parse(part('erased'))).toMatchObject({ entries: [], deleted: 1, refusal: null });
    expect(parts.has('done')).toBe(true);
  });

  it('prints the secret nowhere', () => {
    const all = [fs.readFileSync(at('console'), 'latin1'), fs.readFileSync(at('report'), 'latin1')].join('\n');
    expect(all).not.toContain(Buffer.from(PASSPHRASE).toString().trim());
  });
});
