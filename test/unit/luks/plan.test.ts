import { describe, expect, it } from 'vitest';
import { type LuksHeader, passphraseSlots, readHeader, unlock } from '../../../src/core/luks/image.ts';
import { copiesAgree } from '../../../src/core/luks/luks2.ts';
import { type Plan, type PlanOptions, plan } from '../../../src/core/luks/plan.ts';
import { checkHeaderPolicy } from '../../../src/core/luks/policy.ts';
import { dataSegment } from '../../../src/core/luks/segment.ts';
import { tokenMeaning } from '../../../src/core/luks/token.ts';
import { memoryDisk, nodeLuksCrypto, seededRandom } from '../../luks-image.ts';

const key = (text: string) => new Uint8Array(Buffer.from(text));
const cheap = { type: 'pbkdf2', iterations: 1000 } as const;
const guid = '736869e5-84f0-4973-92ec-06879ce3da0b';
const luks2: PlanOptions = {
  version: 2,
  dataSize: 8192,
  keySize: 64,
  sectorSize: 4096,
  detached: false,
  headerSize: 0x100000,
  keys: [{ passphrase: key('one'), kdf: cheap }],
};
const luks1: PlanOptions = { ...luks2, version: 1, sectorSize: 512, headerSize: 0x200000 };

const make = (options: PlanOptions, seed = 1) => plan(options, seededRandom(seed), nodeLuksCrypto);

/** Lays the bytes of a plan down; data stay zeros. */
function lay({ extents, imageSize }: Plan, file: 'image' | 'header'): Uint8Array {
  const end = Math.max(...extents.map((extent) => (extent.kind === 'bytes' ? extent.at + extent.bytes.length : 0)));
  const bytes = new Uint8Array(file === 'image' ? imageSize : end);
  for (const extent of extents) if (extent.kind === 'bytes' && extent.file === file) bytes.set(extent.bytes, extent.at);
  return bytes;
}

async function read(made: Plan, file: 'image' | 'header' = 'image'): Promise<[LuksHeader, Uint8Array]> {
  const bytes = lay(made, file);
  return [await readHeader(memoryDisk(bytes)), bytes];
}

describe('the plan of LUKS2', () => {
  it('says what goes where, the header last', async () => {
    const made = await make(luks2);
    expect(
      made.extents.map((extent) => [
        extent.kind,
        extent.file,
        extent.at,
        extent.kind === 'bytes' ? extent.bytes.length : 'size' in extent && extent.size,
      ]),
    ).toEqual([
      ['data', 'image', 0x100000, 8192],
      ['bytes', 'image', 32768, 0x100000 - 32768],
      ['bytes', 'image', 16384, 16384],
      ['bytes', 'image', 0, 16384],
    ]);
    expect(made.imageSize).toBe(0x100000 + 8192);
    expect(made.uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(made.sectors).toMatchObject({ cipher: { name: 'aes-xts-plain64' }, sectorSize: 4096, ivTweak: 0n });
  });

  it('makes an image that every key opens, of which both copies agree and the policy holds', async () => {
    const options: PlanOptions = {
      ...luks2,
      headerSize: 0x100000,
      keys: [
        { passphrase: key('one'), kdf: cheap },
        { passphrase: key('two'), kdf: { type: 'argon2id', time: 4, memory: 32, cpus: 1 }, priority: 2 },
        { passphrase: key('three'), kdf: { type: 'pbkdf2', iterations: 1500 }, priority: 0 },
      ],
      tokens: [
        { meaning: { type: 'bootseal', secret: guid }, keyslots: [0] },
        { meaning: { type: 'luks2-keyring', keyDescription: 'root' }, keyslots: [1, 2] },
      ],
      label: 'rooté',
      subsystem: 'bootseal',
      uuid: '12345678-1234-4234-8234-123456789ABC',
    };
    const made = await make(options);
    const [header, bytes] = await read(made);
    if (header.version !== 2) throw new Error('version');
    expect(copiesAgree(header)).toBe(true);
    expect(checkHeaderPolicy(header)).toEqual([]);
    const { current } = header;
    expect(current).toMatchObject({ seqid: 1n, label: 'rooté', subsystem: 'bootseal', uuid: made.uuid });
    expect(made.uuid).toBe('12345678-1234-4234-8234-123456789abc');
    const { primary, secondary } = header.copies;
    if (primary.state === 'bad' || secondary.state === 'bad') throw new Error('bad');
    expect(primary.copy.salt).not.toEqual(secondary.copy.salt);
    expect(current.metadata.tokens.map(tokenMeaning)).toEqual(options.tokens?.map(({ meaning }) => meaning));
    expect(current.metadata.tokens.map(({ keyslots }) => keyslots)).toEqual([[0], [1, 2]]);
    expect(passphraseSlots(header).map(({ priority, kdf, offset }) => [priority, kdf.type, offset])).toEqual([
      [1, 'pbkdf2', 32768],
      [2, 'argon2id', 32768 + 258048],
      [0, 'pbkdf2', 32768 + 2 * 258048],
    ]);
    for (const [id, text] of ['one', 'two', 'three'].entries()) {
      const unlocked = await unlock(header, memoryDisk(bytes), key(text), nodeLuksCrypto, id);
      expect(unlocked).toEqual({ keyslot: id, volumeKey: made.sectors.key });
    }
    await expect(unlock(header, memoryDisk(bytes), key('four'), nodeLuksCrypto)).rejects.toMatchObject({ kind: 'key' });
    expect(dataSegment(header, bytes.length, false)).toMatchObject({
      offset: 0x100000,
      size: 8192,
      keySize: 64,
      sectorSize: 4096,
    });
  });

  it('fills unused keyslots with randomness', async () => {
    const [, bytes] = await read(await make(luks2));
    for (let at = 32768; at < 0x100000; at += 512) {
      expect(new Set(bytes.subarray(at, at + 512)).size).toBeGreaterThan(100);
    }
  });

  it('keeps a detached header apart', async () => {
    const made = await make({ ...luks2, detached: true });
    expect(made.imageSize).toBe(8192);
    expect(made.extents.map(({ file, at }) => [file, at])).toEqual([
      ['image', 0],
      ['header', 32768],
      ['header', 16384],
      ['header', 0],
    ]);
    const [header, bytes] = await read(made, 'header');
    expect(bytes.length).toBe(0x100000);
    expect(dataSegment(header, 8192, true)).toMatchObject({ offset: 0, size: 8192 });
  });

  it('is the same for the same randomness and shares no secret otherwise', async () => {
    const [one, again, other] = [await make(luks2), await make(luks2), await make(luks2, 2)];
    expect(again).toEqual(one);
    expect(other.sectors.key).not.toEqual(one.sectors.key);
    expect(other.uuid).not.toBe(one.uuid);
  });

  it.each([
    [{ dataSize: 0 }, 'the data of 0 bytes are not a whole number of sectors of 4096'],
    [{ dataSize: 4097 }, 'the data of 4097 bytes are not a whole number of sectors of 4096'],
    [{ dataSize: -4096 }, 'the data of -4096 bytes are not a whole number of sectors of 4096'],
    [{ dataSize: 2 ** 60 }, 'the data of 1152921504606847000 bytes are not a whole number of sectors of 4096'],
    [{ headerSize: 0x100001 }, 'a header of 1048577 bytes is not a multiple of 4096'],
    [{ headerSize: 0 }, 'a header of 0 bytes is not a multiple of 4096'],
    [{ headerSize: 4096 }, 'a header of 4096 bytes has room for 0 keys'],
    [{ headerSize: 32768 + 258048 - 4096 }, 'a header of 286720 bytes has room for 0 keys'],
    [
      { keys: Array.from({ length: 4 }, () => ({ passphrase: key('x'), kdf: cheap })) },
      'a header of 1048576 bytes has room for 3 keys',
    ],
    [
      { headerSize: 0x1000000, keys: Array.from({ length: 33 }, () => ({ passphrase: key('x'), kdf: cheap })) },
      'a header of 16777216 bytes has room for 32 keys',
    ],
    [{ keys: [] }, 'an image needs at least one key'],
    [{ keys: [{ passphrase: key(''), kdf: cheap }] }, 'key 0 is empty'],
    [
      { keys: [{ passphrase: key('x'), kdf: { type: 'pbkdf2', iterations: 999 } }] },
      'key 0: pbkdf2 takes at least 1000 iterations',
    ],
    [
      { keys: [{ passphrase: key('x'), kdf: { type: 'pbkdf2', iterations: 2 ** 32 } }] },
      'key 0: pbkdf2 takes at least 1000 iterations',
    ],
    [
      { keys: [{ passphrase: key('x'), kdf: { type: 'argon2id', time: 3, memory: 32, cpus: 1 } }] },
      'key 0: argon2id takes at least 4 passes',
    ],
    [
      { keys: [{ passphrase: key('x'), kdf: { type: 'argon2id', time: 4, memory: 31, cpus: 1 } }] },
      'key 0: argon2id takes 32 KiB to 4 GiB of memory',
    ],
    [
      { keys: [{ passphrase: key('x'), kdf: { type: 'argon2id', time: 4, memory: (4 << 20) + 1, cpus: 1 } }] },
      'key 0: argon2id takes 32 KiB to 4 GiB of memory',
    ],
    [
      { keys: [{ passphrase: key('x'), kdf: { type: 'argon2id', time: 4, memory: 64, cpus: 5 } }] },
      'key 0: argon2id takes 1 to 4 lanes',
    ],
    [
      { tokens: [{ meaning: { type: 'bootseal', secret: guid }, keyslots: [0, 1] }] },
      'a token is for keyslot 1, which has no key',
    ],
  ] as const)('refuses %j', async (over, message) => {
    await expect(make({ ...luks2, ...over })).rejects.toMatchObject({ kind: 'usage', message });
  });

  it('takes the smallest header and the dearest keys that may be', async () => {
    await make({ ...luks2, headerSize: 32768 + 258048 });
    await make({ ...luks2, keySize: 32, headerSize: 32768 + 131072, dataSize: 512, sectorSize: 512 });
    const keys = [{ passphrase: key('x'), kdf: { type: 'argon2id', time: 4, memory: 32, cpus: 4 } }] as const;
    await make({ ...luks2, keys });
  });

  it('refuses labels that do not fit and UUIDs that are none', async () => {
    await expect(make({ ...luks2, label: 'x'.repeat(48) })).rejects.toMatchObject({ kind: 'format' });
    await expect(make({ ...luks2, uuid: 'x' })).rejects.toMatchObject({ kind: 'format' });
  });

  it('wipes the volume key when it fails', async () => {
    const given: Uint8Array[] = [];
    const random = (size: number) => {
      const bytes = new Uint8Array(size).map((_, i) => i + 1);
      given.push(bytes);
      return bytes;
    };
    await expect(plan({ ...luks2, label: 'x'.repeat(48) }, random, nodeLuksCrypto)).rejects.toThrow();
    expect(given[1]).toEqual(new Uint8Array(64));
  });
});

describe('the plan of LUKS1', () => {
  it('makes an image that every key opens', async () => {
    const keys = ['one', 'two'].map((text) => ({ passphrase: key(text), kdf: cheap }));
    for (const keySize of [32, 64] as const) {
      const made = await make({ ...luks1, keySize, keys });
      const [header, bytes] = await read(made);
      if (header.version !== 1) throw new Error('version');
      expect(header).toMatchObject({
        encryption: 'aes-xts-plain64',
        hash: 'sha256',
        payloadOffset: 0x200000,
        keySize,
        uuid: made.uuid,
      });
      expect(header.keyslots.map(({ active }) => active)).toEqual([
        true,
        true,
        false,
        false,
        false,
        false,
        false,
        false,
      ]);
      expect(checkHeaderPolicy(header)).toEqual([]);
      for (const [id, { passphrase }] of keys.entries()) {
        expect(await unlock(header, memoryDisk(bytes), passphrase, nodeLuksCrypto)).toEqual({
          keyslot: id,
          volumeKey: made.sectors.key,
        });
      }
      expect(made.extents.map((extent) => [extent.at, extent.kind === 'bytes' ? extent.bytes.length : 0])).toEqual([
        [0x200000, 0],
        [4096, 0x200000 - 4096],
        [0, 4096],
      ]);
    }
  });

  it('keeps a detached header apart', async () => {
    const [header] = await read(await make({ ...luks1, detached: true }), 'header');
    expect(header).toMatchObject({ payloadOffset: 0 });
  });

  const keyed = (passphrase: Uint8Array) => ({ keys: [{ passphrase, kdf: cheap }] });
  it.each([
    [{ sectorSize: 4096 } as const, 'LUKS1 has only sectors of 512 bytes'],
    [{ headerSize: 2068480 - 4096 }, 'a LUKS1 header takes at least 2068480 bytes, not 2064384'],
    [{ keys: Array.from({ length: 9 }, () => ({ passphrase: key('x'), kdf: cheap })) }, 'LUKS1 has room for 8 keys'],
    [{ label: 'x' }, 'LUKS1 has no label, no subsystem and no tokens'],
    [{ subsystem: 'x' }, 'LUKS1 has no label, no subsystem and no tokens'],
    [
      { tokens: [{ meaning: { type: 'bootseal', secret: guid } as const, keyslots: [0] }] },
      'LUKS1 has no label, no subsystem and no tokens',
    ],
    [
      { keys: [{ passphrase: key('x'), kdf: { type: 'argon2id', time: 4, memory: 32, cpus: 1 } as const }] },
      'key 0: LUKS1 has only pbkdf2, not argon2id',
    ],
    [{ keys: [{ passphrase: key('x'), kdf: cheap, priority: 1 as const }] }, 'key 0: LUKS1 has no priorities'],
    [keyed(key('x'.repeat(256))), 'key 0: GRUB takes at most 255 bytes'],
    [keyed(key('a\0b')), 'key 0: GRUB takes no NUL and no line break in a key'],
    [keyed(key('a\n')), 'key 0: GRUB takes no NUL and no line break in a key'],
    [keyed(key('a\r')), 'key 0: GRUB takes no NUL and no line break in a key'],
  ])('refuses %j', async (over, message) => {
    await expect(make({ ...luks1, ...over })).rejects.toMatchObject({ kind: 'usage', message });
  });

  it('takes the smallest header and the longest key', async () => {
    await make({ ...luks1, headerSize: 2068480, ...keyed(key('x'.repeat(255))) });
  });
});
