/** @module The guest of a demonstration: an initrd that opens an encrypted root, and what that root says when it has been reached. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import type { DemoParts } from './demo-parts.ts';
import { writeInitrd } from './system/initrd.ts';
import { readSystemFile } from './system/system.ts';

/** How each line begins that the guest says, on a console that firmware and kernel write to as well. */
export const GUEST_SAYS = 'guest: ';

/** What stands on the encrypted disk and nowhere else. */
export const MESSAGE = 'only the encrypted disk has this sentence';

const MODULES = [
  ...['virtio_pci', 'virtio_blk', 'ext4', 'crc32c_generic', 'dm_mod', 'dm_crypt', 'aesni_intel', 'xts', 'ecb'],
  ...['algif_skcipher', 'sha256_generic'],
];

/** The first program of the initrd. */
const INITRD_INIT = `#!/bin/busybox sh
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
while read -r module; do insmod "$module"; done < /modules
/usr/lib/bootseal/unlock || poweroff -f
mount -o ro /dev/mapper/root /root || poweroff -f
exec switch_root /root /sbin/init
`;

/**
 * The first program of the encrypted root. A table with one secret has its value after two heads of 20 bytes (docs/secret.md): what is left of it is
 * what is not zero. That the table's own GUID is there shows that memory was read at all.
 */
const rootInit = (secretArea: number, keySize: number) => `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
[ -c /dev/mem ] || /bin/busybox mount -t devtmpfs devtmpfs /dev
exec >/dev/ttyS0 2>&1
memory() { busybox dd if=/dev/mem bs=1 skip=$((${secretArea} + $1)) count=$2 2>/dev/null; }
echo
echo "${GUEST_SAYS}root is $(busybox awk '$2 == "/" { print $1 ", " $3 }' /proc/mounts | busybox tail -n 1)"
echo "${GUEST_SAYS}/etc/message says: $(busybox cat /etc/message)"
if [ "$(memory 0 16 | busybox xxd -p)" = ${TABLE_GUID} ] && [ "$(memory 40 ${keySize} | busybox wc -c)" -eq ${keySize} ]; then
  echo "${GUEST_SAYS}of the key $(memory 40 ${keySize} | busybox tr -d '\\0' | busybox wc -c) of ${keySize} bytes are left in memory"
fi
busybox sync
busybox poweroff -f
`;

/** 1e74f542-71dd-4d66-963e-ef4287ff173b as its bytes stand in memory. */
const TABLE_GUID = '42f5741edd71664d963eef4287ff173b';

/** Writes the folder that becomes the encrypted root. */
export async function writeRoot(folder: string, parts: DemoParts, secretArea: number, keySize: number): Promise<void> {
  for (const name of ['bin', 'dev', 'etc', 'proc', 'run', 'sbin', 'sys', 'tmp']) {
    await fs.mkdir(path.join(folder, name), { recursive: true });
  }
  await fs.writeFile(path.join(folder, 'bin/busybox'), readSystemFile(parts.root, parts.busybox), { mode: 0o755 });
  await fs.symlink('busybox', path.join(folder, 'bin/sh'));
  await fs.writeFile(path.join(folder, 'sbin/init'), rootInit(secretArea, keySize), { mode: 0o755 });
  await fs.writeFile(path.join(folder, 'etc/message'), `${MESSAGE}\n`);
}

/** Writes an initrd that has all that `unlock` needs, and not yet `unlock` itself. */
export async function writeBaseInitrd(file: string, { root, kernel, busybox, cryptsetup }: DemoParts): Promise<void> {
  await writeInitrd(root, kernel, file, {
    programs: [busybox, cryptsetup],
    modules: MODULES,
    files: { init: INITRD_INIT },
  });
}
