import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Plain } from '../../src/core/luks/metadata/json.ts';
import { type Plan, type PlanOptions, plan } from '../../src/core/luks/plan.ts';
import { cryptSectors } from '../../src/core/luks/sectors.ts';
import { fixture } from '../fixtures.ts';
import { blocks, nodeLuksCrypto, sampleImage, seededRandom } from '../luks-image.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const file = (name: string, bytes: Uint8Array) => fs.writeFileSync(path.join(folder, name), bytes);

/** An ext4 of 24 MiB. */
const data = fixture('ext4/blocks-4096-uninit.img');
const KEY = new Uint8Array(Buffer.from('open sesame'));
const options: PlanOptions = {
  version: 2,
  dataSize: data.length,
  keySize: 64,
  sectorSize: 4096,
  detached: false,
  headerSize: 0x100000,
  keys: [{ passphrase: KEY, kdf: { type: 'pbkdf2', iterations: 1000 } }],
  tokens: [{ meaning: { type: 'bootseal', secret: '736869e5-84f0-4973-92ec-06879ce3da0b' }, keyslots: [0] }],
  label: 'root',
};

/** Returns the image of a plan with its data; with `plain` they are left unencrypted. */
function build({ extents, imageSize, sectors }: Plan, data: Uint8Array, plain = false): Uint8Array {
  const image = new Uint8Array(imageSize);
  if (sectors.tags !== undefined) throw new Error('this plan has tags');
  for (const extent of extents) {
    if (extent.kind === 'bytes') image.set(extent.bytes, extent.at);
    else if (extent.kind === 'data')
      image.set(plain ? data : cryptSectors('encrypt', sectors, data, 0, nodeLuksCrypto.aes), extent.at);
  }
  return image;
}

const made = await plan(options, seededRandom(1), nodeLuksCrypto);

file('key', KEY);
file('disk.img', build(made, data));

describe('bootseal image', () => {
  it('extracts the plaintext of the fixtures', async () => {
    file('cs.img', fixture('luks/cs261-l2-pbkdf2-512.img'));
    file('passphrase', fixture('luks/passphrase.txt'));
    const args = ['image', 'extract', 'cs.img', '--key-file', 'passphrase', '--out', 'cs.raw'];
    expect(await bootseal(args, folder)).toMatchObject({ status: 0, stderr: '' });
    expect(new Uint8Array(fs.readFileSync(path.join(folder, 'cs.raw')))).toEqual(blocks(0, 4096));
  });

  it('verifies and extracts what a plan makes, in more than one piece', async () => {
    const { stdout } = await bootseal(['image', 'inspect', 'disk.img'], folder);
    expect(stdout).toContain(', label "root"\n');
    expect(stdout).toContain('token 0: "bootseal" for keyslot 0, launch secret disk-passphrase\n');
    expect(stdout).toContain('policy: accepted\n');
    expect(await bootseal(['image', 'verify', 'disk.img', '--key-file', 'key'], folder)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(
        /^content: ext4\nverdict: header and key are right, and the ext4 begins as it must$/m,
      ),
    });
    await bootseal(['image', 'extract', 'disk.img', '--key-file', 'key', '--out', 'disk.raw'], folder);
    expect(Buffer.compare(fs.readFileSync(path.join(folder, 'disk.raw')), data)).toBe(0);
  });

  it('finds data that were never encrypted', async () => {
    file('plain.img', build(made, data, true));
    const ran = await bootseal(['image', 'verify', 'plain.img', '--key-file', 'key'], folder);
    expect(ran).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('problem: the data are not encrypted: they start as ext4\n'),
      stderr: expect.stringContaining('the image is not to be trusted: the data are not encrypted'),
    });
  });

  it('finds changed sectors of data with tags, names them, and lets nothing of them out', async () => {
    const image = fixture('luks/kern61-l2-hmac-journal.img').slice();
    // The data of 64 KiB are at the end; before them the run of their tags.
    const start = image.length - 65536;
    const flip = (at: number) => image.fill((image[at] ?? 0) ^ 1, at, at + 1);
    flip(start + 2 * 4096 + 17);
    flip(start - 131_072 + 32 * 5);
    file('hmac.img', image);
    file('passphrase', fixture('luks/passphrase.txt'));
    expect(await bootseal(['image', 'verify', 'hmac.img', '--key-file', 'passphrase'], folder)).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(
        /^tags: hmac\(sha256\), 2 do not match; .*\n.*\nproblem: sector 2 \(4096 bytes at 8192 of the data\) does not match its tag\nproblem: sector 5 /m,
      ),
      stderr: expect.stringContaining('not to be trusted: sector 2 (4096 bytes at 8192 of the data) does not match'),
    });
    const out = ['image', 'extract', 'hmac.img', '--key-file', 'passphrase', '--out', 'hmac.raw'];
    expect(await bootseal(out, folder)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('sector 2 (4096 bytes at 8192 of the data) does not match its tag'),
    });
    for (let sector = 0; sector < 16; sector++) flip(start - 131_072 + 32 * sector + 1);
    file('hmac.img', image);
    const { stdout } = await bootseal(['image', 'verify', 'hmac.img', '--key-file', 'passphrase'], folder);
    expect(stdout.match(/^problem: sector/gm)).toHaveLength(8);
    // Four of the sixteen are read from the journal.
    expect(stdout).toContain('problem: 12 sectors in all do not match their tags\n');
    expect(fs.readdirSync(folder).filter((name) => /hmac\.raw|part/.test(name))).toEqual([]);
  });

  it('finds a changed header, and says so before it extracts', async () => {
    const image = build(made, data);
    image[16384 + 30] = 1;
    file('half.img', image);
    expect(await bootseal(['image', 'verify', 'half.img', '--key-file', 'key', '--json'], folder)).toMatchObject({
      status: 1,
      stdout: expect.stringContaining('"problems":["the two copies of the header do not agree"]'),
    });
    const args = ['image', 'extract', 'half.img', '--key-file', 'key', '--out', 'half.raw'];
    expect(await bootseal(args, folder)).toMatchObject({
      status: 0,
      stderr: 'bootseal: warning: the two copies of the header do not agree\n',
    });
  });

  it('refuses an image that ends before its data do, and leaves nothing', async () => {
    const cut = sampleImage({ 'segments.0.size': '8192' });
    file('cut.img', cut);
    const args = ['image', 'extract', 'cut.img', '--key-file', 'key', '--out', 'cut.raw'];
    expect(await bootseal(args, folder)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('the data start at 1048576 and end beyond the 1052672 bytes of the image'),
    });
    expect(fs.readdirSync(folder).filter((name) => /cut\.raw|part/.test(name))).toEqual([]);
  });

  it('opens nothing through a cipher that is none, whatever the key', async () => {
    file('null.img', sampleImage({ 'keyslots.0.area.encryption': 'cipher_null-ecb' }));
    const args = ['image', 'extract', 'null.img', '--key-file', 'key', '--out', 'null.raw'];
    expect(await bootseal(args, folder)).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('keyslot 0: area: the cipher "cipher_null-ecb" encrypts nothing'),
    });
  });

  const another = 'the header is not the one that pinned.img.json pins';
  const foreign = { type: 'x', key_size: 64, area: { type: 'x', offset: '32768', size: '258048' } };
  const linear = { type: 'linear', offset: '1048576', size: '4096' };
  const segment = { ...linear, type: 'crypt', iv_tweak: '0', encryption: 'aes-xts-plain64', sector_size: 512 };
  const second = { ...segment, offset: '1052672' };
  const segments = { 'segments.0.size': '4096', 'segments.1': second, 'digests.0.segments': ['0', '1'] };
  const hostile: readonly (readonly [string, Readonly<Record<string, Plain>>, readonly unknown[], RegExp])[] = [
    ["another disk's header", {}, [], /^nothing was opened: the key opens no keyslot \(tried: 0\)$/],
    [
      'no cipher in the segment',
      { 'segments.0.encryption': 'cipher_null-ecb' },
      ['segment 0 is not encrypted at all'],
      /cipher_null-ecb/,
    ],
    [
      'no cipher in a keyslot',
      { 'keyslots.0.area.encryption': 'cipher_null-ecb' },
      ['keyslot 0 is not encrypted at all: any passphrase would open it'],
      /cipher_null-ecb/,
    ],
    [
      'a keyslot that costs too much',
      { 'keyslots.0.kdf.iterations': 2_000_000_000 },
      [expect.stringMatching(/^keyslot 0: .*2000000000/)],
      /2000000000/,
    ],
    [
      'an unknown requirement',
      { 'config.requirements': { mandatory: ['evil'] } },
      ['the header requires "evil"'],
      /the header requires "evil", which is not known here/,
    ],
    ['two segments', segments, ['there are 2 segments instead of one'], /the data are in several segments/],
    [
      'a segment of another type',
      { 'segments.0': linear },
      ['segment 0 is of the type "linear", not encrypted by LUKS'],
      /the type "linear" is not known here/,
    ],
    [
      'a keyslot of another type',
      { 'keyslots.0': foreign },
      ['keyslot 0 is of the type "x"'],
      /^nothing was opened: the key opens no keyslot \(tried: none\)$/,
    ],
  ];

  it.each(hostile)(
    'says all that is wrong with a header that the key does not open: %s',
    async (_, changes, own, why) => {
      const image = sampleImage(changes);
      file('pinned.img', 'segments.1' in changes ? Buffer.concat([image, new Uint8Array(4096)]) : image);
      const header = { bytes: 0x100000, sha256: '0'.repeat(64) };
      fs.writeFileSync(path.join(folder, 'pinned.img.json'), JSON.stringify({ format: 'bootseal-image-1', header }));
      const args = ['image', 'verify', 'pinned.img', '--key-file', 'key'];
      const ran = await bootseal([...args, '--json'], folder);
      expect(JSON.parse(ran.stdout)).toEqual({
        ...{ keyslot: null, dataBytes: null, sectorSize: null, integrity: null, filesystem: null },
        ...{ filesystemChecked: false, remarks: [] },
        problems: [another, ...own, expect.stringMatching(why)],
      });
      expect(ran).toMatchObject({ status: 1, stderr: expect.stringContaining(`not to be trusted: ${another}`) });
      const text = await bootseal(args, folder);
      expect(text.status).toBe(1);
      expect(text.stdout).toMatch(
        /^key and data: not opened\nproblem: the header is not the one that pinned\.img\.json pins\n/,
      );
      expect(text.stdout.match(/^problem: /gm)).toHaveLength(own.length + 2);
      fs.rmSync(path.join(folder, 'pinned.img.json'));
      // What the policy says is as good without a manifest; without either it stays what it is.
      const alone = await bootseal(args, folder);
      expect(alone.status).toBe(own.length > 0 ? 1 : 4);
      expect(alone.stderr).toMatch(own.length > 0 ? /the image is not to be trusted/ : /the key opens no keyslot/);
    },
  );

  it('shows hostile names without their control characters', async () => {
    const evil = '\u001b[2J\u009b\u202e';
    const changes: Readonly<Record<string, Plain>> = {
      'tokens.0': { type: evil, keyslots: [] },
      'tokens.1': { type: 'luks2-keyring', keyslots: [], key_description: '' },
      'tokens.2': { type: 'luks2-keyring', keyslots: ['0'], key_description: evil },
      'config.flags': [evil],
      'config.requirements': { mandatory: [evil] },
      'keyslots.0.kdf': { type: evil },
      'keyslots.0.area.encryption': evil,
      'segments.0.integrity': { type: evil, journal_encryption: 'none', journal_integrity: 'none' },
      'keyslots.1': { type: evil, key_size: 1, area: { type: 'x', offset: '524288', size: '4096' } },
    };
    file('evil.img', sampleImage(changes, { primary: { label: evil, subsystem: evil, uuid: evil } }));
    const { stdout, status } = await bootseal(['image', 'inspect', 'evil.img'], folder);
    expect(status).toBe(0);
    expect(stdout.replaceAll('\n', '')).toMatch(/^[ -~]+$/);
    expect(stdout).toContain('label "\\u001b[2J\\u009b\\u202e", subsystem "\\u001b[2J');
    expect(stdout).toContain('keyslot 1: key of 8 bits, of the type "\\u001b');
    expect(stdout).toContain('token 1: "luks2-keyring" for no keyslot\n');
    expect(stdout).toContain('token 2: "luks2-keyring" for keyslot 0, key "\\u001b');
    expect(stdout).toContain('flags: "\\u001b');
    expect(stdout).toContain('  requirements: the header requires "\\u001b');
    file('linear.img', sampleImage({ 'segments.0.type': 'linear', 'segments.0.size': '4096' }));
    const linear = await bootseal(['image', 'inspect', 'linear.img'], folder);
    expect(linear.stdout).toContain('segment 0: 4096 bytes from 1048576, of the type "linear"\n');
    expect(linear.stdout).toContain('cipher: segment 0 is of the type "linear", not encrypted by LUKS\n');
  });
});
