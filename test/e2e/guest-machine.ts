/** @module A guest that runs one script and says what came of it: a real kernel in QEMU with an initrd of busybox. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { type MachineDisk, runMachine } from '../../src/lab/qemu.ts';
import { kernelFile } from './guest-tree.ts';
import { MOUNTED, writeInitrd } from './initrd.ts';

/** What a disk that is opened needs, besides its driver. */
export const DISK_MODULES = [
  ...['virtio_pci', 'virtio_blk', 'ext4', 'crc32c_generic', 'dm_mod', 'dm_crypt', 'dm_integrity'],
  ...[
    'aesni_intel',
    'xts',
    'gcm',
    'ghash_generic',
    'ctr',
    'ecb',
    'authenc',
    'hmac',
    'sha256_generic',
    'algif_skcipher',
  ],
];

/** How the first program of a guest begins: its standard output and error are the report, and the modules are loaded. */
export const START = `${MOUNTED}exec >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw
while read -r module; do insmod "$module" || echo "cannot load $module"; done < /modules
`;

const INIT = `${START}# Returns the disk with a serial number.
disk() {
  for serial in /sys/block/vd*/serial; do
    if [ "$(cat "$serial")" = "$1" ]; then serial=\${serial%/serial}; echo "/dev/\${serial##*/}"; fi
  done
}
. /script
sync
poweroff -f
`;

/** Shell: `use_opened NAME` mounts an opened disk, reads and writes a file, and leaves all as it should be; each line is a step that failed. */
export const USE_OPENED = `
use_opened() {
  mount -t ext4 -o errors=remount-ro "/dev/mapper/$1" /mnt || { echo "$1: not mounted"; return; }
  [ "$(sha256sum < /mnt/known)" = "$(sha256sum < /known)" ] || echo "$1: a file is not what it was"
  cp /written /mnt/written || echo "$1: not written"
  umount /mnt || echo "$1: not unmounted"
  cryptsetup close "$1" || echo "$1: not closed"
  echo "$1: done"
}
`;

/** What such a guest is made of. */
export interface ScriptedGuest {
  /** Shell, run by busybox; \`disk SERIAL\` prints where a disk is. */
  readonly script: string;
  /** Other files of the initrd. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  readonly disks: readonly MachineDisk[];
  /** More words of the kernel's command line. */
  readonly cmdline?: string;
  /** Programs of the tree besides busybox and cryptsetup. */
  readonly programs?: readonly string[];
  /** Modules besides those that encrypted disks need. */
  readonly modules?: readonly string[];
}

/** Milliseconds: many times what a guest needs when the machine does nothing else. */
export const GUEST_DEADLINE = 300_000;

/** Runs the guest and returns the lines of its report. Throws with its console when it does not end by itself. */
export async function runScript(
  folder: string,
  { script, files = {}, disks, cmdline = '', programs = [], modules = [] }: ScriptedGuest,
): Promise<string[]> {
  const at = (name: string) => path.join(folder, name);
  await writeInitrd(at('initrd'), {
    programs: ['bin/busybox', 'sbin/cryptsetup', ...programs],
    modules: [...DISK_MODULES, ...modules],
    files: { init: INIT, script, ...files },
  });
  const end = await runMachine(
    {
      boot: { kernel: kernelFile(), initrd: at('initrd'), cmdline: `console=ttyS0 panic=-1 ${cmdline}` },
      memory: 512,
      disks,
      serial: [at('console'), at('report')],
    },
    GUEST_DEADLINE,
  );
  const report = fs.readFileSync(at('report'), 'latin1').split(/\r*\n/).filter(Boolean);
  if (end === 'ended') return report;
  throw new Error(`the guest did not end: ${report.join('\n')}\n${fs.readFileSync(at('console'), 'latin1')}`);
}
