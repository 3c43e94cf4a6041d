/** LUKS headers against Debian's cryptsetup: it opens ours, we open its, and both find the same volume key. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readHeader, unlock } from '../../src/core/luks/image.ts';
import { encodeLuks1 } from '../../src/core/luks/luks1.ts';
import { printJson } from '../../src/core/luks/metadata/json.ts';
import { type NewKey, type PlanOptions, plan } from '../../src/core/luks/plan.ts';
import { checkHeaderPolicy, type PolicyRule } from '../../src/core/luks/policy.ts';
import { cryptSectors } from '../../src/core/luks/sectors.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { memoryDisk, nodeLuksCrypto, seededRandom } from '../luks-image.ts';
import { describeWith, needRoot } from '../needs.ts';
import { CRYPTSETUP, cryptsetup, cryptsetupSucceeds, REENCRYPTION, volumeKey } from './cryptsetup-peer.ts';
import { seedOfRun } from './random-launch.ts';

const SEED = seedOfRun();
const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const read = (name: string) => new Uint8Array(fs.readFileSync(at(name)));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const text = (value: string) => new Uint8Array(Buffer.from(value));

const cheap = { type: 'pbkdf2', iterations: 1000 } as const;
const argon2id = { type: 'argon2id', time: 4, memory: 64, cpus: 2 } as const;
const luks2: PlanOptions = {
  version: 2,
  dataSize: 1 << 20,
  keySize: 64,
  sectorSize: 4096,
  detached: false,
  headerSize: 0x1000000,
  keys: [{ passphrase: text('one'), kdf: cheap }],
};
const luks1: PlanOptions = { ...luks2, version: 1, sectorSize: 512, headerSize: 0x200000 };
const several: readonly NewKey[] = [
  { passphrase: text('one'), kdf: cheap },
  { passphrase: text('two\n'), kdf: argon2id },
  { passphrase: seededRandom(5)(64), kdf: { type: 'pbkdf2', iterations: 2345 } },
];

const OURS: Readonly<Record<string, PlanOptions>> = {
  luks2,
  'luks2-512': { ...luks2, sectorSize: 512, keySize: 32, headerSize: 0x100000 },
  'luks2-argon2id': { ...luks2, keys: [{ passphrase: text('one'), kdf: argon2id }] },
  'luks2-several': {
    ...luks2,
    keys: several.map((key, id) => ({ ...key, priority: id === 0 ? 1 : id === 1 ? 2 : 0 })),
    label: 'rooté',
    subsystem: 'bootseal',
    tokens: [
      { meaning: { type: 'bootseal', secret: '736869e5-84f0-4973-92ec-06879ce3da0b' }, keyslots: [0] },
      { meaning: { type: 'luks2-keyring', keyDescription: 'root' }, keyslots: [1, 2] },
    ],
  },
  'luks2-detached': { ...luks2, detached: true, keys: several },
  'luks2-32-keys': {
    ...luks2,
    keySize: 32,
    keys: Array.from({ length: 32 }, (_, i) => ({ passphrase: text(`key ${i}`), kdf: cheap })),
  },
  luks1,
  'luks1-256': { ...luks1, keySize: 32 },
  'luks1-8-keys': {
    ...luks1,
    keys: Array.from({ length: 8 }, (_, i) => ({ passphrase: text(`key ${i}`), kdf: cheap })),
  },
  'luks1-detached': { ...luks1, detached: true },
};

/** Writes the image of a plan, and the file of its header where that is detached; returns the header's file and the key. */
async function write(name: string, options: PlanOptions): Promise<{ readonly file: string; readonly key: Uint8Array }> {
  const { extents, sectors } = await plan(options, seededRandom(SEED), nodeLuksCrypto);
  const data = seededRandom(SEED + 1)(options.dataSize);
  if (sectors.tags !== undefined) throw new Error('this plan has tags');
  const encrypted = cryptSectors('encrypt', sectors, data, 0, nodeLuksCrypto.aes);
  for (const file of new Set(extents.map((extent) => extent.file))) fs.writeFileSync(at(`${name}.${file}`), '');
  for (const extent of extents) {
    const bytes = extent.kind === 'bytes' ? extent.bytes : encrypted;
    const handle = fs.openSync(at(`${name}.${extent.file}`), 'r+');
    fs.writeSync(handle, bytes, 0, bytes.length, extent.at);
    fs.closeSync(handle);
  }
  return { file: at(`${name}.${options.detached ? 'header' : 'image'}`), key: sectors.key };
}

describeWith(CRYPTSETUP, `cryptsetup (BOOTSEAL_SEED=${SEED})`, () => {
  describe.each(Object.entries(OURS))('our %s', (name, options) => {
    const opened = (file: string, passphrase: Uint8Array, id: number) =>
      cryptsetup(['open', '--test-passphrase', '--key-file', '-', '--key-slot', String(id), file], passphrase).status;

    it('is opened by every key and no other, to the same volume key, and needs no repair', async () => {
      const { file, key } = await write(name, options);
      const before = fs.readFileSync(file);
      for (const [id, { passphrase }] of options.keys.entries())
        expect(opened(file, passphrase, id), `key ${id}`).toBe(0);
      expect(opened(file, text('another'), 0)).toBe(2);
      expect(opened(file, options.keys[0]?.passphrase ?? key, options.keys.length)).not.toBe(0);
      expect(volumeKey(file, options.keys[0]?.passphrase ?? key)).toBe(hex(key));
      const dump = cryptsetupSucceeds(['luksDump', '--debug', file]);
      expect(dump.split('\n').filter((line) => /error|fail|recover|invalid|illegal/i.test(line))).toEqual([]);
      // cryptsetup mends a bad copy without being asked: had there been one, the file would now be another.
      expect(fs.readFileSync(file).equals(before)).toBe(true);
      for (const id of (options.tokens ?? []).keys()) {
        expect(cryptsetupSucceeds(['token', 'export', '--token-id', String(id), file])).toContain('"keyslots"');
      }
    });
  });

  it('decrypts our data back (reencrypt --decrypt, no device-mapper)', async (test) => {
    needRoot(test, REENCRYPTION);
    const options: PlanOptions = { ...luks2, detached: true, dataSize: 4 << 20 };
    for (const sectorSize of [512, 4096] as const) {
      const name = `decrypt-${sectorSize}`;
      const { file } = await write(name, { ...options, sectorSize });
      const args = ['reencrypt', '--decrypt', '--header', file, '--force-offline-reencrypt', '--key-slot', '0'];
      cryptsetupSucceeds([...args, '--key-file', '-', at(`${name}.image`)], text('one'));
      expect(Buffer.compare(read(`${name}.image`), seededRandom(SEED + 1)(4 << 20))).toBe(0);
    }
  });

  const PBKDF2 = ['--pbkdf', 'pbkdf2', '--pbkdf-force-iterations', '1000'];
  const argon = (type: string, cpus: number) => [
    ...['--pbkdf', type, '--pbkdf-force-iterations', '4', '--pbkdf-memory', '64'],
    ...['--pbkdf-parallel', String(cpus)],
  ];
  /** Options of luksFormat, with the rules of our policy that the image breaks. */
  const THEIRS: Readonly<Record<string, readonly [args: readonly string[], broken?: readonly PolicyRule[]]>> = {
    'LUKS2 as it is': [PBKDF2],
    'LUKS2 with AES-128': [[...PBKDF2, '-s', '256']],
    'LUKS2 with argon2id': [argon('argon2id', 1)],
    'LUKS2 with argon2i in 4 lanes': [argon('argon2i', 4)],
    'LUKS2 with SHA-1': [[...PBKDF2, '--hash', 'sha1']],
    'LUKS2 with SHA-384': [[...PBKDF2, '--hash', 'sha384']],
    'LUKS2 with SHA-512': [[...PBKDF2, '--hash', 'sha512']],
    'LUKS2 with sectors of 1024': [[...PBKDF2, '--sector-size', '1024']],
    'LUKS2 with sectors of 4096': [[...PBKDF2, '--sector-size', '4096']],
    'LUKS2 with a label': [[...PBKDF2, '--label', 'größe', '--subsystem', 's']],
    'LUKS2 with 64 KiB of metadata': [[...PBKDF2, '--luks2-metadata-size', '64k']],
    'LUKS2 with 4 MiB of metadata': [[...PBKDF2, '--luks2-metadata-size', '4m']],
    'LUKS2 with 1 MiB of keyslots': [[...PBKDF2, '--luks2-keyslots-size', '1m']],
    'LUKS2 with data at 4 MiB': [[...PBKDF2, '--offset', '8192']],
    'LUKS2 with CBC and ESSIV': [
      [...PBKDF2, '-c', 'aes-cbc-essiv:sha256', '-s', '256'],
      ['cipher', 'keyslot-cipher'],
    ],
    'LUKS2 with plain IVs': [
      [...PBKDF2, '-c', 'aes-xts-plain', '-s', '512'],
      ['cipher', 'keyslot-cipher'],
    ],
    'LUKS2 with CBC and 64-bit IVs': [
      [...PBKDF2, '-c', 'aes-cbc-plain64', '-s', '128'],
      ['cipher', 'keyslot-cipher'],
    ],
    'LUKS2 with another keyslot cipher': [
      [...PBKDF2, '--keyslot-cipher', 'aes-cbc-essiv:sha256', '--keyslot-key-size', '256'],
      ['keyslot-cipher'],
    ],
    'LUKS1 as it is': [['--type', 'luks1', ...PBKDF2]],
    'LUKS1 with SHA-1 and AES-128': [['--type', 'luks1', '--hash', 'sha1', '-s', '256', ...PBKDF2]],
    'LUKS1 with SHA-512': [['--type', 'luks1', '--hash', 'sha512', ...PBKDF2]],
    'LUKS1 with CBC and ESSIV': [
      ['--type', 'luks1', '-c', 'aes-cbc-essiv:sha256', '-s', '256', ...PBKDF2],
      ['cipher', 'keyslot-cipher'],
    ],
    'LUKS1 aligned': [['--type', 'luks1', '--align-payload', '8192', ...PBKDF2]],
  };

  /** Reads an image of cryptsetup and holds every byte of its header that we would write against what is there. */
  async function readTheirs(name: string) {
    const bytes = read(name);
    const disk = memoryDisk(bytes);
    const header = await readHeader(disk);
    if (header.version === 1) expect(encodeLuks1(header)).toEqual(bytes.slice(0, 592));
    else {
      const json = printJson(header.current.metadata.json);
      expect(Buffer.from(bytes.subarray(4096)).toString('utf8', 0, Buffer.byteLength(json))).toBe(json);
      const { primary, secondary } = header.copies;
      expect([primary.state, secondary.state]).toEqual(['good', 'good']);
    }
    return { header, disk };
  }

  async function format(name: string, args: readonly string[], key = 'one'): Promise<void> {
    fs.writeFileSync(at(name), '');
    fs.truncateSync(at(name), 24 << 20);
    cryptsetupSucceeds(['luksFormat', '--type', 'luks2', ...args, '--key-file', '-', at(name)], key);
  }

  describe('images of cryptsetup', () => {
    it.each(Object.entries(THEIRS))('%s', async (title, [args, broken = []]) => {
      const name = title.replaceAll(' ', '-');
      await format(name, args);
      const { header, disk } = await readTheirs(name);
      expect([...new Set(checkHeaderPolicy(header).map(({ rule }) => rule))]).toEqual(broken);
      const ours = await unlock(header, disk, text('one'), nodeLuksCrypto);
      expect(hex(ours.volumeKey)).toBe(volumeKey(at(name), text('one')));
      await expect(unlock(header, disk, text('two'), nodeLuksCrypto)).rejects.toMatchObject({ kind: 'key' });
    });
  });

  describe('what cryptsetup does to a header', () => {
    it('keys come and go, tokens and flags are set, and we follow', async () => {
      const [name, image] = ['edited', at('edited')];
      await format(name, PBKDF2);
      fs.writeFileSync(at('second'), 'two');
      const add = ['luksAddKey', ...argon('argon2id', 1), '--key-file', '-', image, at('second')];
      cryptsetupSucceeds(add, 'one');
      cryptsetupSucceeds(['luksHeaderBackup', '--header-backup-file', at('backup'), image]);
      cryptsetupSucceeds(['config', '--priority', 'prefer', '--key-slot', '1', image]);
      cryptsetupSucceeds(['config', '--label', 'new', image]);
      cryptsetupSucceeds(['token', 'add', '--key-description', 'root', '--key-slot', '1', image]);
      let { header, disk } = await readTheirs(name);
      expect(header).toMatchObject({ current: { label: 'new', metadata: { tokens: [{ type: 'luks2-keyring' }] } } });
      expect(checkHeaderPolicy(header)).toEqual([]);
      expect((await unlock(header, disk, text('two'), nodeLuksCrypto)).keyslot).toBe(1);
      expect((await unlock(header, disk, text('one'), nodeLuksCrypto)).keyslot).toBe(0);

      cryptsetupSucceeds(['luksKillSlot', image, '0']);
      ({ header, disk } = await readTheirs(name));
      await expect(unlock(header, disk, text('one'), nodeLuksCrypto)).rejects.toMatchObject({ kind: 'key' });
      cryptsetupSucceeds(['luksHeaderRestore', '--header-backup-file', at('backup'), image]);
      ({ header, disk } = await readTheirs(name));
      expect((await unlock(header, disk, text('one'), nodeLuksCrypto)).keyslot).toBe(0);
    });

    it('a key of no segment is seen by the policy', async () => {
      await format('unbound', PBKDF2);
      fs.writeFileSync(at('second'), 'two');
      const args = ['luksAddKey', '--unbound', '--key-size', '256', ...PBKDF2, at('unbound'), at('second')];
      cryptsetupSucceeds(args);
      const { header } = await readTheirs('unbound');
      expect(checkHeaderPolicy(header).map(({ rule }) => rule)).toEqual(['one-key']);
    });

    it('a detached header and a LUKS1 header with seven keys', async () => {
      fs.writeFileSync(at('data'), new Uint8Array(1 << 20));
      const args = ['luksFormat', '--type', 'luks2', ...PBKDF2, '--header', at('apart'), '--key-file', '-', at('data')];
      cryptsetupSucceeds(args, 'one');
      fs.writeFileSync(at('k'), 'one');
      const verify = ['image', 'verify', 'data', '--header', 'apart', '--key-file', 'k'];
      // Nothing was written behind the header yet: zeros are what no cipher makes.
      expect(await bootseal(verify, folder)).toMatchObject({
        status: 1,
        stdout: expect.stringContaining('problem: no sector of the data is encrypted\n'),
      });
      fs.writeFileSync(at('data'), seededRandom(4)(1 << 20));
      expect(await bootseal(verify, folder)).toMatchObject({
        status: 0,
        stdout: expect.stringContaining('of the data nothing is known but their size'),
      });
      await format('seven', ['--type', 'luks1', ...PBKDF2]);
      fs.writeFileSync(at('second'), 'two');
      for (let i = 0; i < 6; i++)
        cryptsetupSucceeds(['luksAddKey', ...PBKDF2, '--key-file', '-', at('seven'), at('second')], 'one');
      const { header, disk } = await readTheirs('seven');
      expect((await unlock(header, disk, text('two'), nodeLuksCrypto, 6)).keyslot).toBe(6);
    });

    it('an encryption that was only begun', async (test) => {
      needRoot(test, REENCRYPTION);
      fs.writeFileSync(at('begun'), seededRandom(3)(48 << 20));
      const args = [
        'reencrypt',
        '--encrypt',
        '--init-only',
        '--reduce-device-size',
        '32M',
        ...PBKDF2,
        '--key-file',
        '-',
      ];
      cryptsetupSucceeds([...args, at('begun')], 'one');
      const { header } = await readTheirs('begun');
      expect(checkHeaderPolicy(header).map(({ rule }) => rule)).toContain('requirements');
      fs.writeFileSync(at('k'), 'one');
      expect(await bootseal(['image', 'verify', 'begun', '--key-file', 'k'], folder)).toMatchObject({
        status: 1,
        stdout: expect.stringMatching(
          /^problem: nothing was opened: the header requires "online-reencrypt(-v2)?", which is/m,
        ),
        stderr: expect.stringMatching(/not to be trusted: the header requires "online-reencrypt(-v2)?"/),
      });
    });
  });
});
