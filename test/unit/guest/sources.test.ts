import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BootsealError } from '../../../src/core/errors.ts';
import { findSecrets, secretsInFile } from '../../../src/guest/find-secrets.ts';
import { type Guest, thisGuest } from '../../../src/guest/guest.ts';
import type { SecretSource } from '../../../src/guest/source.ts';
import { scratch } from '../../cli/script.ts';
import { HINT, hinted } from '../../failure.ts';
import { BASE, DISK, driverless, guestWith, KBC, secretArea, writeTree } from '../../guest-tree.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

const texts = async (source: SecretSource) =>
  (await source.read()).entries.map(({ guid, value }) => [guid, Buffer.from(value).toString()]);
const two: [string, string][] = [
  [DISK, 'correct horse'],
  [KBC, '{}'],
];
const why = async (guest: Guest): Promise<string> => {
  try {
    await findSecrets(guest);
  } catch (error) {
    const { kind, message } = hinted(error);
    if (kind === 'io') return message;
    throw error;
  }
  return 'found';
};

describe('securityfs', () => {
  it.each(['secrets/coco', 'coco/efi_secret', 'coco/sev_secret'])('reads and erases in %s', async (place) => {
    writeTree(folder, {
      [`sys/kernel/security/${place}/${DISK}`]: 'correct horse',
      [`sys/kernel/security/${place}/${KBC}`]: '',
      [`sys/kernel/security/${place}/readme`]: 'no secret',
    });
    const { source, passed } = await findSecrets(guestWith(folder, new Uint8Array(0)));
    expect(passed).toEqual([]);
    expect(source.place).toBe(`/sys/kernel/security/${place}`);
    expect(await texts(source)).toEqual([
      [DISK, 'correct horse'],
      [KBC, ''],
    ]);
    await source.erase(DISK);
    expect(await texts(source)).toEqual([[KBC, '']]);
    await expect(source.erase(DISK)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot erase /sys/kernel/security/${place}/${DISK}: there is no such secret`,
    });
    expect(await source.eraseAll()).toBe(1);
    expect(fs.readdirSync(path.join(folder, 'sys/kernel/security', place))).toEqual(['readme']);
  });

  it('does not say that all is erased where the driver shows as many as it can', async () => {
    const place = 'sys/kernel/security/secrets/coco';
    const many = (count: number) =>
      Object.fromEntries(
        Array.from({ length: count }, (_, i) => [`${place}/${DISK.slice(0, -2)}${10 + i}`, 'correct horse']),
      );
    writeTree(folder, many(64));
    const { source } = await findSecrets(guestWith(folder, new Uint8Array(0)));
    await expect(source.eraseAll()).rejects.toMatchObject({
      kind: 'io',
      message: `64 secrets were erased at /${place}, and more may be left in memory: the driver shows 64 at most`,
      hint: expect.stringContaining('modprobe -r efi_secret; modprobe efi_secret'),
    });
    expect(fs.readdirSync(path.join(folder, place))).toEqual([]);
    expect(await source.eraseAll()).toBe(0);
    writeTree(folder, many(63));
    expect(await source.eraseAll()).toBe(63);
  });

  it('is taken before memory, also when it is empty', async () => {
    writeTree(folder, { ...driverless, 'sys/kernel/security/secrets/coco/': '' });
    const { source } = await findSecrets(guestWith(folder, secretArea(two)));
    expect(source.kind).toBe('securityfs');
    expect(await texts(source)).toEqual([]);
  });

  it('refuses a file that is larger than any secret', async () => {
    writeTree(folder, { [`sys/kernel/security/secrets/coco/${DISK}`]: 'x'.repeat(0x4001) });
    const { source } = await findSecrets(guestWith(folder, new Uint8Array(0)));
    await expect(source.read()).rejects.toMatchObject({ kind: 'format', hint: HINT });
  });

  const mounted = {
    ...driverless,
    'proc/mounts': 'securityfs /sys/kernel/security securityfs rw 0 0\n',
    'proc/cmdline': '',
  };
  it.each<[string, Record<string, string>, string]>([
    ['no mount', { ...driverless, 'proc/cmdline': '' }, 'securityfs is not mounted; try: mount -t securityfs'],
    ['no driver', mounted, 'this kernel has no driver efi_secret (CONFIG_EFI_SECRET)'],
    [
      'a driver that is not loaded',
      { ...mounted, 'lib/modules/6.1.0-test/modules.dep': 'kernel/drivers/virt/coco/efi_secret/efi_secret.ko:\n' },
      'the driver efi_secret is not loaded; try: modprobe efi_secret',
    ],
    [
      'a driver that shows nothing',
      { ...mounted, 'sys/module/efi_secret/': '' },
      'the driver efi_secret is loaded and shows nothing; the kernel log may say why',
    ],
  ])('says that there is %s', async (_, files, message) => {
    writeTree(folder, files);
    expect(await why(guestWith(folder, new Uint8Array(0)))).toContain(`securityfs: ${message}`);
  });
});

describe('memory', () => {
  it('is read through devmem, as far as the table goes', async () => {
    writeTree(folder, driverless);
    const guest = guestWith(folder, secretArea(two));
    const { source, passed } = await findSecrets(guest);
    expect(passed).toEqual([{ place: 'securityfs', why: expect.stringContaining('not mounted') }]);
    expect(source.place).toBe('/dev/mem at 0x810000, 3072 bytes');
    expect(await texts(source)).toEqual(two);
    // 75 bytes of table: three words for the header, then eight from byte 16 on.
    expect(guest.calls.length).toBe(3 + 8);
    expect(guest.calls[0]).toEqual(['busybox', 'devmem', '0x810000', '64']);
    expect(guest.calls.every((call) => call.length === 4)).toBe(true);
  });

  it.each([0x78, 0x7c, 0x79])(
    'is read and erased to its last byte, and not beyond: an area of %i bytes',
    async (size) => {
      writeTree(folder, { ...driverless, 'proc/cmdline': `bootseal.secret=0x810000,${size}\n` });
      const area = secretArea([two[1] ?? [KBC, ''], [DISK, 'x'.repeat(size - 62)]], size);
      const guest = guestWith(folder, area);
      const { source } = await findSecrets(guest);
      expect((await texts(source))[1]).toEqual([DISK, 'x'.repeat(size - 62)]);
      await source.eraseAll();
      expect(area.every((byte) => byte === 0)).toBe(true);
      const ends = guest.calls.map(([, , address, width]) => Number(address) + Number(width) / 8);
      expect(Math.max(...ends)).toBe(BASE + size);
    },
  );

  it('reads only a header where there is no table', async () => {
    writeTree(folder, driverless);
    const guest = guestWith(folder, new Uint8Array(0xc00));
    const { table } = await (await findSecrets(guest)).source.read();
    expect(table?.refusal).toMatchObject({ code: 'no-table' });
    expect(guest.calls.length).toBe(3);
  });

  it('is erased as the driver does it: value and name are zeros, lengths stay, and so does all else', async () => {
    writeTree(folder, driverless);
    const area = secretArea(two);
    const before = new Uint8Array(area);
    const guest = guestWith(folder, area);
    const { source } = await findSecrets(guest);
    await source.erase(DISK);
    const expected = new Uint8Array(before);
    expected.fill(0, 20, 36);
    expected.fill(0, 40, 53);
    expect(area).toEqual(expected);
    expect(await texts(source)).toEqual([[KBC, '{}']]);
    expect((await source.read()).table?.deleted).toBe(1);
    for (const call of guest.calls.filter(({ length }) => length === 5)) expect(call[4]).toBe('0');
    await expect(source.erase(DISK)).rejects.toMatchObject({ kind: 'io', hint: HINT });
  });

  it('is erased whole, also where no table can be read', async () => {
    writeTree(folder, driverless);
    const area = new Uint8Array(0xc00).fill(7);
    const guest = guestWith(folder, area);
    expect(await (await findSecrets(guest)).source.eraseAll()).toBe(0);
    expect(area.every((byte) => byte === 0)).toBe(true);
  });

  it('finds out when erasing has no effect', async () => {
    writeTree(folder, driverless);
    const area = secretArea(two);
    const honest = guestWith(folder, area);
    const guest: Guest = {
      ...honest,
      run: async (program, run) => (run.args.length === 4 ? { stdout: '' } : honest.run(program, run)),
    };
    const { source } = await findSecrets(guest);
    await expect(source.erase(DISK)).rejects.toThrow(
      `the secret ${DISK} at /dev/mem at 0x810000, 3072 bytes is still there`,
    );
    await expect(source.eraseAll()).rejects.toThrow('is still there after it was erased');
  });

  it('erases both where one GUID stands twice', async () => {
    writeTree(folder, driverless);
    const area = secretArea([...two, [DISK, 'again']]);
    const { source } = await findSecrets(guestWith(folder, area));
    expect((await source.read()).table?.refusal?.code).toBe('duplicate-guid');
    await source.erase(DISK);
    expect(Buffer.from(area).includes('correct horse') || Buffer.from(area).includes('again')).toBe(false);
  });

  it.each<[string, Record<string, string>, Partial<Guest>, string]>([
    ['no /proc', {}, {}, '/proc is not mounted; try: mount -t proc proc /proc'],
    [
      'no address',
      { ...driverless, 'proc/cmdline': 'quiet' },
      {},
      'the kernel command line names no secret area (bootseal.secret=ADDRESS,SIZE)',
    ],
    [
      'a wrong address',
      { ...driverless, 'proc/cmdline': 'bootseal.secret=1' },
      {},
      'is not of the form 0x810000,0xc00',
    ],
    ['another user', driverless, { isRootUser: false }, '/dev/mem is for root only'],
    [
      'no /dev/mem',
      Object.fromEntries(Object.entries(driverless).filter(([name]) => name !== 'dev/mem')),
      {},
      'there is no /dev/mem (CONFIG_DEVMEM, or /dev is not mounted)',
    ],
    [
      'lockdown',
      { ...driverless, 'sys/kernel/security/lockdown': 'none [integrity] confidentiality\n' },
      {},
      'the kernel is locked down (integrity), which closes /dev/mem',
    ],
    [
      'memory in use',
      { ...driverless, 'proc/iomem': '00100000-3fffffff : System RAM\n' },
      {},
      '/dev/mem at 0x810000, 3072 bytes: not kept for secrets, /proc/iomem says "System RAM"',
    ],
    ['an empty list', { ...driverless, 'proc/iomem': '' }, {}, '/proc/iomem does not list it'],
  ])('says that there is %s', async (_, files, over, message) => {
    writeTree(folder, files);
    expect(await why(guestWith(folder, new Uint8Array(0xc00), over))).toContain(message);
  });

  it('is not looked for in a list longer than any kernel makes', async () => {
    writeTree(folder, driverless);
    fs.truncateSync(path.join(folder, 'proc/iomem'), (1 << 22) + 1);
    await expect(findSecrets(guestWith(folder, new Uint8Array(0xc00)))).rejects.toMatchObject({
      kind: 'format',
      hint: HINT,
      message: '/proc/iomem is larger than 4194304 bytes, the most that is accepted here',
    });
    fs.rmSync(path.join(folder, 'proc/iomem'));
    fs.mkdirSync(path.join(folder, 'proc/iomem'));
    await expect(findSecrets(guestWith(folder, new Uint8Array(0xc00)))).rejects.toMatchObject({
      kind: 'io',
      hint: HINT,
      message: 'cannot read /proc/iomem: is a directory',
    });
  });

  it('is open where lockdown is none', async () => {
    writeTree(folder, { ...driverless, 'sys/kernel/security/lockdown': '[none] integrity confidentiality\n' });
    expect(await why(guestWith(folder, new Uint8Array(0xc00)))).toBe('found');
  });

  it.each<[string, () => Promise<{ stdout: string }>, object]>([
    [
      'a kernel that refuses',
      () =>
        Promise.reject(
          new BootsealError('tool', 'busybox failed: devmem: mmap: Operation not permitted', { hint: 'x' }),
        ),
      { kind: 'io', hint: HINT, message: 'the kernel does not let /dev/mem be mapped at 0x810000' },
    ],
    [
      'a busybox without devmem',
      () =>
        Promise.reject(
          new BootsealError('tool', 'busybox failed (status 127): devmem: applet not found', { hint: 'x' }),
        ),
      { kind: 'tool', hint: HINT, message: 'this busybox has no devmem' },
    ],
    [
      'no busybox',
      () => Promise.reject(new BootsealError('tool', 'busybox is not installed', { hint: 'install it' })),
      { kind: 'tool', hint: HINT },
    ],
    [
      'something else',
      async () => ({ stdout: 'hello' }),
      { kind: 'tool', hint: HINT, message: 'busybox devmem printed no number of 64 bits' },
    ],
  ])('says that there is %s', async (_, run, error) => {
    writeTree(folder, driverless);
    const { source } = await findSecrets(guestWith(folder, new Uint8Array(0xc00), { run }));
    await expect(source.read()).rejects.toMatchObject(error);
  });
});

describe('a file', () => {
  it('is read and erased', async () => {
    const file = path.join(folder, 'table');
    fs.writeFileSync(file, secretArea(two, 96));
    const { source } = await secretsInFile(file);
    expect(await texts(source)).toEqual(two);
    await source.erase(KBC);
    expect(await texts(source)).toEqual([two[0]]);
    expect(await source.eraseAll()).toBe(1);
    expect(fs.readFileSync(file)).toEqual(Buffer.alloc(96));
  });
  it('may be of any size that is no table', async () => {
    const file = path.join(folder, 'table');
    for (const size of [0, 1, 19, 20]) {
      fs.writeFileSync(file, new Uint8Array(size));
      expect((await (await secretsInFile(file)).source.read()).table?.refusal).not.toBe(null);
    }
    fs.writeFileSync(file, new Uint8Array(0x4001));
    await expect(secretsInFile(file)).rejects.toMatchObject({ kind: 'format', hint: HINT });
    await expect(secretsInFile(path.join(folder, 'missing'))).rejects.toMatchObject({ kind: 'io', hint: HINT });
    await expect(secretsInFile(folder)).rejects.toMatchObject({ kind: 'io', hint: HINT });
  });
});

describe('thisGuest', () => {
  it('is this machine', () => {
    expect(thisGuest()).toMatchObject({ root: '/', isRootUser: process.getuid?.() === 0 });
    expect(BASE).toBe(0x810000);
  });
});
