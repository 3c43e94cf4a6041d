import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readGuestTable } from '../../src/core/guest/table.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { noise } from '../disk-image/raw-image.ts';
import { describeWith } from '../needs.ts';
import { withoutCipher } from '../null-cipher.ts';
import { GUEST_DEADLINE, runScript } from './guest-machine.ts';
import { GUEST } from './guest-tree.ts';
import { AREA, OTHER, pinOf, type UnlockCase, unlockCases } from './unlock-cases.ts';

const TEMPLATES = path.join(import.meta.dirname, '..', '..', 'templates', 'guest');
// One case has it as text with a NUL at its end, and one as a line: there must be neither within.
const KEY = Buffer.from(randomBytes(32).map((byte) => (byte === 0 || byte === 10 ? 1 : byte)));
const HEADER = 16 << 20;
const CIPHER = { root: 'aes-xts-plain64', tags: 'capi:authenc(hmac(sha256),xts(aes))-plain64' };

/** For each case and shell: writes the area, runs unlock under the case's command line, and reports what came of it. */
const SCRIPT = `
mkdir -p /usr/lib/bootseal
mount -t tmpfs tmpfs /usr/lib/bootseal
cp /templates/* /usr/lib/bootseal/
try() {
  shell=$1 name=$2 device=$(disk "$3")
  echo "bootseal.disk=\${device:-/dev/none} $(cat "/cases/$name/cmdline")" > /run/cmdline
  if [ -f "/cases/$name/cryptsetup" ]; then
    { echo '#!/bin/sh'; echo "device=$device"; cat "/cases/$name/cryptsetup"; } > /usr/lib/bootseal/cryptsetup
    chmod +x /usr/lib/bootseal/cryptsetup
  fi
  if [ -f "/cases/$name/typed" ]; then
    { cat "/cases/$name/typed"; echo; } > /run/console
    mount --bind /run/console /dev/console
  fi
  : > /run/said
  exec 3>>/run/said
  if [ -f "/cases/$name/mute" ]; then
    mount --bind /dev/full /dev/kmsg
    exec 3>/dev/full
  fi
  dd if="/cases/$name/area" of=/dev/mem bs=256 seek=$((${AREA.base} / 256)) conv=notrunc 2>/dev/null
  dmesg -c > /dev/null
  mount --bind /run/cmdline /proc/cmdline
  $shell /usr/lib/bootseal/unlock >&3 2>&3 3>&- < /dev/null
  status=$?
  exec 3>&-
  umount /proc/cmdline
  umount /dev/kmsg 2>/dev/null
  umount /dev/console 2>/dev/null
  cipher=$(dmsetup table root 2>/dev/null | awk '{ print $4 }')
  cryptsetup close root 2>/dev/null
  rm -f /usr/lib/bootseal/cryptsetup
  changed=
  if [ "$name" = changed-after-check ]; then
    head -c 32768 "$device" | cmp -s - /null-header && changed=yes
    cat /root-header > "$device"
  fi
  left=$(ls /run/bootseal 2>/dev/null | wc -l)
  echo "$shell $name|$status|$cipher|$left|$(dd if=/dev/mem bs=4096 skip=$((${AREA.base} / 4096)) count=1 2>/dev/null | head -c ${AREA.size} | xxd -p -c ${AREA.size})|$(dmesg | grep bootseal: | sed 's/.*bootseal: //' | tr '\\n' ';')|$(tr '\\n' ';' < /run/said)|$changed"
}
`;

/** What one case came to. */
interface Outcome {
  readonly status: number;
  /** Of the opened disk, as the kernel has it; empty when it is not open. */
  readonly cipher: string;
  /** Files that were left in memory. */
  readonly left: number;
  /** The first bytes of the secret area afterwards. */
  readonly area: Buffer;
  readonly message: string;
  readonly printed: string;
  /** Whether the host's header was on the disk in the end. */
  readonly isChanged: boolean;
}

describeWith(GUEST, 'unlock, on a real kernel', () => {
  let folder: string;
  let remove: () => void;
  let cases: readonly UnlockCase[];
  let outcomes: Map<string, Outcome>;
  let report: readonly string[];
  const at = (name: string): string => path.join(folder, name);

  async function makeDisk(name: string, ...options: string[]): Promise<Buffer> {
    const args = ['image', 'build', '--from', 'raw', '--key-file', 'key', '--out', name, ...options];
    const ran = await bootseal(args, folder);
    expect(ran.status, ran.stderr).toBe(0);
    return fs.readFileSync(at(name)).subarray(0, HEADER);
  }

  beforeAll(async () => {
    ({ folder, remove } = scratch());
    fs.writeFileSync(at('raw'), noise(1 << 20));
    fs.writeFileSync(at('key'), KEY);
    const header = await makeDisk('root');
    const tags = await makeDisk('tags', '--integrity', 'hmac');
    const encryptsNothing = withoutCipher(header);
    fs.writeFileSync(at('null'), Buffer.concat([encryptsNothing, noise(1 << 20)]));
    cases = unlockCases({ key: KEY, pin: { root: pinOf(header), null: pinOf(encryptsNothing), tags: pinOf(tags) } });
    const templates = ['unlock', 'secrets.sh', 'credentials.sh', 'end.sh'].map(
      (name) => [`templates/${name}`, fs.readFileSync(path.join(TEMPLATES, name))] as const,
    );
    const tries = cases.flatMap(({ name, disk, both }) =>
      ['ash', ...(both ? ['dash'] : [])].map((shell) => `try ${shell} ${name} ${disk}\n`),
    );
    report = await runScript(folder, {
      script: SCRIPT + tries.join(''),
      files: {
        ...Object.fromEntries(templates),
        'null-header': encryptsNothing.subarray(0, 1 << 15),
        'root-header': header.subarray(0, 1 << 15),
        ...Object.fromEntries(cases.flatMap(filesOf)),
      },
      disks: ['root', 'tags', 'null'].map((name) => ({ file: at(name), serial: name })),
      cmdline: `memmap=4K$0x${AREA.base.toString(16)}`,
      programs: ['bin/dash', 'sbin/dmsetup'],
    });
    outcomes = new Map(report.map(parseOutcome));
  }, GUEST_DEADLINE + 60_000);
  afterAll(() => remove());

  it('does what it should in every case, in both shells, and leaves nothing secret', () => {
    // The last one powers the guest off, though its caller wants to go on: its secrets could not be looked for.
    const going = cases.slice(0, -1);
    expect(cases.at(-1)?.name).toBe('not-reserved');
    expect([...outcomes.keys()]).toEqual(
      going.flatMap(({ name, both }) => [`ash ${name}`, ...(both ? [`dash ${name}`] : [])]),
    );
    for (const [title, outcome] of outcomes) {
      const { says, notes } = cases.find(({ name }) => title.endsWith(` ${name}`)) ?? {};
      const shown = `${title}: ${JSON.stringify(outcome)}`;
      expect(outcome.printed, shown).toBe('');
      expect(outcome.isChanged, shown).toBe(title.endsWith(' changed-after-check'));
      expect(outcome.left, shown).toBe(0);
      expect(outcome.area, shown).toHaveLength(AREA.size);
      expect(outcome.area.includes(KEY), shown).toBe(false);
      if (notes !== undefined) {
        expect([outcome.status, outcome.cipher], shown).toEqual([0, CIPHER.root]);
        expect(outcome.message, shown).toMatch(notes);
        expect(
          outcome.area.every((byte) => byte === 0),
          shown,
        ).toBe(true);
      } else if (says === null) {
        const cipher = title.endsWith(' integrity') ? CIPHER.tags : CIPHER.root;
        expect([outcome.status, outcome.cipher, outcome.message], shown).toEqual([0, cipher, '']);
        // What other services need stays, and can be read.
        const { shown: entries } = readGuestTable(outcome.area);
        expect(
          entries.map(({ guid, value }) => [guid, Buffer.from(value)]),
          shown,
        ).toEqual([[OTHER.guid, OTHER.value]]);
      } else {
        expect([outcome.status, outcome.cipher], shown).toEqual([1, '']);
        expect(outcome.message, shown).toMatch(says ?? /./);
        expect(
          outcome.area.every((byte) => byte === 0),
          shown,
        ).toBe(true);
      }
    }
  });
});

/** What the guest needs of a case; every case ends with a status, so that the next one can be tried. */
function filesOf({ name, words, area, instead = {}, typed, mute }: UnlockCase): (readonly [string, string | Buffer])[] {
  const end = words.some((word) => word.startsWith('bootseal.on-failure=')) ? '' : ' bootseal.on-failure=emergency';
  return [
    [`cases/${name}/cmdline`, `${words.join(' ')}${end}\n`],
    ...(typed === undefined ? [] : [[`cases/${name}/typed`, typed] as const]),
    [`cases/${name}/area`, area],
    ...Object.entries(instead).map(([program, shell]) => [`cases/${name}/${program}`, `${shell}\n`] as const),
    ...(mute === undefined ? [] : [[`cases/${name}/mute`, ''] as const]),
  ];
}

function parseOutcome(line: string): readonly [string, Outcome] {
  const [name = '', status, cipher = '', left, area = '', message = '', printed = '', changed] = line.split('|');
  return [
    name,
    {
      ...{ status: Number(status), cipher, left: Number(left), area: Buffer.from(area, 'hex'), message, printed },
      isChanged: changed === 'yes',
    },
  ];
}
