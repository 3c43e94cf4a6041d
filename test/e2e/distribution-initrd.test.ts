import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readGuestTable } from '../../src/core/guest/table.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import {
  buildDevmem,
  dracut,
  dracutWithCrypttab,
  dracutWithoutUs,
  dracutWithSystemd,
  dracutWithUnits,
  initramfsTools,
  installedTree,
} from './distribution-initrd.ts';
import { makeRoot, type RootDisk, SERVICE_SECRET } from './encrypted-root.ts';
import { GUEST_DEADLINE } from './guest-machine.ts';
import { GUEST } from './guest-tree.ts';
import { runMeasured, SECRET_WORD } from './measured-machine.ts';
import { mkinitcpioInitrd } from './mkinitcpio.ts';

const WITH_COMPILER = { ...GUEST, name: `${GUEST.name} or a C compiler`, files: [...GUEST.files, '/usr/bin/gcc'] };

describeWith(WITH_COMPILER, "initrds of Debian's own programs, on real firmware", () => {
  let folder: string;
  let remove: () => void;
  let root: RootDisk;
  let tree: string;
  /** UUID of a disk that the host attaches, and knows the passphrase of. */
  let host: string;
  let hosts: { readonly file: string; readonly serial: string };
  beforeAll(async () => {
    ({ folder, remove } = scratch());
    root = await makeRoot(folder);
    tree = await installedTree(folder);
    fs.writeFileSync(path.join(folder, 'raw'), Buffer.alloc(1 << 16));
    fs.writeFileSync(path.join(folder, 'pass'), 'known to the host');
    const words = ['image', 'build', '--from', 'raw', '--key-file', 'pass', '--out', 'host.disk', '--json'];
    hosts = { file: path.join(folder, 'host.disk'), serial: 'host' };
    host = JSON.parse((await bootseal(words, folder)).stdout).luks.uuid;
  }, 120_000);
  afterAll(() => remove(), 60_000);

  async function boots(initrd: string, withHosts = false, credential?: string): Promise<void> {
    const forServices =
      credential === undefined
        ? ''
        : `bootseal.credentials=${credential}:${SERVICE_SECRET.guid} systemd.import_credentials=no`;
    const words = 'root=/dev/mapper/root rootfstype=ext4 ro console=ttyS0 panic=-1';
    const { end, report, console } = await runMeasured(
      folder,
      {
        initrd,
        cmdline: `${words} ${SECRET_WORD} ${root.words} ${forServices}`,
        secrets: root.secrets,
        disks: [{ file: root.file, serial: 'root' }, ...(withHosts ? [hosts] : [])],
      },
      GUEST_DEADLINE,
    );
    expect(end, console).toBe('ended');
    // systemd or dracut would ask on the console, and whoever has the console would answer.
    expect(console).not.toMatch(/passphrase/i);
    expect(report[0] ?? '', console).toMatch(/^root \/dev\/(mapper\/root|dm-0)$/);
    expect(report[2], console).toBe('left ');
    const area = Buffer.from(report[1]?.slice('area '.length) ?? '', 'hex');
    expect(area.includes(root.key)).toBe(false);
    const shown = readGuestTable(area).shown.map(({ guid }) => guid);
    if (credential === undefined) {
      expect(shown).toEqual([SERVICE_SECRET.guid]);
      return;
    }
    expect(shown).toEqual([]);
    expect(area.includes(SERVICE_SECRET.value)).toBe(false);
    const digest = createHash('sha256').update(SERVICE_SECRET.value).digest('hex');
    expect(report[3]).toBe(`store 700 600 ${credential} ${digest}  -`);
  }

  /** The host breaks a sector behind the header, in the file system: the disk is opened, and then nothing goes on. */
  async function endsWithoutShell(initrd: string, withHosts = false): Promise<void> {
    const broken = path.join(folder, 'broken.disk');
    fs.copyFileSync(root.file, broken);
    const bytes = Number(/bootseal\.header=[0-9a-f]+,(\d+)/.exec(root.words)?.[1]);
    const fd = fs.openSync(broken, 'r+');
    // Not the superblock: systemd would wait for a file system for ever, and show no shell either.
    fs.writeSync(fd, Buffer.alloc(4096, 'x'), 0, 4096, bytes + 4096);
    fs.closeSync(fd);
    const { end, console } = await runMeasured(
      folder,
      {
        initrd,
        cmdline: `root=/dev/mapper/root rootfstype=ext4 ro console=ttyS0 ${SECRET_WORD} ${root.words}`,
        secrets: root.secrets,
        disks: [{ file: broken, serial: 'root' }, ...(withHosts ? [hosts] : [])],
      },
      GUEST_DEADLINE,
    );
    expect(end, console).toBe('ended');
    expect(console).toMatch(/bootseal: no shell is opened: powering off/);
    expect(console).not.toMatch(/could not be erased|no secret was erased|a disk is open/);
    expect(console).not.toMatch(/\(initramfs\)|:\/# |\[rootfs|Press Enter|Repair filesystem\):/);
  }

  it('of initramfs-tools opens its root, with the devmem of busybox, and leaves a secret for a service', async () => {
    const initrd = initramfsTools(tree);
    await boots(initrd, false, 'db.password');
    await endsWithoutShell(initrd);
  }, 600_000);

  it("of dracut opens its root, with our own devmem, and not the host's disk for dracut's module crypt", async () => {
    const devmem = path.join(tree, 'usr/lib/bootseal/bootseal-devmem');
    buildDevmem(devmem);
    expect(fs.statSync(devmem).size).toBeLessThan(2048);
    const initrd = dracut(tree, host);
    await boots(initrd, true);
    await endsWithoutShell(initrd, true);
  }, 600_000);

  it.each([
    ['', () => dracutWithoutUs(tree, host)],
    [
      ' with systemd',
      () => dracutWithUnits(tree, 'systemd-without-us', '', { 'etc/crypttab': `data UUID=${host} none luks\n` }),
    ],
  ])(
    'of dracut%s, finished without us, opens its root with what `initrd add --with dracut` adds',
    async (_, make) => {
      buildDevmem(path.join(folder, 'devmem'));
      const base = make();
      const words = [
        'initrd',
        'add',
        '--base',
        base,
        '--with',
        'dracut',
        '--devmem',
        'devmem',
        '--out',
        'with',
        '--force',
      ];
      const { status, stdout, stderr } = await bootseal(words, folder);
      expect(status, stderr).toBe(0);
      expect(stdout).toMatch(/^0755 {2}usr\/lib\/dracut\/hooks\/initqueue\/settled\/10-bootseal-open\.sh, /m);
      await boots(path.join(folder, 'with'), true);
      await endsWithoutShell(path.join(folder, 'with'), true);
    },
    600_000,
  );

  it("of dracut with systemd opens its root with our unit, and not the host's disk for a line of crypttab", async () => {
    buildDevmem(path.join(tree, 'usr/lib/bootseal/bootseal-devmem'));
    const crypttab = `root UUID=${root.uuid} none luks\ndata UUID=${host} none luks\n`;
    const initrd = dracutWithSystemd(tree, crypttab);
    await boots(initrd, true);
    await endsWithoutShell(initrd, true);
  }, 900_000);

  it('of dracut with systemd lets crypttab open the root, with the checked header and the key that we leave for it', async () => {
    const { stdout } = await bootseal(['initrd', 'hooks', '--for', 'systemd-crypttab', '--out', 'said'], folder);
    const line = /crypttab: (root UUID=)…( .*)$/m.exec(stdout);
    const initrd = dracutWithCrypttab(tree, `${line?.[1]}${root.uuid}${line?.[2]}\n`);
    await boots(initrd);
    await endsWithoutShell(initrd);
  }, 900_000);

  it('as mkinitcpio would make one opens its root, where our install file and hook are run as it documents', async () => {
    buildDevmem(path.join(folder, 'devmem'));
    const words = ['initrd', 'hooks', '--for', 'mkinitcpio', '--devmem', 'devmem', '--out', 'arch'];
    const { status, stderr } = await bootseal(words, folder);
    expect(status, stderr).toBe(0);
    const initrd = await mkinitcpioInitrd(path.join(folder, 'arch'), path.join(folder, 'mkinitcpio'));
    await boots(initrd);
    await endsWithoutShell(initrd);
  }, 600_000);
});
