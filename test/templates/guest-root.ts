/**
 * @module A guest's initrd in a folder, for `unlock`: it runs there as in a guest (chroot), with real shells, a real cryptsetup and
 * real disks. Plain files stand in the place of what only a machine has: /dev/mem is `area`, the disk is `disk`, the kernel's log is
 * `dev/kmsg`. cryptsetup tries its key and then only notes that the disk is open, since there is no device-mapper.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { inTree, withLibraries } from '../e2e/guest-tree.ts';

const TEMPLATES = path.join(import.meta.dirname, '..', '..', 'templates', 'guest');
const PROGRAMS = ['bin/busybox', 'bin/dash', 'sbin/cryptsetup'];
const LIBGCC = 'usr/lib/x86_64-linux-gnu/libgcc_s.so.1';

/** Where the area is. */
export const BASE = 0x10000;

/**
 * Functions, since they go before what a shell has built in; a guest that ends has a status of its own. Only what watches `end` sleeps for two seconds.
 */
const INSTEAD = `
sleep() { [ "$1" != 2 ] || busybox sleep 2; }
poweroff() { exit 90; }
reboot() { exit 91; }
modprobe() { return 1; }
mount() { :; }
umount() { return 1; }
`;

const DEVMEM = `#!/bin/busybox sh
[ $# -ge 2 ] || exit 1
at=$(($1 - ${BASE}))
[ ! -f /stuck ] || [ $# -eq 2 ] || exit 1
if [ $# -eq 3 ]; then dd if=/dev/zero of=/area bs=1 seek=$at count=$(($2 / 8)) conv=notrunc 2>/dev/null
elif [ $2 -eq 8 ]; then byte=$(dd if=/area bs=1 skip=$at count=1 2>/dev/null | xxd -p) && echo "0x$byte"
else
  word=$(dd if=/area bs=1 skip=$at count=8 2>/dev/null | xxd -p)
  out=
  while [ -n "$word" ]; do out=\${word%"\${word#??}"}$out word=\${word#??}; done
  echo "0x$out"
fi
`;

/** Notes what can be read of the secrets while it runs, and whether it was given a key or asks for one. */
const CRYPTSETUP = `#!/bin/busybox sh
case "$*" in luksDump* | *--test-passphrase*) exec /usr/sbin/cryptsetup "$@" ;; esac
case $1 in
  status) [ -f /opened ] && echo '  cipher:  aes-xts-plain64' ;;
  close) rm -f /opened /dev/mapper/$2 ;;
  open)
    cp /area /area-when-opened
    header= way='asks' name=
    while [ $# -gt 0 ]; do
      case $1 in --header) header=$2 ;; --key-file) way='has a key' ;; esac
      name=$1
      shift
    done
    echo "$way" >>/calls
    case $way in
      asks) busybox sh -c 'test -t 0 && echo "from a terminal"' >>/calls; set -- ;;
      *) set -- --batch-mode --key-file - ;;
    esac
    /usr/sbin/cryptsetup open --test-passphrase --type luks --tries 3 "$@" "$header" || exit
    echo "$name" >/opened
    ;;
esac
`;

/** What one run came to. */
export interface Outcome {
  /** 0, 1, or 90 for a guest that powered off, 91 for one that restarted. */
  readonly status: number | null;
  /** What it said on the console. */
  readonly said: string;
  readonly isOpen: boolean;
  /** The area afterwards, and when a disk was to be opened. */
  readonly area: Buffer;
  readonly areaWhenOpened: Buffer | undefined;
  /** One line for each time that cryptsetup was to open a disk. */
  readonly calls: readonly string[];
  /** Files that were left in memory, and what is in them. */
  readonly left: Readonly<Record<string, Buffer>>;
  /** Credentials that were left for services. */
  readonly credentials: Readonly<Record<string, Buffer>>;
}

/** What a guest is given. */
export interface GuestInput {
  readonly shell: 'dash' | 'ash';
  readonly words: string;
  readonly area: Uint8Array;
  readonly disk: Uint8Array;
  /** Argument of `unlock`. */
  readonly task?: 'disk' | 'crypttab' | 'credentials' | 'forget' | 'forget-credentials' | 'end';
  /** What is typed at the console. */
  readonly typed?: string;
  /** Whether memory cannot be written. */
  readonly isStuck?: boolean;
  /** Lines of /proc/iomem besides those of the area. */
  readonly iomem?: string;
  /** More shell before `unlock`. */
  readonly before?: string;
  /** Shell that is run when `unlock` has ended; the guest's processes live until then. */
  readonly after?: string;
}

/** Makes the folder. */
export function makeGuestRoot(root: string): void {
  for (const folder of [
    'usr/bin',
    'usr/sbin',
    'usr/lib/bootseal',
    'usr/lib64',
    'dev',
    'proc',
    'processes',
    'run',
    'sys',
    'tmp',
  ]) {
    fs.mkdirSync(path.join(root, folder), { recursive: true });
  }
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) fs.symlinkSync(`usr/${name}`, path.join(root, name));
  for (const name of [...withLibraries([...PROGRAMS, LIBGCC])]) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    fs.copyFileSync(inTree(name), path.join(root, name));
  }
  const { stdout } = spawnSync(inTree('bin/busybox'), ['--list'], { encoding: 'utf8' });
  for (const applet of stdout.split('\n').filter(Boolean)) {
    const link = path.join(root, 'bin', applet);
    if (!fs.existsSync(link)) fs.symlinkSync('busybox', link);
  }
  const write = (name: string, text: string) => fs.writeFileSync(path.join(root, name), text, { mode: 0o755 });
  // Only root can make a block device; and a log is not begun anew with each line.
  const changed = (name: string, ...changes: readonly (readonly [string, string])[]): string =>
    changes.reduce(
      (text, [from, to]) => {
        if (!text.includes(from)) throw new Error(`${name} has no ${from}`);
        return text.replaceAll(from, to);
      },
      fs.readFileSync(path.join(TEMPLATES, name), 'utf8'),
    );
  write(
    'usr/lib/bootseal/unlock',
    changed('unlock', ['[ -b "$device" ]', '[ -f "$device" ]'], ['>/dev/kmsg', '>>/dev/kmsg']),
  );
  for (const name of ['secrets.sh', 'credentials.sh']) write(`usr/lib/bootseal/${name}`, changed(name));
  // /proc is made of plain files.
  write('usr/lib/bootseal/end.sh', changed('end.sh', ['/proc/[0-9]', '/processes/[0-9]']));
  write('usr/lib/bootseal/bootseal-devmem', DEVMEM);
  write('usr/lib/bootseal/cryptsetup', CRYPTSETUP);
  write('dev/null', '');
  for (const name of ['random', 'urandom']) fs.writeFileSync(path.join(root, 'dev', name), randomBytes(4096));
}

/** Runs `unlock` there. */
export function unlockIn(
  root: string,
  { shell, words, area, disk, task, typed = '', iomem = '', before = '', after, isStuck }: GuestInput,
): Outcome {
  const at = (name: string) => path.join(root, name);
  const old = [
    'opened',
    'calls',
    'area-when-opened',
    'dev/mapper',
    'sys/kernel',
    'sys/module',
    'sys/block',
    'run/credentials',
    'run/bootseal.turn',
    'run/bootseal.running',
    'run/bootseal.ended',
    ...(task?.startsWith('forget') ? [] : ['run/bootseal', 'run/credstore']),
  ];
  for (const name of old) {
    fs.rmSync(at(name), { recursive: true, force: true });
  }
  fs.rmSync(at('stuck'), { force: true });
  if (isStuck === true) fs.writeFileSync(at('stuck'), '');
  fs.writeFileSync(at('area'), area);
  fs.writeFileSync(at('disk'), disk);
  const reserved = `${BASE.toString(16).padStart(8, '0')}-0001ffff : Reserved\n`;
  fs.writeFileSync(at('proc/iomem'), `00000000-0000ffff : System RAM\n${reserved}${iomem}`);
  fs.writeFileSync(at('dev/kmsg'), '');
  fs.writeFileSync(at('dev/console'), typed);
  fs.writeFileSync(at('dev/zero'), Buffer.alloc(4096));
  fs.writeFileSync(at('proc/sysrq-trigger'), '');
  fs.mkdirSync(at('proc/sys/kernel'), { recursive: true });
  fs.writeFileSync(at('proc/sys/kernel/sysrq'), '438\n');
  const place = `bootseal.secret=0x${BASE.toString(16)},${area.length}`;
  fs.writeFileSync(at('proc/cmdline'), `bootseal.disk=/disk bootseal.wait=0 ${place} ${words}\n`);
  const unlock = `set -- ${task ?? ''}\n. /usr/lib/bootseal/unlock`;
  const ended = after === undefined ? unlock : `( ${unlock} )\nstatus=$?\n${after}\nexit $status`;
  const script = `${INSTEAD}${before}\n${ended}`;
  const interpreter = shell === 'dash' ? ['/bin/dash'] : ['/bin/busybox', 'ash'];
  const inRoot = 'mount -t proc proc "$1/processes" && exec chroot "$@"';
  const ran = spawnSync('unshare', ['-rmpf', 'sh', '-c', inRoot, 'sh', root, ...interpreter, '-c', script], {
    encoding: 'utf8',
    input: '',
  });
  const has = (name: string) => fs.existsSync(at(name));
  return {
    status: ran.status,
    said: fs.readFileSync(at('dev/kmsg'), 'utf8') + ran.stderr + ran.stdout,
    isOpen: has('opened'),
    area: fs.readFileSync(at('area')),
    areaWhenOpened: has('area-when-opened') ? fs.readFileSync(at('area-when-opened')) : undefined,
    calls: has('calls') ? fs.readFileSync(at('calls'), 'utf8').trim().split('\n') : [],
    left: filesIn(at('run/bootseal')),
    credentials: filesIn(at('run/credstore')),
  };
}

/** Files that stand in a folder itself; none where it is no folder. */
function filesIn(folder: string): Readonly<Record<string, Buffer>> {
  const isFolder = fs.lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
  const entries = isFolder ? fs.readdirSync(folder, { withFileTypes: true }) : [];
  const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  return Object.fromEntries(files.map((name) => [name, fs.readFileSync(path.join(folder, name))]));
}
