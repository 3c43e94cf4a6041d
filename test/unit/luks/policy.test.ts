import { describe, expect, it } from 'vitest';
import { readHeader } from '../../../src/core/luks/image.ts';
import type { Plain } from '../../../src/core/luks/metadata/json.ts';
import { readTokens } from '../../../src/core/luks/metadata/tokens.ts';
import { checkHeaderPolicy, DEFAULT_POLICY } from '../../../src/core/luks/policy.ts';
import { type TokenMeaning, tokenJson, tokenMeaning } from '../../../src/core/luks/token.ts';
import { failure } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';
import { memoryDisk, sampleImage, sampleJson } from '../../luks-image.ts';

const findings = async (changes: Readonly<Record<string, Plain | undefined>>, policy = DEFAULT_POLICY) =>
  checkHeaderPolicy(await readHeader(memoryDisk(sampleImage(changes))), policy).map(({ rule, message }) => [
    rule,
    message,
  ]);
const foreign = { type: 'fido', key_size: 64, area: { type: 'none', offset: '524288', size: '4096' } };
const segment = {
  type: 'crypt',
  offset: '1048576',
  size: '512',
  iv_tweak: '0',
  encryption: 'aes-xts-plain64',
  sector_size: 512,
};

describe('the header policy', () => {
  it.each([
    'cs261-l2-pbkdf2-512.img',
    'cs261-l2-argon2id-4096-detached.hdr',
    'qemu72-l1.img',
    'kern61-l2-hmac-4096.img',
  ])('accepts %s', async (name) => {
    expect(checkHeaderPolicy(await readHeader(memoryDisk(fixture(`luks/${name}`))))).toEqual([]);
  });

  it.each([
    [{ 'segments.0.encryption\0': 'cipher_null-ecb' }],
    [{ 'keyslots.0.area.encryption\0': 'cipher_null-ecb' }],
    [{ 'config.requirements\0': { mandatory: ['x'] } }],
    [{ 'segments\0x': { 0: { ...segment, encryption: 'cipher_null-ecb' } } }],
  ])('is not got round by a key that json-c cuts at its NUL: %j', async (changes) => {
    await expect(readHeader(memoryDisk(sampleImage(changes)))).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining('a string with a NUL in it'),
    });
  });

  it('refuses a header of which one copy is bad', async () => {
    const header = await readHeader(memoryDisk(fixture('luks/luksy2024-l2.img')));
    expect(checkHeaderPolicy(header)).toEqual([
      { rule: 'copies-agree', message: 'the two copies of the header do not agree' },
    ]);
  });

  it.each([
    [{}, []],
    [{ 'segments.0.sector_size': 4096, 'tokens.0': { type: 'x', keyslots: [] } }, []],
    [{ 'segments.0.encryption': 'cipher_null-ecb' }, [['null-cipher', 'segment 0 is not encrypted at all']]],
    [
      { 'keyslots.0.area.encryption': 'cipher_null-ecb' },
      [['null-cipher', 'keyslot 0 is not encrypted at all: any passphrase would open it']],
    ],
    [{ 'segments.0.encryption': 'aes-ecb' }, [['cipher', 'segment 0 has the cipher "aes-ecb" with 64 bytes of key']]],
    [
      { 'segments.0.encryption': 'aes-xts-random' },
      [['cipher', 'segment 0 has the cipher "aes-xts-random" with 64 bytes of key']],
    ],
    [{ 'keyslots.0.key_size': 16 }, [['cipher', 'segment 0 has the cipher "aes-xts-plain64" with 16 bytes of key']]],
    [
      { 'segments.0.integrity': { type: 'hmac(sha1)', journal_encryption: 'none', journal_integrity: 'none' } },
      [['cipher', 'segment 0 has the cipher "aes-xts-plain64" with 64 bytes of key and the integrity "hmac(sha1)"']],
    ],
    [{ 'segments.0.type': 'linear' }, [['cipher', 'segment 0 is of the type "linear", not encrypted by LUKS']]],
    [
      { 'keyslots.0.area.key_size': 16 },
      [['keyslot-cipher', 'keyslot 0 has the cipher "aes-xts-plain64" with 16 bytes of key']],
    ],
    [
      { 'keyslots.0.area.encryption': 'aes-cbc-plain64' },
      [['keyslot-cipher', 'keyslot 0 has the cipher "aes-cbc-plain64" with 64 bytes of key']],
    ],
    [{ 'keyslots.0.area.key_size': 32 }, []],
    [
      { 'keyslots.0.kdf.iterations': 100_000_001 },
      [['kdf-cost', 'keyslot 0: asks for 100000001 iterations of PBKDF2, more than the limit of 100000000']],
    ],
    [{ 'config.requirements': { mandatory: ['opal'] } }, [['requirements', 'the header requires "opal"']]],
    [
      { 'segments.0.size': '512', 'segments.1': { ...segment, offset: '2097152' }, 'digests.0.segments': ['0', '1'] },
      [['one-segment', 'there are 2 segments instead of one']],
    ],
    [
      { 'keyslots.1': foreign, 'digests.0.keyslots': ['0', '1'] },
      [['keyslot-type', 'keyslot 1 is of the type "fido"']],
    ],
    [
      { 'digests.1': { type: 'x', keyslots: [], segments: ['0'] } },
      [['one-key', 'there are 2 volume keys instead of one']],
    ],
    [{ keyslots: {}, 'digests.0.keyslots': [] }, [['one-key', 'no keyslot has the key of segment 0']]],
    [
      { 'keyslots.1': { ...foreign, key_size: 32 }, 'digests.0.keyslots': ['0', '1'], 'segments.0.encryption': 'x' },
      [
        ['cipher', 'segment 0 has the cipher "x" with 64 bytes of key'],
        ['cipher', 'segment 0 has the cipher "x" with 32 bytes of key'],
        ['keyslot-type', 'keyslot 1 is of the type "fido"'],
      ],
    ],
  ] as const)('of %j finds %j', async (changes, expected) => {
    expect(await findings(changes)).toEqual(expected);
  });

  it('is what its owner makes it', async () => {
    const strict = {
      ...DEFAULT_POLICY,
      ciphers: [{ encryption: 'aes-xts-plain64', keySize: 96, integrity: 'hmac(sha256)' }],
    };
    expect(await findings({}, strict)).toEqual([
      ['cipher', 'segment 0 has the cipher "aes-xts-plain64" with 64 bytes of key'],
    ]);
    const image = fixture('luks/qemu72-l1.img').slice();
    image.set(Buffer.from('cipher_null\0'), 8);
    image.set(Buffer.from('ecb\0'), 40);
    const found = checkHeaderPolicy(await readHeader(memoryDisk(image)));
    expect(found).toEqual([
      { rule: 'null-cipher', message: 'the data is not encrypted at all' },
      { rule: 'null-cipher', message: 'keyslot 0 is not encrypted at all: any passphrase would open it' },
    ]);
  });
});

describe('tokens', () => {
  const guid = '736869e5-84f0-4973-92ec-06879ce3da0b';
  const read = (json: Plain) => {
    const place = (name: string, object = sampleJson({ 'tokens.0': json }).get(name)) => ({
      object: object as ReturnType<typeof sampleJson>,
      where: name,
    });
    const [token] = readTokens(place('tokens'), place('keyslots'));
    if (token === undefined) throw new Error('no token');
    return tokenMeaning(token);
  };
  const plain = (meaning: TokenMeaning, keyslots: number[]) =>
    Object.fromEntries(tokenJson(meaning, keyslots)) as Plain;

  it('that are known are read as they were made', () => {
    const meanings: TokenMeaning[] = [
      { type: 'bootseal', secret: guid },
      { type: 'luks2-keyring', keyDescription: 'root' },
    ];
    for (const meaning of meanings) expect(read(plain(meaning, [0]))).toEqual(meaning);
    expect(plain({ type: 'bootseal', secret: guid.toUpperCase() }, [0, 3])).toEqual({
      type: 'bootseal',
      keyslots: ['0', '3'],
      secret: guid,
    });
    expect(plain({ type: 'luks2-keyring', keyDescription: 'root' }, [])).toEqual({
      type: 'luks2-keyring',
      keyslots: [],
      key_description: 'root',
    });
    expect(read({ type: 'systemd-tpm2', keyslots: [] })).toBeUndefined();
  });

  it('must keep the rules of their type', () => {
    const message = (json: Plain) => failure(() => read(json)).message;
    const keyring = 'tokens.0: a luks2-keyring token has type, keyslots and key_description, and nothing else';
    expect(message({ type: 'luks2-keyring', keyslots: [] })).toBe(keyring);
    expect(message({ type: 'luks2-keyring', keyslots: [], key_description: '' })).toBe(keyring);
    expect(message({ type: 'luks2-keyring', keyslots: [], key_description: 'a', x: 1 })).toBe(keyring);
    expect(message({ type: 'luks2-keyring', keyslots: [], key: 'a' })).toBe(keyring);
    expect(message({ type: 'bootseal', keyslots: [] })).toBe('tokens.0: a bootseal token names the GUID of a secret');
    expect(message({ type: 'bootseal', keyslots: [], secret: 'x' })).toBe('not a GUID: "x"');
    expect(failure(() => tokenJson({ type: 'luks2-keyring', keyDescription: '' }, []))).toMatchObject({
      kind: 'usage',
      message: 'a luks2-keyring token needs the description of a key',
    });
    expect(failure(() => tokenJson({ type: 'bootseal', secret: 'x' }, [])).kind).toBe('format');
  });
});
