import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readGuestTable } from '../../src/core/guest/table.ts';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { buildSecretTable, TableHead } from '../../src/core/secret/table.ts';
import { scratch } from '../cli/script.ts';
import { GUEST } from '../e2e/guest-tree.ts';
import { describeWith } from '../needs.ts';
import { type GuestInput, makeGuestRoot, type Outcome, unlockIn } from './guest-root.ts';

const PASSWORD = { guid: 'e6f5a162-d67f-4750-a67c-5d065f2a9910', value: Buffer.from('of the database\n\0') };
const KEY = { guid: '1ee27366-0c87-43a6-af48-28543eaf7cb0', value: Buffer.from([0, 1, 10, 13, 0x27, 0x5c, 0xff, 0]) };
const OTHER = { guid: '0a46e24d-478c-4eb1-8696-113eeec3aa99', value: Buffer.from('of nobody here') };
const ROOM = 0x100;
/** Milliseconds; a process is started for every eight bytes of memory. */
const SLOW = 120_000;

const areaOf = (...secrets: readonly { guid: string; value: Buffer }[]): Buffer => {
  const table = buildSecretTable(
    secrets.map((secret) => ({ ...secret, form: 'raw' })),
    { room: ROOM },
  );
  return Buffer.concat([table, Buffer.alloc(ROOM - table.length)]);
};

const AREA = areaOf(PASSWORD, KEY, OTHER);
const TWO = `db.password:${PASSWORD.guid},tls-key_1:${KEY.guid}`;
const NO_IMPORTS = 'systemd.import_credentials=no';

describeWith(GUEST, 'unlock, for services', () => {
  let root: string;
  let remove: () => void;
  beforeAll(() => {
    const made = scratch();
    remove = made.remove;
    root = path.join(made.folder, 'initrd');
    makeGuestRoot(root);
  }, SLOW);
  afterAll(() => remove());

  const inRoot = (name: string): string => path.join(root, name);
  const leave = (input: Partial<GuestInput>): Outcome =>
    unlockIn(root, {
      shell: 'dash',
      task: 'credentials',
      words: `bootseal.credentials=${TWO} ${NO_IMPORTS}`,
      area: AREA,
      disk: Buffer.alloc(0),
      ...input,
    });
  const refuses = (input: Partial<GuestInput>, why: RegExp): void => {
    const outcome = leave(input);
    expect(outcome, outcome.said).toMatchObject({ status: 90, credentials: {}, calls: [] });
    expect(outcome.said).toMatch(why);
    expect(outcome.said).toMatch(/no credentials are left: powering off/);
    expect(outcome.area.every((byte) => byte === 0)).toBe(true);
    for (const { value } of [PASSWORD, KEY, OTHER]) expect(outcome.said).not.toContain(value.toString('latin1'));
  };

  describe.each(['dash', 'ash'] as const)('in %s', (shell) => {
    it(
      'leaves exactly what is named, for root only, and erases its secrets alone',
      () => {
        const outcome = leave({ shell });
        expect(outcome, outcome.said).toMatchObject({ status: 0, said: '', left: {}, calls: [] });
        expect(outcome.credentials).toEqual({ 'db.password': PASSWORD.value, 'tls-key_1': KEY.value });
        const mode = (name: string) => fs.statSync(inRoot(`run/credstore/${name}`)).mode & 0o777;
        expect([mode('.'), mode('db.password'), mode('tls-key_1')]).toEqual([0o700, 0o600, 0o600]);
        for (const { value } of [PASSWORD, KEY]) expect(outcome.area.includes(value)).toBe(false);
        expect(readGuestTable(outcome.area)).toMatchObject({ deleted: 2, shown: [{ guid: OTHER.guid }] });
        expect(leave({ shell, task: 'forget-credentials' })).toMatchObject({ status: 0, credentials: {} });
        expect(fs.existsSync(inRoot('run/credstore'))).toBe(false);
      },
      SLOW,
    );

    it(
      'names the credential whose secret is missing, and leaves none of the others',
      () => {
        refuses(
          { shell, area: areaOf(PASSWORD, OTHER) },
          new RegExp(`there is no credential tls-key_1: .*${KEY.guid}`),
        );
      },
      SLOW,
    );

    it.each([
      '../etc/shadow',
      '..',
      '.',
      '.hidden',
      '',
      '/etc/x',
      'a/b',
      'a b',
      'a$b',
      'a%b',
      'a*',
      'ü',
      'x'.repeat(256),
    ])(
      'refuses the name %j',
      (name) => {
        const words = `bootseal.credentials=${name}:${PASSWORD.guid} ${NO_IMPORTS}`;
        refuses({ shell, words }, /cannot be the name of a credential|is too long|is not of the form NAME:GUID/);
        expect(fs.existsSync(inRoot('run/credstore'))).toBe(false);
        expect(fs.existsSync(inRoot('etc/shadow'))).toBe(false);
      },
      SLOW,
    );
  });

  it.each([
    ['no GUID', 'a', /is not of the form NAME:GUID/],
    ['one in upper case', `a:${PASSWORD.guid.toUpperCase()}`, /is not of the form NAME:GUID/],
    ['a path for a GUID', 'a:../../../etc/passwd', /is not of the form NAME:GUID/],
    ['a comma at the end', `a:${PASSWORD.guid},`, /cannot be the name of a credential/],
    ['a name twice', `a:${PASSWORD.guid},a:${KEY.guid}`, /a:1ee27366-\S+ stands there a second time/],
    ['a secret twice', `a:${PASSWORD.guid},b:${PASSWORD.guid}`, /b:e6f5a162-\S+ stands there a second time/],
    ["the disk's key", `a:${DISK_PASSPHRASE}`, /is the key of the disk/],
  ])('refuses %s', (_, word, why) => refuses({ words: `bootseal.credentials=${word} ${NO_IMPORTS}` }, why), SLOW);

  it.each(['', 'systemd.import_credentials=yes', `${NO_IMPORTS} systemd.import_credentials=1`])(
    'refuses a command line with which the host could bring credentials of the same names: %j',
    (words) => refuses({ words: `bootseal.credentials=${TWO} ${words}` }, /systemd\.import_credentials=no is not on/),
    SLOW,
  );

  it(
    'refuses to leave nothing',
    () => refuses({ words: '' }, /bootseal\.credentials is not on the command line/),
    SLOW,
  );

  it(
    'asks for no passphrase in the place of a missing table',
    () => {
      const words = `bootseal.credentials=${TWO} ${NO_IMPORTS} bootseal.on-failure=prompt`;
      refuses({ words, area: Buffer.alloc(ROOM) }, /the secret area is empty/);
    },
    SLOW,
  );

  it.each([
    ['emergency', 1],
    ['reboot', 91],
  ])(
    'ends with %s where the owner wants that, after everything was erased',
    (end, status) => {
      const words = `bootseal.credentials=${TWO} ${NO_IMPORTS} bootseal.on-failure=${end}`;
      const outcome = leave({ words, area: areaOf(PASSWORD, OTHER) });
      expect(outcome, outcome.said).toMatchObject({ status, credentials: {} });
      expect(outcome.area.every((byte) => byte === 0)).toBe(true);
    },
    SLOW,
  );

  it.each([
    ['a link to another folder', 'mkdir -p /elsewhere; ln -s /elsewhere /run/credstore'],
    ['a link to nothing', 'rm -rf /elsewhere; ln -s /elsewhere /run/credstore'],
    ['a file', 'echo planted >/run/credstore'],
    [
      'a folder with a link of that name',
      'mkdir -p /run/credstore /elsewhere; ln -s /elsewhere/taken /run/credstore/db.password',
    ],
  ])(
    'writes nothing where it finds %s',
    (_, before) => {
      fs.rmSync(inRoot('elsewhere'), { recursive: true, force: true });
      const outcome = leave({ before });
      expect(outcome, outcome.said).toMatchObject({ status: 90, calls: [] });
      expect(outcome.said).toMatch(/there is something at \/run\/credstore already/);
      expect(outcome.area.every((byte) => byte === 0)).toBe(true);
      const elsewhere = inRoot('elsewhere');
      expect(fs.existsSync(elsewhere) ? fs.readdirSync(elsewhere) : []).toEqual([]);
    },
    SLOW,
  );

  it(
    'takes an empty folder for none',
    () => {
      const outcome = leave({ before: 'mkdir -m 0755 /run/credstore' });
      expect(outcome, outcome.said).toMatchObject({ status: 0, said: '' });
      expect(fs.statSync(inRoot('run/credstore')).mode & 0o777).toBe(0o700);
    },
    SLOW,
  );

  it(
    'leaves nothing where the secrets cannot be erased',
    () => {
      const outcome = leave({ isStuck: true });
      expect(outcome, outcome.said).toMatchObject({ status: 90, credentials: {} });
      expect(outcome.said).toMatch(/the secret e6f5a162-\S+ for the credential db\.password could not be erased/);
    },
    SLOW,
  );

  it(
    'refuses an empty secret',
    () => {
      // secret build refuses to make one; here the length of the one that is there becomes that of a head.
      const area = areaOf(KEY);
      area.writeUInt32LE(TableHead.size, TableHead.size + 16);
      area.writeUInt32LE(2 * TableHead.size, 16);
      refuses({ area, words: `bootseal.credentials=k:${KEY.guid} ${NO_IMPORTS}` }, /for the credential k is empty/);
    },
    SLOW,
  );
});
