import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { guidToBytes, NULL_GUID } from '../../src/core/guid.ts';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { TABLE_HEADER_GUID, TableHead } from '../../src/core/secret/table.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { GUEST } from '../e2e/guest-tree.ts';
import { describeWith } from '../needs.ts';
import { withoutCipher } from '../null-cipher.ts';
import { BASE, type GuestInput, makeGuestRoot, type Outcome, unlockIn } from './guest-root.ts';

const KEY = 'the key of the disk, given at launch';
const PASSPHRASE = 'for the console';
const SERVICE = 'e6f5a162-d67f-4750-a67c-5d065f2a9910';
const SERVICE_VALUE = 'for a service';
const HEADER = 16 << 20;
/** Milliseconds; a process is started for every eight bytes of memory. */
const SLOW = 120_000;

/** Returns an area with these entries, whatever Linux would say of them; secret build refuses most of what is tried here. */
function areaOf(entries: readonly (readonly [guid: string, value: string])[], size?: number): Buffer {
  const packed = entries.map(([guid, value]) =>
    Buffer.concat([
      TableHead.pack({ guid: guidToBytes(guid), length: TableHead.size + value.length }),
      Buffer.from(value),
    ]),
  );
  const body = Buffer.concat(packed);
  const head = TableHead.pack({ guid: guidToBytes(TABLE_HEADER_GUID), length: TableHead.size + body.length });
  const table = Buffer.concat([head, body]);
  return Buffer.concat([table, Buffer.alloc((size ?? Math.ceil(table.length / 16) * 16) - table.length)]);
}

const disk = [DISK_PASSPHRASE, KEY] as const;
const service = [SERVICE, SERVICE_VALUE] as const;
const good = areaOf([disk, service], 0xa0);
const many = (count: number): [string, string][] =>
  Array.from({ length: count }, (_, i) => [`00000000-0000-4000-8000-${`${i}`.padStart(12, '0')}`, `${i % 10}`]);

describeWith(GUEST, 'unlock, in a folder', () => {
  let folder: string;
  let remove: () => void;
  let root: string;
  let image: Buffer;
  let pin: string;
  beforeAll(async () => {
    ({ folder, remove } = scratch());
    root = path.join(folder, 'initrd');
    const at = (name: string) => path.join(folder, name);
    fs.writeFileSync(at('raw'), Buffer.alloc(1 << 16, 'data'));
    fs.writeFileSync(at('key'), KEY);
    fs.writeFileSync(at('passphrase'), PASSPHRASE);
    for (const words of [
      'image build --from raw --key-file key --out disk',
      'image add-key disk --key-file key --new-key-file passphrase',
    ]) {
      const { status, stderr } = await bootseal(words.split(' '), folder);
      expect(status, stderr).toBe(0);
    }
    image = fs.readFileSync(at('disk'));
    pin = `bootseal.header=${createHash('sha256').update(image.subarray(0, HEADER)).digest('hex')},${HEADER}`;
    makeGuestRoot(root);
  }, SLOW);
  afterAll(() => remove());

  const unlockWith = (input: Partial<GuestInput> & { end?: string }): Outcome => {
    const { end = 'poweroff', words = '', ...over } = input;
    const all = `${pin} bootseal.on-failure=${end} ${words}`;
    return unlockIn(root, { shell: 'dash', area: good, disk: image, ...over, words: all });
  };
  /** Nothing that was injected is left, anywhere. */
  const nothingIsLeft = ({ area, left, said }: Outcome) => {
    expect(area.every((byte) => byte === 0)).toBe(true);
    expect(left).toEqual({});
    expect(said).not.toContain(KEY);
    expect(said).not.toContain(SERVICE_VALUE);
  };

  describe.each(['dash', 'ash'] as const)('in %s', (shell) => {
    const unlock: typeof unlockWith = (input) => unlockWith({ shell, ...input });

    it(
      'opens the disk, and leaves the secrets of others',
      () => {
        const outcome = unlock({});
        expect(outcome, outcome.said).toMatchObject({
          status: 0,
          isOpen: true,
          said: '',
          left: {},
          calls: ['has a key'],
        });
        expect(outcome.area.includes(KEY)).toBe(false);
        expect(outcome.area.includes(SERVICE_VALUE)).toBe(true);
      },
      SLOW,
    );

    it.each([
      ['poweroff', 90],
      ['reboot', 91],
      ['emergency', 1],
      ['prompt', 90],
      ['shell', 90],
    ])(
      'ends with %s as it should when the key opens nothing',
      (end, status) => {
        const outcome = unlock({ end, area: areaOf([[DISK_PASSPHRASE, 'another'], service]), typed: 'a guess\n' });
        expect(outcome, outcome.said).toMatchObject({ status, isOpen: false });
        nothingIsLeft(outcome);
      },
      SLOW,
    );

    describe('asked for a prompt', () => {
      it(
        'asks for nothing when the key opens the disk',
        () => {
          const outcome = unlock({ end: 'prompt', typed: `${PASSPHRASE}\n` });
          expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: true, calls: ['has a key'] });
        },
        SLOW,
      );

      it.each<[string, Partial<GuestInput>, RegExp]>([
        ['another key', { area: areaOf([[DISK_PASSPHRASE, 'another'], service]) }, /does not open/],
        ['no key', { area: areaOf([service]) }, /has no entry 736869e5/],
        ['an empty key', { area: areaOf([[DISK_PASSPHRASE, ''], service]) }, /is empty/],
        ['no secrets', { area: Buffer.alloc(0x80) }, /the secret area is empty/],
        ['a malformed table', { area: areaOf([disk, disk]) }, /two entries have the same GUID/],
      ])(
        'asks when there is %s, after everything was erased',
        (_, input, why) => {
          const outcome = unlock({ end: 'prompt', typed: `${PASSPHRASE}\n`, ...input });
          expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: true });
          expect(outcome.calls.at(-1)).toBe('asks');
          expect(outcome.said).toMatch(why);
          expect(outcome.areaWhenOpened?.every((byte) => byte === 0)).toBe(true);
          nothingIsLeft(outcome);
        },
        SLOW,
      );

      it(
        'powers off when nobody answers',
        () => {
          const outcome = unlock({ end: 'prompt', area: areaOf([service]) });
          expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: ['asks'] });
          expect(outcome.said).toMatch(/no passphrase was entered that opens/);
          nothingIsLeft(outcome);
        },
        SLOW,
      );

      it(
        "asks nobody for a disk that is not the owner's: its passphrase would be the host's",
        () => {
          for (const area of [good, areaOf([service])]) {
            const changed = Buffer.from(image);
            changed.writeUInt8(changed.readUInt8(HEADER - 1) ^ 1, HEADER - 1);
            const outcome = unlock({ end: 'prompt', area, disk: changed, typed: `${PASSPHRASE}\n` });
            expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
            expect(outcome.said).toMatch(/is not the owner's/);
            nothingIsLeft(outcome);
          }
        },
        SLOW,
      );

      it(
        'asks nobody while secrets are left',
        () => {
          const outcome = unlock({ end: 'prompt', area: areaOf([service]), typed: `${PASSPHRASE}\n`, isStuck: true });
          expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
          expect(outcome.said).toMatch(/could not be erased, so nobody is asked/);
        },
        SLOW,
      );
    });

    it.each(['sha256sum', 'cryptsetup'] as const)(
      'opens the header that it compared when the host changes the disk before %s is done',
      (program) => {
        // The host's own disk in the place of the owner's, from the moment that the header was copied.
        const change = `echo changed >/disk`;
        const before = {
          sha256sum: `sha256sum() { ${change}; busybox sha256sum "$@"; }`,
          cryptsetup: `cryptsetup() { [ "$1" = open ] && ${change}; /usr/lib/bootseal/cryptsetup "$@"; }`,
        };
        const outcome = unlock({ before: before[program] });
        expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: true });
        expect(fs.readFileSync(path.join(root, 'disk'), 'utf8')).toBe('changed\n');
      },
      SLOW,
    );

    it(
      'refuses a header that changed while it was copied',
      () => {
        const before = 'dd() { case $* in *of=/run*) echo changed >/disk ;; esac; busybox dd "$@"; }';
        const outcome = unlock({ before });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
        nothingIsLeft(outcome);
      },
      SLOW,
    );
  });

  describe('with credentials for services', () => {
    const words = `bootseal.credentials=db.password:${SERVICE} systemd.import_credentials=no`;

    it(
      'opens the disk, and leaves them where it is not told that another does',
      () => {
        const outcome = unlockWith({ words });
        expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: true, said: '', left: {} });
        expect(outcome.credentials).toEqual({ 'db.password': Buffer.from(SERVICE_VALUE) });
        for (const value of [KEY, SERVICE_VALUE]) expect(outcome.area.includes(value)).toBe(false);
        const alone = unlockWith({ words, task: 'disk' });
        expect(alone, alone.said).toMatchObject({ status: 0, isOpen: true, credentials: {} });
        expect(alone.area.includes(SERVICE_VALUE)).toBe(true);
      },
      SLOW,
    );

    it.each<[string, Partial<GuestInput>, RegExp]>([
      ['the disk closed when one is missing', { area: areaOf([disk]) }, /there is no credential db\.password: /],
      [
        'none of them when the disk cannot be opened',
        { area: areaOf([[DISK_PASSPHRASE, 'another'], service]) },
        /does not open/,
      ],
    ])(
      'leaves %s',
      (_, input, why) => {
        const outcome = unlockWith({ words, ...input });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, credentials: {} });
        expect(outcome.said).toMatch(why);
        nothingIsLeft(outcome);
      },
      SLOW,
    );
  });

  describe('for crypttab', () => {
    const task = 'crypttab';
    const nul = areaOf([[DISK_PASSPHRASE, `${KEY}\0`], service], 0xa0);

    it.each([
      ['as it is', good],
      ['without the NUL that ends it', nul],
    ])(
      'leaves the checked header, and the key %s, until it is told to forget them',
      (_, area) => {
        const outcome = unlockWith({ task, area });
        expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: false, said: '', calls: [] });
        expect(Object.keys(outcome.left).sort()).toEqual(['header', 'key']);
        expect(outcome.left['key']?.toString()).toBe(KEY);
        expect(outcome.left['header']?.equals(image.subarray(0, HEADER))).toBe(true);
        expect(outcome.area.includes(KEY)).toBe(false);
        expect(outcome.area.includes(SERVICE_VALUE)).toBe(true);
        const mode = (name: string) => fs.statSync(path.join(root, 'run/bootseal', name)).mode & 0o777;
        expect([mode(''), mode('key')]).toEqual([0o700, 0o600]);
        expect(unlockWith({ task: 'forget' })).toMatchObject({ status: 0, left: {} });
        expect(fs.existsSync(path.join(root, 'run/bootseal'))).toBe(false);
      },
      SLOW,
    );

    it.each<[string, Partial<GuestInput> & { end?: string }, RegExp]>([
      ['another key', { area: areaOf([[DISK_PASSPHRASE, 'another'], service]) }, /does not open/],
      ['a key of nothing but a NUL', { area: areaOf([[DISK_PASSPHRASE, '\0'], service]) }, /does not open/],
      ['no key', { area: areaOf([service]) }, /has no entry 736869e5/],
      ['another header', { disk: Buffer.alloc(HEADER, 'x') }, /is not the owner's/],
      ['the wish for a prompt, which would be of another program', { end: 'prompt' }, /is not for crypttab/],
    ])(
      'leaves nothing when there is %s',
      (_, input, why) => {
        const outcome = unlockWith({ task, ...input });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
        expect(outcome.said).toMatch(why);
        nothingIsLeft(outcome);
      },
      SLOW,
    );

    it(
      'leaves nothing for a header that says the data are not encrypted',
      () => {
        const disk = withoutCipher(image);
        const sha256 = createHash('sha256').update(disk.subarray(0, HEADER)).digest('hex');
        const before = `pinned() { sed -i 's/header=[0-9a-f]*/header=${sha256}/' /proc/cmdline; }; pinned`;
        const outcome = unlockWith({ task, disk, before });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false });
        expect(outcome.said).toMatch(/is not encrypted: its header says cipher_null/);
        nothingIsLeft(outcome);
      },
      SLOW,
    );
  });

  describe('with a header that the owner pinned, and another made', () => {
    const made = (...options: readonly string[]): Partial<GuestInput> => {
      const file = path.join(folder, 'made');
      fs.writeFileSync(file, Buffer.alloc(HEADER + (1 << 20)));
      const cheap = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000', '--key-file', path.join(folder, 'key')];
      const args = ['luksFormat', '-q', ...cheap, ...options, file];
      const { status, stderr } = spawnSync('/usr/sbin/cryptsetup', args, { encoding: 'utf8' });
      expect(status, stderr).toBe(0);
      const disk = fs.readFileSync(file);
      const sha256 = createHash('sha256').update(disk.subarray(0, HEADER)).digest('hex');
      return { disk, before: `pinned() { sed -i 's/header=[0-9a-f]*/header=${sha256}/' /proc/cmdline; }; pinned` };
    };
    const luks2 = ['--type', 'luks2'];

    it.each<[string, readonly string[]]>([
      ['LUKS2', luks2],
      ['LUKS2 with a key of 256 bits', [...luks2, '--key-size', '256']],
      ['LUKS1', ['--type', 'luks1']],
    ])(
      'opens %s',
      (_, options) => {
        const outcome = unlockWith(made(...options));
        expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: true, said: '' });
      },
      SLOW,
    );

    const cbc = ['--cipher', 'aes-cbc-essiv:sha256', '--key-size', '256'];
    it.each<[string, readonly string[], RegExp]>([
      ['another cipher', [...luks2, ...cbc], /breaks the header policy: cipher aes-cbc-essiv:sha256/],
      [
        'another cipher in LUKS1',
        ['--type', 'luks1', ...cbc],
        /breaks the header policy: Cipher mode cbc-essiv:sha256/,
      ],
      [
        'another cipher for its keyslot',
        [...luks2, '--keyslot-cipher', 'aes-cbc-plain64', '--keyslot-key-size', '256'],
        /breaks the header policy: Cipher aes-cbc-plain64/,
      ],
    ])(
      'refuses %s',
      (_, options, why) => {
        for (const task of ['disk', 'crypttab'] as const) {
          const outcome = unlockWith({ task, ...made(...options) });
          expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
          expect(outcome.said).toMatch(why);
          nothingIsLeft(outcome);
        }
      },
      SLOW,
    );

    it(
      'refuses one that cryptsetup cannot read',
      () => {
        const disk = Buffer.alloc(HEADER + (1 << 20), 'x');
        const sha256 = createHash('sha256').update(disk.subarray(0, HEADER)).digest('hex');
        const before = `pinned() { sed -i 's/header=[0-9a-f]*/header=${sha256}/' /proc/cmdline; }; pinned`;
        const outcome = unlockWith({ disk, before });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
        expect(outcome.said).toMatch(/cryptsetup cannot show the header/);
      },
      SLOW,
    );
  });

  // A device of the host's ACPI tables in the area: Linux lists it inside of what is reserved.
  const device = `  ${BASE.toString(16).padStart(8, '0')}-${(BASE + 0xfff).toString(16).padStart(8, '0')} : pnp 00:06\n`;

  describe('when secrets cannot be erased', () => {
    it.each<[string, Partial<GuestInput>]>([
      ['memory cannot be written', { isStuck: true }],
      ['the host has put a device where the area is', { iomem: device }],
      ['nobody says where they are', { before: "sed -i 's/bootseal.secret=[^ ]*//' /proc/cmdline" }],
    ])(
      'leaves nobody a shell when %s',
      (_, input) => {
        const area = areaOf([[DISK_PASSPHRASE, 'another'], service]);
        const outcome = unlockWith({ end: 'emergency', area, ...input });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false });
        expect(outcome.said).toMatch(/could not be erased|no secret was erased/);
        const restarted = unlockWith({ end: 'reboot', area, ...input });
        expect(restarted, restarted.said).toMatchObject({ status: 91, isOpen: false });
      },
      SLOW,
    );

    it(
      'asks nobody for a passphrase when the host has put a device where the area is',
      () => {
        const outcome = unlockWith({ end: 'prompt', iomem: device, typed: `${PASSPHRASE}\n` });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
      },
      SLOW,
    );
  });

  describe('with a driver that shows no more than 64 entries', () => {
    const coco = '/sys/kernel/security/secrets/coco';
    const entries = (count: number) =>
      `mkdir -p ${coco}; i=0; while [ $i -lt ${count} ]; do echo secret >${coco}/$i; i=$((i + 1)); done`;

    it.each([
      ['63 were there', entries(63), 1],
      ['64 were there, and none comes when it is loaded again', `${entries(64)}; modprobe() { return 0; }`, 1],
      ['64 were there, and it cannot be loaded again', `${entries(64)}; rmmod() { return 1; }`, 90],
      [
        'six more come when it is loaded again',
        `${entries(64)}; more=yes; modprobe() { [ "$1" = efi_secret ] && [ -n "$source" ] && [ $more = yes ] && more=no && ${entries(6)}; return 0; }`,
        1,
      ],
    ])(
      'leaves a shell only when nothing is left: %s',
      (_, before, status) => {
        const outcome = unlockWith({ end: 'emergency', before });
        expect(outcome, outcome.said).toMatchObject({ status, isOpen: false });
        expect(fs.readdirSync(path.join(root, coco))).toEqual([]);
        if (status === 90) expect(outcome.said).toMatch(/more secrets may be left than the driver shows/);
      },
      SLOW,
    );

    it(
      'asks nobody for a passphrase when it is there and shows nothing',
      () => {
        const before = "mkdir -p /sys/module/efi_secret; sed -i 's/bootseal.secret=[^ ]*//' /proc/cmdline";
        const outcome = unlockWith({ before, end: 'prompt', typed: `${PASSPHRASE}\n` });
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
      },
      SLOW,
    );

    it(
      'says when it is there and shows nothing',
      () => {
        const before = "mkdir -p /sys/module/efi_secret; sed -i 's/bootseal.secret=[^ ]*//' /proc/cmdline";
        const outcome = unlockWith({ before });
        expect(outcome.said).toMatch(/the driver efi_secret shows no secrets: .* it refused their table/);
        expect(outcome.said).not.toMatch(/no driver/);
      },
      SLOW,
    );
  });

  it(
    'closes a disk that cryptsetup opened before it failed',
    () => {
      const before = `cryptsetup() { /usr/lib/bootseal/cryptsetup "$@"; [ "$1" != open ] || return 137; }`;
      for (const [end, status] of [
        ['emergency', 1],
        ['poweroff', 90],
      ] as const) {
        const outcome = unlockWith({ end, before });
        expect(outcome, outcome.said).toMatchObject({ status, isOpen: false });
        nothingIsLeft(outcome);
      }
    },
    SLOW,
  );

  describe('before a shell of the initrd', () => {
    const task = 'end';
    const opened = 'mkdir -p /dev/mapper; : >/dev/mapper/control; : >/dev/mapper/root; : >/opened';

    it.each([
      ['emergency', 0],
      ['poweroff', 90],
      ['prompt', 90],
      ['reboot', 91],
    ])(
      'with %s closes the disk and erases what is left',
      (end, status) => {
        const outcome = unlockWith({ task, end, before: opened });
        expect(outcome, outcome.said).toMatchObject({ status, isOpen: false, credentials: {} });
        expect(fs.existsSync(path.join(root, 'dev/mapper/root'))).toBe(false);
        if (end === 'emergency') nothingIsLeft(outcome);
        else expect(outcome.said).toMatch(/the initrd cannot go on/);
      },
      SLOW,
    );

    it.each<[string, Partial<GuestInput>]>([
      ['the disk is in use', { before: `${opened}; cryptsetup() { return 5; }` }],
      ['a disk has no name yet', { before: 'mkdir -p /sys/block/dm-0' }],
      ['secrets cannot be erased', { isStuck: true }],
      ['the host has put a device where the secrets are', { iomem: device }],
      ['credentials cannot be removed', { before: 'mkdir -p /run/credstore; echo x >/run/credstore/x; rm() { :; }' }],
    ])(
      'leaves nobody a shell when %s',
      (_, input) => {
        const outcome = unlockWith({ task, end: 'emergency', ...input });
        expect(outcome, outcome.said).toMatchObject({ status: 90 });
        expect(outcome.said).toMatch(/no shell is opened/);
      },
      SLOW,
    );
  });

  // Both shells read tables in secrets.test.ts.
  it.each<[string, Buffer, RegExp | null]>([
    ['64 entries, the last one the key', areaOf([...many(63), disk]), null],
    ['65 entries, the last one the key, which Linux would drop', areaOf([...many(64), disk]), /has no entry 736869e5/],
    ['64 entries and nonsense behind them, which nobody looks at', areaOf([disk, ...many(63), service, service]), null],
    ['two keys for the disk', areaOf([disk, service, [DISK_PASSPHRASE, 'another']]), /two entries have the same GUID/],
    ['two secrets of another name', areaOf([disk, service, service]), /two entries have the same GUID/],
    ['erased entries around the key', areaOf([[NULL_GUID, 'x'.repeat(9)], disk, [NULL_GUID, ''], service]), null],
    [
      'only erased entries',
      areaOf([
        [NULL_GUID, KEY],
        [NULL_GUID, ''],
      ]),
      /has no entry 736869e5/,
    ],
    ['an area of a multiple of 8 that is none of 16', areaOf([disk, service], 0x98), null],
    ['an area of an odd size', areaOf([disk, service], 0x95), null],
    ['an area that ends with the table', areaOf([service, disk], 20 + 20 + 13 + 20 + KEY.length), null],
  ])(
    'given %s',
    (_, area, refusal) => {
      const outcome = unlockWith({ area });
      if (refusal === null) {
        expect(outcome, outcome.said).toMatchObject({ status: 0, isOpen: true });
        expect(outcome.area.includes(KEY)).toBe(false);
      } else {
        expect(outcome, outcome.said).toMatchObject({ status: 90, isOpen: false, calls: [] });
        expect(outcome.said).toMatch(refusal);
        nothingIsLeft(outcome);
      }
    },
    SLOW,
  );
});
