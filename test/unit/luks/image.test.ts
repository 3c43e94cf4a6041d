import { describe, expect, it } from 'vitest';
import { openData, readPlaintext } from '../../../src/core/luks/data.ts';
import { type Disk, readExactly } from '../../../src/core/luks/disk.ts';
import { headerStages, withWrites } from '../../../src/core/luks/header-change.ts';
import { passphraseSlots, readHeader, unlock, unlockAll } from '../../../src/core/luks/image.ts';
import { printJson, toJson } from '../../../src/core/luks/metadata/json.ts';
import { plan } from '../../../src/core/luks/plan.ts';
import { cryptSectors } from '../../../src/core/luks/sectors.ts';
import { dataSegment } from '../../../src/core/luks/segment.ts';
import { nodeSectorCrypto } from '../../../src/host/node-luks.ts';
import { fixture } from '../../fixtures.ts';
import {
  blocks,
  memoryDisk,
  nodeLuksCrypto,
  PASSPHRASE,
  sampleImage,
  seededRandom,
  withArgon2,
} from '../../luks-image.ts';

const open = async (image: Uint8Array) => {
  const disk = memoryDisk(image);
  return { disk, header: await readHeader(disk) };
};

/** Opens an image with its passphrase and returns the plaintext of its data. */
async function plaintext(image: Uint8Array, data = image, crypto = nodeLuksCrypto): Promise<Uint8Array> {
  const { disk, header } = await open(image);
  const { volumeKey } = await unlock(header, disk, PASSPHRASE, crypto);
  const segment = dataSegment(header, data.length, data !== image);
  if (segment.tags !== undefined) throw new Error('these data have tags');
  const cipher = data.subarray(segment.offset, segment.offset + segment.size);
  return cryptSectors('decrypt', { ...segment, key: volumeKey }, cipher, 0, crypto.aes);
}

describe('images of other tools', () => {
  it.each(['cs261-l2-pbkdf2-512.img', 'qemu72-l1.img'])('%s opens and holds its plaintext', async (name) => {
    expect(await plaintext(fixture(`luks/${name}`))).toEqual(blocks(0, 4096));
  });

  it('with a detached header open and hold their plaintext', async () => {
    const [header, data] = ['hdr', 'img'].map((end) => fixture(`luks/cs261-l2-argon2id-4096-detached.${end}`));
    expect(await plaintext(header ?? PASSPHRASE, data)).toEqual(blocks(0, 4096));
  });

  it('of luksy open once its costly Argon2 is done', async () => {
    const asked: unknown[] = [];
    // Derived once, which takes half a minute: argon2i, 16 passes over 80 MiB in 16 lanes.
    const crypto = withArgon2(async (type, secret, salt, { time, memory, cpus }, size) => {
      asked.push([
        type,
        Buffer.from(secret).toString(),
        Buffer.from(salt).toString('base64'),
        time,
        memory,
        cpus,
        size,
      ]);
      return new Uint8Array(Buffer.from(LUKSY_KEY, 'hex'));
    });
    expect(await plaintext(fixture('luks/luksy2024-l2.img'), undefined, crypto)).toEqual(blocks(0, 4096));
    const passphrase = Buffer.from(PASSPHRASE).toString();
    expect(asked).toEqual([['argon2i', passphrase, 'OAzD17Khd/PoI8Ie7BJn7bYS3sfKX+9YTjNUzSLkaBQ=', 16, 81920, 16, 64]]);
  });

  it('with integrity open, and say how their tags are made', async () => {
    const { disk, header } = await open(fixture('luks/kern61-l2-hmac-4096.img'));
    expect((await unlock(header, disk, PASSPHRASE, nodeLuksCrypto)).volumeKey).toHaveLength(96);
    expect(dataSegment(header, disk.size, false)).toMatchObject({ tags: { integrity: 'hmac(sha256)', tagSize: 32 } });
  });
});

const LUKSY_KEY =
  '170d4989ea547891bb28e95c09d8288066638fae37d3a51a88d554e9d9dcec7d2624466b296920eb9e9876aa7d6e81c30516b2c88bad41a919e6f6d35c9469ea';

describe('readHeader', () => {
  it('says that something else is no LUKS image', async () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(1 << 20), new Uint8Array(Buffer.from('LUKS'))]) {
      await expect(open(bytes)).rejects.toMatchObject({
        kind: 'format',
        message: 'not a LUKS image: neither header has the magic number and a right checksum',
        hint: expect.stringContaining('start of a partition'),
      });
    }
  });

  it('says what is wrong where the magic number is right', async () => {
    const image = sampleImage();
    image[7] = 3;
    image.fill(0, 0x4000, 0x8000);
    await expect(open(image)).rejects.toMatchObject({
      message: expect.stringMatching(
        /^no copy .* primary header: version 3 instead of 2; secondary header: wrong magic number$/,
      ),
    });
  });

  it('finds a secondary header behind a destroyed primary', async () => {
    const image = sampleImage();
    image.fill(0, 0, 0x4000);
    expect((await open(image)).header).toMatchObject({ version: 2, copies: { primary: { state: 'bad' } } });
  });

  it('passes on that a disk cannot be read', async () => {
    const broken: Disk = { size: 1 << 20, read: () => Promise.reject(new Error('disk')) };
    await expect(readHeader(broken)).rejects.toThrow('disk');
  });
});

describe('readExactly', () => {
  it('refuses a disk that says it is longer than it is', async () => {
    const disk: Disk = { size: 100, read: async () => new Uint8Array(5) };
    await expect(readExactly(disk, 90, 10, 'x')).rejects.toMatchObject({ kind: 'format' });
    expect(await readExactly(disk, 95, 5, 'x')).toHaveLength(5);
  });
});

describe('unlock', () => {
  const other = {
    type: 'luks2',
    key_size: 64,
    af: { type: 'luks1', stripes: 4000, hash: 'sha256' },
    area: { type: 'raw', offset: '294912', size: '258048', encryption: 'aes-xts-plain64', key_size: 64 },
    kdf: { type: 'pbkdf2', hash: 'sha256', iterations: 1, salt: Buffer.alloc(32).toString('base64') },
  };
  const tried = async (changes: Parameters<typeof sampleImage>[0], only?: number) => {
    const { disk, header } = await open(sampleImage(changes));
    return unlock(header, disk, PASSPHRASE, nodeLuksCrypto, only).then(
      () => 'opened',
      (error: Error) => error.message,
    );
  };

  it('says which keyslots did not open, those of high priority first', async () => {
    expect(await tried({})).toBe('the key opens no keyslot (tried: 0)');
    const two = { 'keyslots.1': other, 'digests.0.keyslots': ['0', '1'] };
    expect(await tried(two)).toBe('the key opens no keyslot (tried: 0, 1)');
    expect(await tried({ ...two, 'keyslots.1': { ...other, priority: 2 } })).toBe(
      'the key opens no keyslot (tried: 1, 0)',
    );
    expect(await tried({ ...two, 'keyslots.1': { ...other, priority: 0 } })).toBe(
      'the key opens no keyslot (tried: 0)',
    );
    expect(await tried({ ...two, 'keyslots.1': { ...other, priority: 0 } }, 1)).toBe(
      'the key opens no keyslot (tried: 1)',
    );
    expect(await tried({ 'keyslots.0.priority': 0 })).toBe('the key opens no keyslot (tried: none)');
    expect(await tried({}, 5)).toBe('keyslot 5 is not in use');
  });

  it('passes by a keyslot that nobody may open, and says so if no other opens', async () => {
    const area = { ...other.area, offset: '32768', encryption: 'cipher_null-ecb' };
    const { disk, header } = await open(sampleImage({ 'keyslots.0.area': area }));
    await expect(unlock(header, disk, PASSPHRASE, nodeLuksCrypto)).rejects.toMatchObject({
      kind: 'format',
      message: 'keyslot 0: area: the cipher "cipher_null-ecb" encrypts nothing',
    });
    const image = fixture('luks/qemu72-l1.img').slice();
    // Keyslot 1 of LUKS1 in use, with a cost beyond the limit: keyslot 0 still opens.
    image.set([0x00, 0xac, 0x71, 0xf3, 0xff, 0xff, 0xff, 0xff], 208 + 48);
    const opened = await open(image);
    expect((await unlock(opened.header, opened.disk, PASSPHRASE, nodeLuksCrypto)).keyslot).toBe(0);
    expect(passphraseSlots(opened.header).map(({ id }) => id)).toEqual([0, 1]);
    await expect(unlock(opened.header, opened.disk, PASSPHRASE, nodeLuksCrypto, 1)).rejects.toMatchObject({
      kind: 'format',
      message: 'keyslot 1: key derivation: asks for 4294967295 iterations of PBKDF2, more than the limit of 100000000',
    });
  });

  it('bounds what all keyslots together cost', async () => {
    const ran: number[] = [];
    const crypto = {
      ...nodeLuksCrypto,
      limits: { iterations: 1000, memory: 64, work: 64, cpus: 4 },
      kdfs: {
        pbkdf2: async (_hash: string, _secret: Uint8Array, _salt: Uint8Array, iterations: number, size: number) => {
          ran.push(iterations);
          return new Uint8Array(size).map((_, i) => i);
        },
        argon2: async () => new Uint8Array(64).map((_, i) => i),
      },
    };
    const slots = Array.from({ length: 5 }, (_, i) => ({
      ...other,
      key_size: 16,
      kdf:
        i === 1
          ? { type: 'argon2id', time: 1, memory: 64, cpus: 1, salt: other.kdf.salt }
          : { ...other.kdf, iterations: 900 },
      area: { ...other.area, offset: String(32768 + i * 65536), size: '65536' },
    }));
    const changes = {
      keyslots: Object.fromEntries(slots.map((slot, i) => [i, slot])),
      'digests.0.keyslots': ['0', '1', '2', '3', '4'],
      'digests.0.iterations': 1,
    };
    const { disk, header } = await open(sampleImage(changes));
    await expect(unlock(header, disk, PASSPHRASE, crypto)).rejects.toMatchObject({
      kind: 'format',
      message: 'keyslot 4: with those before it asks for more work than 4 keyslots may',
    });
    expect(ran).toEqual([900, 1, 1, 900, 1, 900, 1]);
    await expect(unlock(header, disk, PASSPHRASE, crypto, 4)).rejects.toMatchObject({ kind: 'key' });
    const refused = await open(sampleImage({ ...changes, 'digests.0.iterations': 1001 }));
    ran.length = 0;
    await expect(unlock(refused.header, refused.disk, PASSPHRASE, crypto)).rejects.toMatchObject({
      message: expect.stringContaining('keyslot 0: digest: asks for 1001 iterations'),
    });
  });

  it('hints at a newline', async () => {
    const { disk, header } = await open(fixture('luks/cs261-l2-pbkdf2-512.img'));
    const newline = Uint8Array.of(...PASSPHRASE, 10);
    await expect(unlock(header, disk, newline, nodeLuksCrypto)).rejects.toMatchObject({
      kind: 'key',
      message: 'the key opens no keyslot (tried: 0)',
      hint: expect.stringContaining('ends in a newline'),
    });
    await expect(unlock(header, disk, PASSPHRASE.subarray(1), nodeLuksCrypto)).rejects.toMatchObject({
      kind: 'key',
      hint: 'every byte of the key counts, a newline at its end too',
    });
  });

  it('leaves keyslots aside that no passphrase opens', async () => {
    const { header } = await open(
      sampleImage({
        'keyslots.1': { type: 'x', key_size: 1, area: { type: 'none', offset: '294912', size: '4096' } },
        'digests.0.type': 'other',
        'digests.1': { type: 'x', keyslots: ['1'], segments: [] },
      }),
    );
    expect(passphraseSlots(header)).toEqual([]);
  });
});

/** An image whose keyslots 0 and 1 the keys `one` and `two` open, with changes to its metadata. */
async function changedImage(change: (json: Record<string, Record<string, never>>) => unknown): Promise<Uint8Array> {
  const kdf = { type: 'pbkdf2', iterations: 1000 } as const;
  const keys = ['one', 'two'].map((key) => ({ passphrase: new Uint8Array(Buffer.from(key)), kdf }));
  const shape = { version: 2, dataSize: 4096, keySize: 64, sectorSize: 512, detached: false } as const;
  const random = seededRandom(5);
  const { extents, imageSize } = await plan({ ...shape, headerSize: 0x100000, keys }, random, nodeLuksCrypto);
  const image = new Uint8Array(imageSize);
  for (const extent of extents) if (extent.kind === 'bytes') image.set(extent.bytes, extent.at);
  const { header } = await open(image);
  if (header.version !== 2) throw new Error('not LUKS2');
  const json = JSON.parse(printJson(header.current.metadata.json));
  change(json);
  return headerStages(header.current, toJson(json), 9n, random).reduce(withWrites, image);
}

describe('a keyslot whose key encrypts no data', () => {
  const unbound = () =>
    changedImage(({ digests = {} }) => {
      const bound = digests['0'] as unknown as Record<string, unknown>;
      Object.assign(digests, { 1: { ...bound, keyslots: ['1'], segments: [] } });
      bound['keyslots'] = ['0'];
    });
  const key = (text: string) => new Uint8Array(Buffer.from(text));

  it('does not open them', async () => {
    const { disk, header } = await open(await unbound());
    expect((await unlock(header, disk, key('one'), nodeLuksCrypto)).keyslot).toBe(0);
    await expect(unlock(header, disk, key('two'), nodeLuksCrypto)).rejects.toMatchObject({
      kind: 'key',
      message: 'the key opens no keyslot (tried: 0)',
    });
    await expect(unlock(header, disk, key('two'), nodeLuksCrypto, 1)).rejects.toMatchObject({
      kind: 'usage',
      message: 'keyslot 1 holds the key of no data',
    });
  });

  it('is told from the others', async () => {
    const { disk, header } = await open(await unbound());
    const found = async (text: string) =>
      (await unlockAll(header, disk, key(text), nodeLuksCrypto)).map(({ keyslot, bound }) => [keyslot, bound]);
    expect([await found('one'), await found('two')]).toEqual([[[0, true]], [[1, false]]]);
  });
});

describe('a keyslot whose key has another length than that of the data', () => {
  it('is refused before anything is decrypted', async () => {
    // Keyslot 0 says 16 bytes, and the data have a cipher that goes with them; keyslot 1 holds the 64 that there are.
    const image = await changedImage(({ keyslots = {}, segments = {} }) => {
      Object.assign(keyslots['0'] as unknown as object, { key_size: 16 });
      Object.assign(segments['0'] as unknown as object, { encryption: 'aes-cbc-plain64' });
    });
    const { disk, header } = await open(image);
    const { volumeKey } = await unlock(header, disk, new Uint8Array(Buffer.from('two')), nodeLuksCrypto);
    const data = await openData(disk, dataSegment(header, disk.size, false));
    await expect(readPlaintext(disk, data, volumeKey, nodeSectorCrypto).next()).rejects.toMatchObject({
      kind: 'format',
      message: 'the data take a key of 16 bytes, and the keyslot holds one of 64',
    });
  });
});

describe('dataSegment', () => {
  const segment = async (changes: Parameters<typeof sampleImage>[0], size = 0x200000, detached = false) => {
    const { header } = await open(sampleImage(changes));
    try {
      return dataSegment(header, size, detached);
    } catch (error) {
      return (error as Error).message;
    }
  };
  const more = {
    type: 'crypt',
    offset: '2097152',
    size: 'dynamic',
    iv_tweak: '0',
    encryption: 'aes-xts-plain64',
    sector_size: 512,
  };

  it('is what the header says of it', async () => {
    expect(await segment({ 'segments.0.iv_tweak': '8', 'segments.0.sector_size': 4096 })).toEqual({
      offset: 0x100000,
      size: 0x100000,
      cipher: { name: 'aes-xts-plain64', mode: 'xts', iv: 'plain64' },
      keySize: 64,
      sectorSize: 4096,
      ivTweak: 8n,
    });
    expect(await segment({ 'segments.0.size': '1048576' })).toMatchObject({ size: 0x100000 });
    expect(await segment({ 'segments.0.offset': '0' }, 1024, true)).toMatchObject({ offset: 0, size: 1024 });
  });

  it.each([
    [{ 'segments.0.offset': '0' }, 'this is a detached header: the data are in another file'],
    [{ 'segments.0.size': '1049088' }, 'the data start at 1048576 and end beyond the 2097152 bytes of the image'],
    [{ 'segments.0.offset': '2097152' }, 'the data start at 2097152 and end beyond the 2097152 bytes of the image'],
    [{ 'segments.0.offset': '2097664' }, 'the data start at 2097664 and end beyond the 2097152 bytes of the image'],
    [{ 'segments.0.sector_size': 512 * 5 }, 'segments.0: sectors of 2560 bytes do not exist'],
    [{ 'segments.0.encryption': 'cipher_null-ecb' }, 'segments.0: the cipher "cipher_null-ecb" encrypts nothing'],
    [{ 'segments.0.type': 'linear' }, 'segments.0: the type "linear" is not known here'],
    [
      { 'segments.0.size': '512', 'segments.1': more, 'digests.0.segments': ['0', '1'] },
      'the data are in several segments, and only one can be read',
    ],
    [{ 'config.requirements': { mandatory: ['opal'] } }, 'the header requires "opal", which is not known here'],
    [{ keyslots: {}, 'digests.0.keyslots': [] }, 'segments.0: no keyslot has its key'],
  ])('refuses %j', async (changes, message) => {
    expect(await segment(changes)).toBe(message);
  });

  it('must be a whole number of sectors', async () => {
    expect(await segment({ 'segments.0.sector_size': 4096 }, 0x200000 + 512)).toBe(
      'the data of 1049088 bytes are not a whole number of sectors of 4096',
    );
    expect(await segment({}, 0x200000 + 512)).toMatchObject({ size: 0x100200 });
  });
});
