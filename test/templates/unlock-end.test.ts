import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { buildSecretTable } from '../../src/core/secret/table.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { GUEST, inTree } from '../e2e/guest-tree.ts';
import { describeWith } from '../needs.ts';
import { type GuestInput, makeGuestRoot, type Outcome, unlockIn } from './guest-root.ts';

const KEY = 'the key of the disk, given at launch';
const SERVICE = { guid: 'e6f5a162-d67f-4750-a67c-5d065f2a9910', value: Buffer.from('for a service') };
const HEADER = 16 << 20;
const ROOM = 0xa0;
/** Milliseconds; a process is started for every eight bytes of memory. */
const SLOW = 120_000;

const AREA = Buffer.alloc(ROOM);
AREA.set(
  buildSecretTable(
    [
      { guid: DISK_PASSPHRASE, value: Buffer.from(KEY), form: 'raw' },
      { ...SERVICE, form: 'raw' },
    ],
    {
      room: ROOM,
    },
  ),
);

/** A cryptsetup that has read header and key, and opens the disk when /go is there; under the name of systemd's as well. */
const STALLED = `
rm -rf /go /stalled /seen /resumed
mkdir /stalled
cat >/stalled/cryptsetup <<'END'
#!/bin/busybox sh
[ "$1" = open ] || exec /usr/lib/bootseal/cryptsetup "$@"
: >/stalled/begun
until [ -e /go ]; do busybox usleep 20000; done
echo root >/opened
END
chmod +x /stalled/cryptsetup
cp /stalled/cryptsetup /stalled/systemd-cryptsetup
has_begun() { until [ -e /stalled/begun ]; do busybox usleep 20000; done; }
cryptsetup() { /stalled/cryptsetup "$@"; }
begin() { ( set -- disk; . /usr/lib/bootseal/unlock ) & has_begun; }
checks_header() {
  ( sha256sum() { : >/stalled/begun; until [ -e /go ]; do busybox usleep 20000; done; : >/resumed; }; begin; wait ) &
  has_begun
}
by_hand() { "$1" open --header /disk /disk root & has_begun; }
`;
/** Lets it go on, and gives it the time that it needs when nobody has ended it. */
const GO = ': >/go; for _ in 1 2 3 4 5 6 7 8; do [ -e /opened ] || busybox usleep 500000; done';

describeWith(GUEST, 'unlock, before a shell of the initrd', () => {
  let root: string;
  let remove: () => void;
  let image: Buffer;
  let pin: string;
  beforeAll(async () => {
    const made = scratch();
    remove = made.remove;
    root = path.join(made.folder, 'initrd');
    fs.writeFileSync(path.join(made.folder, 'raw'), Buffer.alloc(1 << 16, 'data'));
    fs.writeFileSync(path.join(made.folder, 'key'), KEY);
    const words = 'image build --from raw --key-file key --kdf pbkdf2 --out disk';
    const { status, stderr } = await bootseal(words.split(' '), made.folder);
    expect(status, stderr).toBe(0);
    image = fs.readFileSync(path.join(made.folder, 'disk'));
    pin = `bootseal.header=${createHash('sha256').update(image.subarray(0, HEADER)).digest('hex')},${HEADER}`;
    makeGuestRoot(root);
  }, SLOW);
  afterAll(() => remove());

  const unlock = ({ words = '', ...over }: Partial<GuestInput> & { end?: string }): Outcome =>
    unlockIn(root, {
      shell: 'dash',
      area: AREA,
      disk: image,
      ...over,
      words: `${pin} bootseal.on-failure=${over.end ?? 'emergency'} ${words}`,
    });
  const inRoot = (name: string): string => path.join(root, name);
  const isErased = ({ area }: Outcome): boolean => area.every((byte) => byte === 0);

  describe.each(['dash', 'ash'] as const)('in %s', (shell) => {
    it.each([
      ['an unlock that runs', 'begin'],
      ['one that has not come to the key', 'checks_header'],
      ['what is left of one that was killed', 'begin; kill -9 $!'],
      ['a cryptsetup of somebody else', 'by_hand /stalled/cryptsetup'],
      ['systemd-cryptsetup', 'by_hand /stalled/systemd-cryptsetup'],
    ])(
      'ends %s, which would open the disk behind the shell',
      (_, begun) => {
        const outcome = unlock({ shell, task: 'end', before: `${STALLED}${begun}`, after: GO });
        expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: false, left: {} });
        expect(isErased(outcome)).toBe(true);
        expect(fs.existsSync(inRoot('stalled/begun'))).toBe(true);
        expect(fs.existsSync(inRoot('resumed'))).toBe(false);
      },
      SLOW,
    );

    it(
      'has a second one wait for the first',
      () => {
        const words = `bootseal.credentials=db.password:${SERVICE.guid} systemd.import_credentials=no`;
        const look = '( busybox sleep 2; ls /run/credstore >/seen 2>&1; : >/go ) &';
        const outcome = unlock({
          ...{ shell, words, task: 'credentials', before: `${STALLED}begin; ${look}`, after: 'wait' },
        });
        expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: true, said: '' });
        expect(outcome.credentials).toEqual({ 'db.password': SERVICE.value });
        expect(fs.readFileSync(inRoot('seen'), 'utf8')).toMatch(/No such file/);
      },
      SLOW,
    );

    it.each(['disk', 'end'] as const)(
      'does not wait, with %s, for one that is gone',
      (task) => {
        const before = 'mkdir -p /run/bootseal.turn; : >/run/bootseal.running';
        const outcome = unlock({ shell, task, before });
        expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: task === 'disk', said: '' });
      },
      SLOW,
    );

    it.each([': >/run/bootseal.turn', 'mkdir -p /run/bootseal.turn/in'])(
      'does not wait for what is no unlock: %s',
      (made) => {
        const outcome = unlock({ shell, before: `mkdir -p /run; ${made}` });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
        expect(outcome.said).toMatch(/bootseal\.turn is there, and no unlock has made it/);
      },
      SLOW,
    );

    it(
      'opens nothing after it, whatever key there is',
      () => {
        const before = 'cp /area /kept; ( set -- end; . /usr/lib/bootseal/unlock ); cp /kept /area';
        const outcome = unlock({ shell, before });
        expect(outcome, outcome.said).toMatchObject({ status: 1, isOpen: false, calls: [] });
        expect(outcome.said).toMatch(/a shell of the initrd came first/);
        expect(isErased(outcome)).toBe(true);
      },
      SLOW,
    );

    it.each(['disk', 'credentials', 'crypttab', 'end'] as const)(
      "takes the kernel's keys from the console, with %s",
      (task) => {
        const words = `bootseal.credentials=db.password:${SERVICE.guid} systemd.import_credentials=no`;
        const outcome = unlock({ shell, task, words });
        expect(outcome.status, outcome.said).toBe(0);
        expect(fs.readFileSync(inRoot('proc/sys/kernel/sysrq'), 'utf8')).toBe('0\n');
      },
      SLOW,
    );

    it.each([
      ['poweroff', 'o\n'],
      ['reboot', 'b\n'],
    ])(
      'ends the machine with %s when a disk does not come to be closed',
      (end, letter) => {
        // Without an end of its own this would be a test that never ends.
        const before = `mkdir -p /sys/block/dm-0/dm; echo root >/sys/block/dm-0/dm/name; rm -f /hung
sleep() { :; }
cryptsetup() {
  i=0
  until [ -s /proc/sysrq-trigger ]; do i=$((i + 1)); [ $i -lt 600 ] || { : >/hung; break; }; busybox usleep 50000; done
  cp /proc/sysrq-trigger /seen
  return 1
}`;
        const outcome = unlock({ shell, task: 'end', end, before });
        expect(fs.existsSync(inRoot('hung'))).toBe(false);
        expect(fs.readFileSync(inRoot('seen'), 'utf8')).toBe(letter);
        expect(outcome.said).toMatch(/could not be ended within 300 seconds/);
      },
      SLOW,
    );

    it(
      'closes what lies on the disk first',
      () => {
        const before = `
for pair in 0:root_dif 1:root 2:vg-root 3:vg-root-cow; do
  mkdir -p /sys/block/dm-\${pair%%:*}/dm
  echo "\${pair#*:}" >/sys/block/dm-\${pair%%:*}/dm/name
done
: >/seen
cryptsetup() {
  [ "$*" = 'close root' ] && [ ! -e /sys/block/dm-2 ] && echo "$*" >>/seen && rm -r /sys/block/dm-0 /sys/block/dm-1
}
dmsetup() {
  case $* in
    'remove vg-root-cow') [ -e /sys/block/dm-3 ] && rm -r /sys/block/dm-3 ;;
    'remove vg-root') [ ! -e /sys/block/dm-3 ] && rm -r /sys/block/dm-2 ;;
    *) return 1 ;;
  esac && echo "$*" >>/seen
}`;
        const outcome = unlock({ shell, task: 'end', before });
        expect(outcome, outcome.said).toMatchObject({ status: 0, said: '' });
        expect(fs.readFileSync(inRoot('seen'), 'utf8')).toBe('remove vg-root-cow\nremove vg-root\nclose root\n');
      },
      SLOW,
    );
  });

  it(
    'takes no missing name in /dev for a closed disk after a failure',
    () => {
      const before = `mkdir -p /sys/block/dm-0/dm; echo root >/sys/block/dm-0/dm/name
cryptsetup() { case $1 in close) return 5 ;; open) return 137 ;; *) /usr/lib/bootseal/cryptsetup "$@" ;; esac; }`;
      const outcome = unlock({ before });
      expect(outcome, outcome.said).toMatchObject({ status: 90 });
      const closed = unlock({ before: before.replace('return 5', 'rm -r /sys/block/dm-0') });
      expect(closed, closed.said).toMatchObject({ status: 1 });
    },
    SLOW,
  );

  describe('with copies of credentials that services have', () => {
    const copies = `mount() { busybox mount "$@"; }
umount() { busybox umount "$@"; }
ln -sf /processes/mounts /proc/mounts
for copy in db.service/password db.service/.hidden web.service/tls.key; do
  mkdir -p /run/credentials/\${copy%/*}
  grep -q " /run/credentials/\${copy%/*} " /processes/mounts || mount -t ramfs ramfs /run/credentials/\${copy%/*}
  echo secret >/run/credentials/$copy
done
mount -o remount,ro /run/credentials/db.service
! true 2>/dev/null >/run/credentials/db.service/password || exit 99`;

    it.each([
      ['', ''],
      [
        ', also while a service is in them',
        '( cd /run/credentials/db.service; exec busybox sleep 100 ) & sleep() { busybox sleep "$1"; }; sleep 1',
      ],
    ])(
      'removes them%s',
      (_, held) => {
        const after = 'ls -AR /run/credentials >/seen';
        const outcome = unlock({ task: 'end', before: `${copies}\n${held}`, after });
        expect(outcome, outcome.said).toMatchObject({ status: 0, said: '' });
        expect(fs.readFileSync(inRoot('seen'), 'utf8')).not.toMatch(/password|hidden|tls\.key/);
      },
      SLOW,
    );

    it(
      'leaves nobody a shell when they stay',
      () => {
        const outcome = unlock({ task: 'end', before: `${copies}\nrm() { :; }; umount() { return 1; }` });
        expect(outcome, outcome.said).toMatchObject({ status: 90 });
        expect(outcome.said).toMatch(/the credentials of a service could not be removed/);
      },
      SLOW,
    );
  });
});

describeWith(GUEST, "the drop-in for systemd's emergency mode", () => {
  const UNITS = path.join(import.meta.dirname, '..', '..', 'templates', 'systemd');
  const DROP_IN = path.join(UNITS, 'emergency.conf');

  it('gives nobody a shell when `unlock end` does not come to its end, and powers off', () => {
    const lines = fs.readFileSync(DROP_IN, 'utf8').split('\n');
    for (const line of [
      'FailureAction=poweroff-immediate',
      "ExecStartPre=/bin/sh -c 'test ! -e /etc/initrd-release || exec /usr/lib/bootseal/unlock end'",
      'TimeoutStartFailureMode=kill',
    ]) {
      expect(lines).toContain(line);
    }
    // It ends the machine by itself after so many seconds, as the owner chose; systemd only after that.
    const end = fs.readFileSync(path.join(UNITS, '..', 'guest', 'end.sh'), 'utf8');
    const own = Number(/^MAX_END=(\d+)$/m.exec(end)?.[1]);
    const minutes = Number(/^TimeoutStartSec=(\d+)min$/m.exec(lines.join('\n'))?.[1]);
    expect(minutes * 60).toBeGreaterThan(own);
  });

  it('leaves the disks of crypttab to the real root: one of two conditions is enough there', () => {
    const lines = fs.readFileSync(path.join(UNITS, 'cryptsetup-key.conf'), 'utf8').split('\n');
    expect(lines.filter((line) => line.startsWith('Condition'))).toEqual([
      'ConditionPathExists=|!/etc/initrd-release',
      'ConditionPathExists=|/run/bootseal/header',
    ]);
  });

  it('does nothing outside of an initrd', () => {
    const script = /^ExecStartPre=\/bin\/sh -c '(.*)'$/m.exec(fs.readFileSync(DROP_IN, 'utf8'))?.[1] ?? 'exit 9';
    const run = (release: string) =>
      spawnSync(
        'sh',
        ['-c', script.replace('/etc/initrd-release', release).replace('/usr/lib/bootseal/unlock', 'echo')],
        {
          encoding: 'utf8',
        },
      );
    expect(run('/nowhere/initrd-release')).toMatchObject({ status: 0, stdout: '' });
    expect(run('/dev/null')).toMatchObject({ status: 0, stdout: 'end\n' });
  });

  it.each(['emergency', 'rescue'])(
    'says nothing that the systemd of a guest does not know, for %s.service',
    (mode) => {
      const { folder, remove } = scratch();
      fs.mkdirSync(path.join(folder, `${mode}.service.d`));
      fs.copyFileSync(inTree(`usr/lib/systemd/system/${mode}.service`), path.join(folder, `${mode}.service`));
      fs.copyFileSync(DROP_IN, path.join(folder, `${mode}.service.d`, 'bootseal.conf'));
      // /root is that of the guest's tree, in a namespace of its own: a folder that is in every tree and that nothing reads.
      const verify =
        'mount --rbind /proc "$1/proc" && mount --bind "$2" "$1/root" && exec chroot "$1" /usr/bin/env -i \
SYSTEMD_UNIT_PATH=/root:/usr/lib/systemd/system /usr/bin/systemd-analyze verify --man=no --recursive-errors=no';
      const args = ['-rm', 'sh', '-c', `${verify} "/root/${mode}.service"`, 'sh', inTree('.'), folder];
      const { status, stderr } = spawnSync('unshare', args, { encoding: 'utf8' });
      remove();
      expect(stderr).toBe('');
      expect([0, 1]).toContain(status);
    },
    SLOW,
  );
});
