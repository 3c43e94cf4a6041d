/** @module Initrds as Debian's own programs make them, in a copy of the guests' tree, without root. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { inTree, kernelVersion } from './guest-tree.ts';

const TEMPLATES = path.join(import.meta.dirname, '..', '..', 'templates');

/** Runs a program in a tree, which it sees as the whole system; in namespaces of its own. */
const IN_TREE = `set -e
tree=$1
shift
mount --rbind /proc "$tree/proc"
mount --rbind /dev "$tree/dev"
exec chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"`;

/** Makes a copy of the tree with bootseal's files where their heads say that they belong; returns where it is. */
export function installedTree(folder: string): string {
  const tree = path.join(folder, 'tree');
  execFileSync('cp', ['-a', inTree('.'), tree]);
  const install = (from: string, to: string) => {
    fs.mkdirSync(path.dirname(path.join(tree, to)), { recursive: true });
    fs.copyFileSync(path.join(TEMPLATES, from), path.join(tree, to));
  };
  for (const name of ['unlock', 'secrets.sh']) install(`guest/${name}`, `usr/lib/bootseal/${name}`);
  install('initramfs-tools/keyscript', 'usr/lib/bootseal/keyscript');
  install('initramfs-tools/hook', 'etc/initramfs-tools/hooks/bootseal');
  install('initramfs-tools/local-top', 'etc/initramfs-tools/scripts/local-top/bootseal');
  for (const name of ['module-setup.sh', 'bootseal-open.sh']) {
    install(`dracut/90bootseal/${name}`, `usr/lib/dracut/modules.d/90bootseal/${name}`);
  }
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

/** Makes an initrd with dracut; returns its file. */
export function dracut(tree: string): string {
  const modules = ['-m', 'bootseal base rootfs-block dm kernel-modules udev-rules dash'];
  const drivers = ['--drivers', 'virtio_pci virtio_blk ext4', '--filesystems', 'ext4'];
  const plain = ['--no-hostonly', '--no-hostonly-cmdline', '--no-compress'];
  runInTree(tree, 'dracut', [...plain, ...modules, ...drivers, '--kver', kernelVersion(), '/tmp/dracut']);
  return path.join(tree, 'tmp/dracut');
}
