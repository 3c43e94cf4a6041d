/** @module Initrds as Debian's own programs make them, in a copy of the guests' tree, without root. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { bootseal } from '../cli/script.ts';
import { inTree, kernelVersion } from './guest-tree.ts';

const TEMPLATES = path.join(import.meta.dirname, '..', '..', 'templates');

/** Runs a program in a tree, which it sees as the whole system; in namespaces of its own. */
const IN_TREE = `set -e
tree=$1
shift
mount --rbind /proc "$tree/proc"
mount --rbind /dev "$tree/dev"
exec chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"`;

/** Makes a copy of the tree with what `initrd hooks` writes copied into it as it says; returns where it is. */
export async function installedTree(folder: string): Promise<string> {
  const tree = path.join(folder, 'tree');
  execFileSync('cp', ['-a', inTree('.'), tree]);
  for (const maker of ['initramfs-tools', 'dracut']) {
    const { status, stderr } = await bootseal(['initrd', 'hooks', '--for', maker, '--out', maker], folder);
    if (status !== 0) throw new Error(stderr);
    execFileSync('cp', ['-r', `${path.join(folder, maker)}/.`, tree]);
  }
  // These are for the initrd only.
  const { status, stderr } = await bootseal(
    ['initrd', 'hooks', '--for', 'systemd-crypttab', '--out', 'tree/for-initrd'],
    folder,
  );
  if (status !== 0) throw new Error(stderr);
  // What the packages' own scripts would set up.
  fs.symlinkSync('mawk', path.join(tree, 'usr/bin/awk'));
  fs.writeFileSync(path.join(tree, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
  fs.writeFileSync(path.join(tree, 'etc/group'), 'root:x:0:\n');
  return tree;
}

/** Builds bootseal-devmem with the command that stands in its source. */
export function buildDevmem(out: string): void {
  const source = path.join(TEMPLATES, 'guest', 'devmem.c');
  const command = /^ \* {3}(cc [^\n]*)\\\n \* {6}([^\n]*) -o bootseal-devmem/m.exec(fs.readFileSync(source, 'utf8'));
  if (command === null) throw new Error(`${source} does not say how it is built`);
  const [program = '', ...options] = `${command[1]} ${command[2]}`.split(' ').filter(Boolean);
  execFileSync(program, [...options, '-Wall', '-Wextra', '-Werror', '-o', out, source]);
}

function runInTree(tree: string, program: string, args: readonly string[]): void {
  const command = ['-rm', 'sh', '-c', IN_TREE, 'sh', tree, program, ...args];
  execFileSync('unshare', command, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Makes an initrd with initramfs-tools; returns its file. */
export function initramfsTools(tree: string): string {
  // Only for time's sake; `most` is the default.
  fs.writeFileSync(path.join(tree, 'etc/initramfs-tools/conf.d/test'), 'MODULES=list\nCOMPRESS=gzip\n');
  fs.appendFileSync(path.join(tree, 'etc/initramfs-tools/modules'), 'ext4\n');
  runInTree(tree, 'mkinitramfs', ['-o', '/tmp/initramfs-tools', kernelVersion()]);
  return path.join(tree, 'tmp/initramfs-tools');
}

const DRACUT_MODULES = 'base rootfs-block dm kernel-modules udev-rules dash';

/** Makes an initrd with dracut that would also open the LUKS disk of this UUID by its own module; returns its file. */
export function dracut(tree: string, uuid: string): string {
  const drivers = ['--drivers', 'virtio_pci virtio_blk ext4'];
  return runDracut(tree, 'dracut', ['-m', `bootseal crypt ${DRACUT_MODULES}`, ...drivers, ...withDisk(tree, uuid)]);
}

/** What that module writes in a system that has such a disk (90crypt/module-setup.sh, cmdline). */
function withDisk(tree: string, uuid: string): readonly string[] {
  fs.writeFileSync(path.join(tree, 'tmp/90crypt.conf'), ` rd.luks.uuid=luks-${uuid}\n`);
  return ['--include', '/tmp/90crypt.conf', '/etc/cmdline.d/90crypt.conf'];
}

const SYSTEMD_MODULES = `systemd systemd-initrd dracut-systemd crypt ${DRACUT_MODULES}`;

/** Makes an initrd with dracut in which systemd is, and a crypttab with these lines. */
export function dracutWithSystemd(tree: string, crypttab: string): string {
  return dracutWithUnits(tree, 'dracut-systemd', 'bootseal', { 'etc/crypttab': crypttab });
}

/** Makes one with systemd, more modules of dracut, these files, and those in the folder `hooks`. */
export function dracutWithUnits(
  tree: string,
  name: string,
  modules: string,
  files: Readonly<Record<string, string>>,
  hooks?: string,
): string {
  const folder = path.join(tree, `${name}-files`);
  if (hooks !== undefined) execFileSync('cp', ['-r', `${hooks}/.`, folder]);
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), text);
  }
  const content = ['-m', `${modules} ${SYSTEMD_MODULES}`, '--include', `/${name}-files`, '/', '--install', PROGRAMS];
  return runDracut(tree, name, [...content, '--drivers', 'virtio_pci virtio_blk ext4']);
}

/** Makes one in which systemd-cryptsetup opens the root, as these lines of crypttab say, with what bootseal leaves for it. */
export function dracutWithCrypttab(tree: string, crypttab: string): string {
  fs.mkdirSync(path.join(tree, 'for-initrd/etc'), { recursive: true });
  fs.writeFileSync(path.join(tree, 'for-initrd/etc/crypttab'), crypttab);
  buildDevmem(path.join(tree, 'for-initrd/usr/lib/bootseal/bootseal-devmem'));
  const content = ['-m', SYSTEMD_MODULES, '--include', '/for-initrd', '/', '--drivers', DRIVERS, '--install', PROGRAMS];
  return runDracut(tree, 'dracut-crypttab', content);
}

const LIBGCC = '/usr/lib/x86_64-linux-gnu/libgcc_s.so.1';
const PROGRAMS = `cryptsetup dd head tail wc tr sha256sum sync sleep mount umount cat rm rmdir mkdir ${LIBGCC}`;
const DRIVERS = 'virtio_pci virtio_blk ext4 dm_crypt algif_skcipher aesni_intel xts';

/** Makes one that has the programs and drivers for an encrypted disk, and nothing of bootseal. */
export function dracutWithoutUs(tree: string, uuid: string): string {
  const content = ['-m', `crypt ${DRACUT_MODULES}`, '--drivers', DRIVERS, '--install', PROGRAMS];
  return runDracut(tree, 'dracut-without-us', [...content, ...withDisk(tree, uuid)]);
}

function runDracut(tree: string, name: string, content: readonly string[]): string {
  const plain = ['--no-hostonly', '--no-hostonly-cmdline', '--no-compress', '--filesystems', 'ext4'];
  runInTree(tree, 'dracut', [...plain, ...content, '--kver', kernelVersion(), `/tmp/${name}`]);
  return path.join(tree, 'tmp', name);
}
