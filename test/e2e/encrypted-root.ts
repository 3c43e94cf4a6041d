/** @module An encrypted root for guests: what it does when it is started, the disk that image build makes of it, the secrets. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { buildSecretTable } from '../../src/core/secret/table.ts';
import { bootseal } from '../cli/script.ts';
import { inTree } from './guest-tree.ts';
import { REPORT } from './measured-machine.ts';

/** A secret for a service, besides the disk's. */
export const SERVICE_SECRET = { guid: 'e6f5a162-d67f-4750-a67c-5d065f2a9910', value: Buffer.from('for a service') };

/** The first program of the encrypted root: says where it runs and what is left of the secrets. */
const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
[ -c /dev/ttyS1 ] || /bin/busybox mount -t devtmpfs devtmpfs /dev
exec >/dev/ttyS1 2>&1
busybox stty -F /dev/ttyS1 raw
echo "${REPORT}"
echo "root $(busybox awk '$2 == "/" { print $1 }' /proc/mounts | busybox tail -n 1)"
echo "area $(busybox dd if=/dev/mem bs=4096 skip=$((0x810)) count=1 2>/dev/null | busybox head -c 3072 | busybox xxd -p -c 3072)"
echo "left $(busybox ls -A /run/bootseal 2>/dev/null)"
if [ -d /run/credstore ]; then
  cd /run/credstore
  echo "store $(busybox stat -c %a .) $(busybox stat -c '%a %n' *) $(busybox cat * | busybox sha256sum)"
fi
busybox sync
busybox poweroff -f
`;

/** The disk of a guest. */
export interface RootDisk {
  readonly file: string;
  readonly uuid: string;
  /** The words of the command line that the guest needs to open it. */
  readonly words: string;
  /** The secret table that opens it. */
  readonly secrets: Uint8Array;
  /** One with another key in it. */
  readonly wrongSecrets: Uint8Array;
  readonly key: Buffer;
}

/** Makes the disk, with these options of image build. */
export async function makeRoot(folder: string, ...options: string[]): Promise<RootDisk> {
  const files = path.join(folder, 'root');
  for (const name of ['bin', 'dev', 'etc', 'proc', 'run', 'sbin', 'sys', 'tmp', 'usr']) {
    fs.mkdirSync(path.join(files, name), { recursive: true });
  }
  fs.copyFileSync(inTree('bin/busybox'), path.join(files, 'bin/busybox'));
  fs.symlinkSync('busybox', path.join(files, 'bin/sh'));
  fs.writeFileSync(path.join(files, 'sbin/init'), INIT, { mode: 0o755 });
  fs.writeFileSync(path.join(files, 'etc/os-release'), 'ID=test\n');
  return encryptRoot(folder, '32M', ...options);
}

/** Makes the disk of what stands in `root` below the folder; `size` is that of its file system. */
export async function encryptRoot(folder: string, size: string, ...options: string[]): Promise<RootDisk> {
  const at = (name: string) => path.join(folder, name);
  execFileSync('/usr/sbin/mke2fs', ['-q', '-F', '-t', 'ext4', '-b', '4096', '-d', at('root'), at('root.ext4'), size]);
  const args = ['image', 'build', '--from', 'root.ext4', '--new-key', 'root.key', '--out', 'root.disk', '--json'];
  const ran = await bootseal([...args, ...options], folder);
  if (ran.status !== 0) throw new Error(ran.stderr);
  const { header, luks } = JSON.parse(ran.stdout);
  const key = fs.readFileSync(at('root.key'));
  const table = (value: Uint8Array) =>
    buildSecretTable(
      [
        { guid: DISK_PASSPHRASE, value, form: 'raw' },
        { ...SERVICE_SECRET, form: 'raw' },
      ],
      { room: 0xc00 },
    );
  return {
    file: at('root.disk'),
    uuid: luks.uuid,
    words: `bootseal.disk=UUID=${luks.uuid} bootseal.header=${header.sha256},${header.bytes}`,
    secrets: table(key),
    wrongSecrets: table(Buffer.from('correct horse battery staple')),
    key,
  };
}
