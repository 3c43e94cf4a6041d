import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readGuestTable } from '../../src/core/guest/table.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { makeRoot, type RootDisk, SERVICE_SECRET } from './encrypted-root.ts';
import { DISK_MODULES, GUEST_DEADLINE } from './guest-machine.ts';
import { GUEST } from './guest-tree.ts';
import { MOUNTED, writeInitrd } from './initrd.ts';
import { type MeasuredRun, runMeasured, SECRET_WORD } from './measured-machine.ts';

/** The first program of an initrd that has only busybox and cryptsetup. */
const INIT = `${MOUNTED}while read -r module; do insmod "$module"; done < /modules
/usr/lib/bootseal/unlock || exec sh
mount -o ro /dev/mapper/root /root
exec switch_root /root /sbin/init
`;

describeWith(GUEST, 'a measured boot: real firmware, a stock Debian kernel, an initrd of busybox', () => {
  let folder: string;
  let remove: () => void;
  let root: RootDisk;
  beforeAll(async () => {
    ({ folder, remove } = scratch());
    root = await makeRoot(folder);
    await writeInitrd(path.join(folder, 'base'), {
      programs: ['bin/busybox', 'sbin/cryptsetup'],
      modules: DISK_MODULES,
      files: { init: INIT },
    });
    const words = ['initrd', 'add', '--base', 'base', '--with', 'unlock', '--out', 'initrd'];
    expect(await bootseal(words, folder)).toMatchObject({ status: 0 });
  }, 60_000);
  afterAll(() => remove());

  const boot = (secrets: Uint8Array): Promise<MeasuredRun> =>
    runMeasured(
      folder,
      {
        initrd: path.join(folder, 'initrd'),
        cmdline: `console=ttyS0 panic=-1 quiet ${SECRET_WORD} ${root.words}`,
        secrets,
        disks: [{ file: root.file, serial: 'root' }],
      },
      GUEST_DEADLINE,
    );

  it(
    'opens its root with the injected key, erases the key, and runs what is in the root',
    async () => {
      const { end, report, console } = await boot(root.secrets);
      expect(end, console).toBe('ended');
      expect(report[0], console).toBe('root /dev/mapper/root');
      expect(report[2], console).toBe('left ');
      const area = Buffer.from(report[1]?.slice('area '.length) ?? '', 'hex');
      expect(area).toHaveLength(0xc00);
      expect(area.includes(root.key)).toBe(false);
      expect(readGuestTable(area)).toMatchObject({
        deleted: 1,
        shown: [{ guid: SERVICE_SECRET.guid, value: new Uint8Array(SERVICE_SECRET.value) }],
      });
    },
    GUEST_DEADLINE + 10_000,
  );

  it(
    'powers off when the key is wrong: the console says so, and there is no shell and no prompt',
    async () => {
      const { end, report, console } = await boot(root.wrongSecrets);
      expect(end, console).toBe('ended');
      expect(report).toEqual([]);
      expect(console).toMatch(/bootseal: the secret 736869e5-\S+ does not open UUID=/);
      expect(console).toMatch(/bootseal: the disk stays closed: powering off/);
      expect(console).not.toMatch(/passphrase|staple|~ #|\/ #/i);
    },
    GUEST_DEADLINE + 10_000,
  );
});
