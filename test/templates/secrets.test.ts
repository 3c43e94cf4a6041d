import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Area } from '../../src/core/firmware/firmware.ts';
import { secretAreaOf } from '../../src/core/guest/command-line.ts';
import { readGuestTable } from '../../src/core/guest/table.ts';
import { guidFromBytes } from '../../src/core/guid.ts';
import { hexToBytes } from '../../src/core/hex.ts';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { buildSecretTable } from '../../src/core/secret/table.ts';
import { scratch } from '../cli/script.ts';
import { GUEST, inTree } from '../e2e/guest-tree.ts';
import { vectors } from '../fixtures.ts';
import { describeWith } from '../needs.ts';

const SECRETS = path.join(import.meta.dirname, '..', '..', 'templates', 'guest', 'secrets.sh');
const OTHER = 'e6f5a162-d67f-4750-a67c-5d065f2a9910';
const AREA_SIZE = 0xc00;
/** Milliseconds; the reader starts a process for every eight bytes. */
const SLOW = 120_000;

/** The reader, with a file `area` in the place of memory at 0x10000. */
const PRELUDE = `
. ${SECRETS}
mount() { :; }
modprobe() { :; }
securityfs=$PWD/securityfs
area_is_reserved() { :; }
devmem_find() { devmem=fake; }
fake() {
  if [ $# -eq 3 ]; then dd if=/dev/zero of=area bs=1 seek=$(($1 - 65536)) count=$(($2 / 8)) conv=notrunc 2>/dev/null
  elif [ $2 -eq 8 ]; then byte=$(od -An -v -tx1 -j $(($1 - 65536)) -N 1 area) && printf '0x%02X\\n' "0x\${byte# }"
  else word=$(od -An -v -tx8 -j $(($1 - 65536)) -N 8 area) && printf '0x%016X\\n' "0x\${word# }"; fi
}
`;

/** Places that a command line may name, possible ones and others. */
const PLACES = [
  ...['', '0', '0x10000', '0x10000,', ',0xc00', ',', '0x,0xc00', '0x10000,0x', 'x10000,0xc00', '0x1x,0xc00'],
  ...['0x10000,0xc00', '0x10000,0xC00', '0X10000,0xc00', '65536,3072', '065536,3072', '0x10000,03072', '0x10000,0'],
  ...['0x10008,0xc00', '0x10001,0xc00', '16,20', '0,20', '0x0,20'],
  ...[
    '0x10000,0xc08',
    '0x10000,0xc04',
    '0x10000,0xc01',
    '0x10000,19',
    '0x10000,16',
    '0x10000,0x4000',
    '0x10000,0x4001',
  ],
  ...['0xfffffffffbff0,0x4000', '0xfffffffffc000,0x4000', '0x10000000000000,0xc00', '0x0000000010000,0x0000000000c00'],
  ...['0x00000000010000,0xc00', '999999999999984,32', '9999999999999984,32', '0x10000,9999999999999999'],
];

const { cases } = vectors<{ linux_efi_secret_conformance: { cases: { id: string; area: string }[] } }>(
  'secret.json',
).linux_efi_secret_conformance;

describeWith(GUEST, "the initrd's reader", () => {
  let folder: string;
  let remove: () => void;
  beforeEach(() => {
    ({ folder, remove } = scratch());
  });
  afterEach(() => remove());

  const at = (name: string): string => path.join(folder, name);
  const writeArea = (bytes: Uint8Array) =>
    fs.writeFileSync(at('area'), Buffer.concat([bytes, Buffer.alloc(AREA_SIZE - bytes.length)]));

  describe.each([
    { shell: 'dash', words: [inTree('bin/dash')] },
    { shell: 'ash of busybox', words: [inTree('bin/busybox'), 'ash'] },
  ])('in $shell', ({ words: [program = '', ...words] }) => {
    const run = (script: string): Buffer => {
      const ran = spawnSync(program, [...words, '-uf', '-c', PRELUDE + script], { cwd: folder });
      expect(ran.stderr.toString(), script).toBe('');
      return ran.stdout;
    };
    /** What the reader finds: a word for each entry, or what it says. */
    const found = () => run('secrets_find 0x10000,0xc00 && echo "ok $table" || echo "$problem"').toString().trim();

    it.each(cases)(
      'finds in $id what Linux shows',
      ({ area }) => {
        const bytes = hexToBytes(area);
        writeArea(bytes);
        const { shown, refusal } = readGuestTable(fs.readFileSync(at('area')));
        const said = found();
        if (refusal !== null) {
          expect(said).toMatch(/^(malformed secret table: |the secret area is empty)/);
        } else {
          const entries = said.split(' ').slice(1).filter(Boolean);
          const guids = entries.map((entry) => guidFromBytes(hexToBytes(entry.slice(0, 32))));
          expect(guids).toEqual(shown.map(({ guid }) => guid));
          expect(entries.map((entry) => Number(entry.split(':')[2]))).toEqual(shown.map(({ value }) => value.length));
        }
      },
      SLOW,
    );

    it(
      'prints exactly a secret, of any bytes and at any place',
      () => {
        for (const size of [1, 4, 7]) {
          const value = Buffer.from(Array.from({ length: 90 }, (_, i) => (i * 3 + size * 41) % 256));
          const secrets = [
            { guid: OTHER, value: Buffer.alloc(size, 0xff), form: 'raw' },
            { guid: DISK_PASSPHRASE, value, form: 'raw' },
          ] as const;
          writeArea(buildSecretTable(secrets, { room: AREA_SIZE }));
          const script = `secrets_find 65536,3072; secret_find ${DISK_PASSPHRASE}; secret_print ${DISK_PASSPHRASE} 89`;
          expect(run(script).equals(value.subarray(0, 89))).toBe(true);
        }
      },
      SLOW,
    );

    it.each(['raw', 'nul'] as const)(
      'tells whether one ends in a NUL, and erases it alone: %s',
      (form) => {
        const secrets = [
          { guid: DISK_PASSPHRASE, value: Buffer.from('key'), form },
          { guid: OTHER, value: Buffer.from('other'), form: 'raw' },
        ] as const;
        writeArea(buildSecretTable(secrets, { room: AREA_SIZE }));
        const script = `secrets_find 65536,3072; secret_find ${DISK_PASSPHRASE}; secret_measure ${DISK_PASSPHRASE}
        echo "$size $ends_in_nul"; secret_erase ${DISK_PASSPHRASE} && echo erased`;
        expect(run(script).toString()).toBe(form === 'nul' ? '4 yes\nerased\n' : '3 no\nerased\n');
        const area = fs.readFileSync(at('area'));
        expect(area.includes('key')).toBe(false);
        expect(readGuestTable(area)).toMatchObject({
          deleted: 1,
          shown: [{ guid: OTHER, value: new Uint8Array(Buffer.from('other')) }],
        });
        run('secrets_find 65536,0x100; secrets_erase_all');
        expect(fs.readFileSync(at('area')).every((byte) => byte === 0)).toBe(true);
      },
      SLOW,
    );

    it(
      'finds a secret again whose erasing was interrupted, and erases the rest',
      () => {
        const area = buildSecretTable(
          [
            { guid: DISK_PASSPHRASE, value: Buffer.alloc(20, 'k'), form: 'raw' },
            { guid: OTHER, value: Buffer.from('other'), form: 'raw' },
          ],
          { room: AREA_SIZE },
        );
        // Stops for good after so many writes.
        const stopping = (writes: number) => `
        writes=${writes}
        devmem_find() { devmem=stopping; }
        stopping() {
          if [ $# -eq 3 ]; then [ $writes -gt 0 ] || return 1; writes=$((writes - 1)); fi
          fake "$@"
        }
        `;
        const erase = `secrets_find 65536,3072; secret_find ${DISK_PASSPHRASE} && secret_erase ${DISK_PASSPHRASE}`;
        for (const writes of [0, 1, 2]) {
          writeArea(area);
          expect(run(`${stopping(writes)} ${erase} || echo stopped`).toString()).toBe('stopped\n');
          expect(fs.readFileSync(at('area')).includes('k')).toBe(true);
          expect(run(`${erase} && echo erased`).toString()).toBe('erased\n');
          expect(fs.readFileSync(at('area')).includes('k')).toBe(false);
          expect(readGuestTable(fs.readFileSync(at('area'))).shown.map(({ guid }) => guid)).toEqual([OTHER]);
        }
      },
      SLOW,
    );

    it('says what is missing', () => {
      writeArea(buildSecretTable([{ guid: OTHER, value: Buffer.from('x'), form: 'raw' }], { room: AREA_SIZE }));
      expect(run(`secrets_find 65536,3072; secret_find ${DISK_PASSPHRASE} || echo "$problem"`).toString()).toBe(
        `the secret table has no entry ${DISK_PASSPHRASE}\n`,
      );
      expect(run('secrets_find "" || echo "$problem"').toString()).toMatch(
        /no driver efi_secret.*no bootseal\.secret=/,
      );
    });

    it.each([0xf0, 0xf8, 0xfc, 0xf1])(
      'reads and erases an area of %i bytes to its last byte, and not beyond',
      (size) => {
        const value = Buffer.alloc(size - 40, 'k');
        const behind = Buffer.alloc(16, 'b');
        const table = buildSecretTable([{ guid: DISK_PASSPHRASE, value, form: 'raw' }], { room: AREA_SIZE });
        fs.writeFileSync(at('area'), Buffer.concat([table.subarray(0, size), behind]));
        expect(readGuestTable(table.subarray(0, size)).shown).toHaveLength(1);
        const find = `secrets_find 65536,${size}; secret_find ${DISK_PASSPHRASE}`;
        const seen = 'devmem_find() { devmem=seen; }; seen() { echo "$1 $2" >>seen; fake "$@"; }';
        expect(run(`${seen}; ${find}; secret_print ${DISK_PASSPHRASE} ${value.length}`).equals(value)).toBe(true);
        run(`${seen}; ${find}; secrets_erase_all`);
        expect(fs.readFileSync(at('area'))).toEqual(Buffer.concat([Buffer.alloc(size), behind]));
        const words = fs.readFileSync(at('seen'), 'utf8').trim().split('\n');
        const ends = words.map((line) => line.split(' ').map(Number)).map(([from = 0, bits = 0]) => from + bits / 8);
        expect(Math.max(...ends)).toBe(65536 + size);
      },
      SLOW,
    );

    it.each(PLACES)('takes %j for the place that it is to the commands, or refuses it as they do', (place) => {
      const area = ((): Area | undefined => {
        try {
          return secretAreaOf(`bootseal.secret=${place}`);
        } catch {
          return undefined;
        }
      })();
      const said = run(`area_find '${place}' && echo "$area_base $area_size" || echo refused`).toString();
      expect(said).toBe(area === undefined ? 'refused\n' : `${area.base} ${area.size}\n`);
    });

    it.each(['0x10000,0xc00,1', '1e5,0xc00', '010000,0xc00', '0x10000000000000,0xc00', '$((1)),0xc00', 'a[0],1'])(
      'refuses what is no place: %j',
      (place) => {
        expect(run(`secrets_find '${place}' || echo "$problem"`).toString()).toMatch(/is not of the form/);
      },
    );

    it("uses the driver's files where they are, and erases them", () => {
      const secrets = at('securityfs/secrets/coco');
      fs.mkdirSync(secrets, { recursive: true });
      fs.writeFileSync(path.join(secrets, DISK_PASSPHRASE), 'binary\0\n\0');
      fs.writeFileSync(path.join(secrets, OTHER), 'other');
      const find = `secrets_find ''; secret_find ${DISK_PASSPHRASE}`;
      expect(run(`${find}; secret_print ${DISK_PASSPHRASE} 8`).toString()).toBe('binary\0\n');
      expect(run(`${find}; secret_measure ${DISK_PASSPHRASE}; echo $size $ends_in_nul`).toString()).toBe('9 yes\n');
      expect(run(`secrets_find ''; secret_measure ${OTHER}; echo $size $ends_in_nul`).toString()).toBe('5 no\n');
      run(`${find}; secret_erase ${DISK_PASSPHRASE}`);
      expect(fs.readdirSync(secrets)).toEqual([OTHER]);
      expect(run(`${find} || echo "$problem"`).toString()).toMatch(/there is no entry 736869e5/);
      // Without a program that erases or lists, what is left is still seen.
      expect(run("rm() { :; }; ls() { return 127; }; secrets_find ''; secrets_erase_all || echo left").toString()).toBe(
        'left\n',
      );
      run("secrets_find ''; secrets_erase_all");
      expect(fs.readdirSync(secrets)).toEqual([]);
    });
  });
});
