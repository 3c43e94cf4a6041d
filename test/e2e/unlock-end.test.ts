import * as fs from 'node:fs';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { buildSecretTable } from '../../src/core/secret/table.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { noise } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';
import { GUEST_DEADLINE, runScript } from './guest-machine.ts';
import { GUEST } from './guest-tree.ts';
import { AREA, pinOf } from './unlock-cases.ts';

const TEMPLATES = path.join(import.meta.dirname, '..', '..', 'templates', 'guest');
const KEY = 'the key of the disk, given at launch';
const HEADER = 16 << 20;
// Argon2 runs in threads, which ask for it only when they end.
const LIBGCC = 'usr/lib/x86_64-linux-gnu/libgcc_s.so.1';

/** In both shells: a volume on the open disk, as LVM makes them; then a cryptsetup whose unlock was killed while it derives its key. */
const SCRIPT = `
mkdir -p /usr/lib/bootseal
mount -t tmpfs tmpfs /usr/lib/bootseal
cp /templates/* /usr/lib/bootseal/
mkdir -p /run
echo "bootseal.disk=$(disk root) $(cat /words)" > /run/cmdline
mount --bind /run/cmdline /proc/cmdline
begin() {
  rm -f /run/bootseal.ended
  echo 1 > /proc/sys/kernel/sysrq
  dd if=/area of=/dev/mem bs=256 seek=$((${AREA.base} / 256)) conv=notrunc 2>/dev/null
}
mapped() { cat /sys/block/dm-*/dm/name 2>/dev/null | sort | tr '\\n' ' '; }
for shell in ash dash; do
  begin
  $shell /usr/lib/bootseal/unlock </dev/null
  dmsetup create --noudevsync vg-data --table '0 1024 linear /dev/mapper/root 0'
  echo "$shell before $(mapped)"
  $shell /usr/lib/bootseal/unlock end </dev/null
  echo "$shell end $? $(cat /proc/sys/kernel/sysrq) $(mapped)"
  begin
  $shell /usr/lib/bootseal/unlock </dev/null &
  unlock=$!
  until grep -qs -- --key-file /proc/[0-9]*/cmdline; do usleep 20000; done
  kill -9 $unlock
  echo "$shell goes on $(pidof cryptsetup | wc -w)"
  $shell /usr/lib/bootseal/unlock end </dev/null
  echo "$shell ended $? $(pidof cryptsetup | wc -w)"
  sleep 10
  echo "$shell later $(mapped)$(dd if=/dev/mem bs=4096 skip=$((${AREA.base} / 4096)) count=1 2>/dev/null | head -c ${AREA.size} | tr -d '\\0' | wc -c)"
done
`;

describeWith(GUEST, 'unlock end, on a real kernel', () => {
  it(
    'closes what lies on the disk, and leaves no cryptsetup that would open it later',
    async () => {
      const { folder, remove } = scratch();
      const at = (name: string): string => path.join(folder, name);
      fs.writeFileSync(at('raw'), noise(1 << 20));
      fs.writeFileSync(at('key'), KEY);
      const { status, stderr } = await bootseal('image build --from raw --key-file key --out root'.split(' '), folder);
      expect(status, stderr).toBe(0);
      const pin = pinOf(fs.readFileSync(at('root')).subarray(0, HEADER));
      const table = buildSecretTable([{ guid: DISK_PASSPHRASE, value: Buffer.from(KEY), form: 'raw' }], {
        room: AREA.size,
      });
      const where = `bootseal.secret=0x${AREA.base.toString(16)},0x${AREA.size.toString(16)}`;
      const report = await runScript(folder, {
        script: SCRIPT,
        files: {
          ...Object.fromEntries(
            ['unlock', 'secrets.sh', 'credentials.sh', 'end.sh'].map((name) => [
              `templates/${name}`,
              fs.readFileSync(path.join(TEMPLATES, name)),
            ]),
          ),
          words: `${where} ${pin} bootseal.on-failure=emergency\n`,
          area: Buffer.concat([table, Buffer.alloc(AREA.size - table.length)]),
        },
        disks: [{ file: at('root'), serial: 'root' }],
        cmdline: `memmap=4K$0x${AREA.base.toString(16)}`,
        programs: ['bin/dash', 'sbin/dmsetup', LIBGCC],
      });
      remove();
      const told = report.map((line) => line.trimEnd());
      for (const shell of ['ash', 'dash']) {
        expect(told, report.join('\n')).toEqual(
          expect.arrayContaining([
            `${shell} before root vg-data`,
            `${shell} end 0 0`,
            `${shell} goes on 1`,
            `${shell} ended 0 0`,
            `${shell} later 0`,
          ]),
        );
      }
    },
    GUEST_DEADLINE + 60_000,
  );
});
