/**
 * @module An initrd as mkinitcpio makes and runs one, without mkinitcpio, which Debian has no package of: its install file is run with
 * the functions that mkinitcpio(8) documents, and its hook as the /init of such an initrd runs hooks, in ash of busybox.
 */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { SystemPath } from '../../src/lab/system/system.ts';
import { inTree, kernelVersion } from './guest-tree.ts';
import { writeInitrd } from './initrd.ts';

/** Prints a line for each thing that `build` adds; `map` and a name with `?` are as mkinitcpio(8) has them. */
const INSTALL = `
map() { local function=$1; shift; for each; do "$function" "$each"; done; }
add_module() { echo "module $1"; }
add_binary() { echo "binary $1"; }
add_file() { echo "file $1 $2 $3"; }
add_runscript() { echo "runscript"; }
source "$1"
build
`;

/**
 * What such an initrd begins with: as upstream's init of version 41 it reads /config, runs the hooks' functions one kind after another, and
 * before each shell of its own those for an emergency.
 */
const INIT = `#!/bin/busybox ash
/bin/busybox --install -s 2>/dev/null
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs -o mode=755 run /run
while read -r module; do insmod "$module"; done < /modules
for word in $(cat /proc/cmdline); do
  case $word in root=*) root=\${word#root=} ;; break=*) break=\${word#break=} ;; esac
done
launch_interactive_shell() {
  export PS1='[rootfs \\W]\\$ '
  if [ "$1" = --exec ]; then exec sh -i </dev/console >/dev/console 2>&1; fi
  sh -i </dev/console >/dev/console 2>&1
}
run_all() {
  wanted=$1
  shift
  for each; do
    if [ ! -x "/hooks/$each" ]; then continue; fi
    unset "$wanted"
    . "/hooks/$each"
    if type "$wanted" >/dev/null; then "$wanted"; fi
  done
}
. /config
run_all run_hook $HOOKS
if [ "\${break:-}" = premount ]; then
  run_all run_emergencyhook $EMERGENCYHOOKS
  launch_interactive_shell
fi
if ! mount -t ext4 -o ro "$root" /new_root; then
  run_all run_emergencyhook $EMERGENCYHOOKS
  echo "$root could not be mounted"
  launch_interactive_shell
fi
if ! grep -q ' /new_root ' /proc/mounts; then
  run_all run_emergencyhook $EMERGENCYHOOKS
  launch_interactive_shell --exec
fi
exec switch_root /new_root /sbin/init
`;

/** Makes the initrd of what `initrd hooks --for mkinitcpio` has written into `hooks`; returns its file. */
export async function mkinitcpioInitrd(hooks: string, file: string): Promise<string> {
  const inHooks = (name: string): string => path.join(hooks, name);
  // It asks whether the system has this program; here the folder is the system.
  const install = fs
    .readFileSync(inHooks('etc/initcpio/install/bootseal'), 'utf8')
    .replaceAll('-x /usr/lib/bootseal', `-x ${inHooks('usr/lib/bootseal')}`);
  fs.writeFileSync(`${file}.install`, install);
  const printed = execFileSync('bash', ['-euc', INSTALL, 'bash', `${file}.install`], { encoding: 'utf8' });
  const added = printed
    .trim()
    .split('\n')
    .map((line) => line.split(' '));
  const of = (kind: string) => added.filter(([first]) => first === kind).map(([, ...rest]) => rest);
  const files: Record<string, Buffer | string> = { init: INIT, 'new_root/.here': '' };
  for (const [from = '', to = ''] of of('file')) files[to.slice(1)] = fs.readFileSync(inHooks(from));
  if (of('runscript').length > 0) {
    const hook = fs.readFileSync(inHooks('etc/initcpio/hooks/bootseal'), 'utf8');
    files['hooks/bootseal'] = hook;
    const has = (name: string): string => (hook.includes(`\n${name}() {`) ? 'bootseal' : '');
    files['config'] = `HOOKS='${has('run_hook')}'\nEMERGENCYHOOKS='${has('run_emergencyhook')}'\n`;
  }
  const programs: SystemPath[] = ['bin/busybox'];
  for (const [binary = ''] of of('binary')) {
    if (binary.startsWith('/usr/lib/bootseal/')) files[binary.slice(1)] = fs.readFileSync(inHooks(binary));
    else programs.push(findProgram(path.basename(binary)));
  }
  const modules = of('module').flatMap(([name = '']) => (isThere(name) ? [name.replace('?', '')] : []));
  await writeInitrd(file, { programs, modules: [...modules, 'ext4', 'crc32c_generic', 'algif_skcipher'], files });
  return file;
}

function findProgram(name: string): SystemPath {
  const folders = ['usr/bin', 'usr/sbin', 'usr/lib/x86_64-linux-gnu'];
  const folder = folders.find((one) => fs.existsSync(inTree(`${one}/${name}`)));
  if (folder === undefined) throw new Error(`the tree has no ${name}`);
  return `${folder}/${name}`;
}

/** Says whether a module is to be added: one with a question mark only where the kernel has it. */
function isThere(name: string): boolean {
  if (!name.endsWith('?')) return true;
  const list = fs.readFileSync(inTree(`usr/lib/modules/${kernelVersion()}/modules.dep`), 'utf8');
  return list.includes(`/${name.slice(0, -1)}.ko:`);
}
