import { describe, expect, it } from 'vitest';
import type { Plain } from '../../../src/core/luks/metadata/json.ts';
import { printJson } from '../../../src/core/luks/metadata/json.ts';
import { stripesSize } from '../../../src/core/luks/metadata/keyslots.ts';
import { parseMetadata, printMetadata, validateMetadata } from '../../../src/core/luks/metadata.ts';
import { failure } from '../../failure.ts';
import { sampleJson, samplePlain } from '../../luks-image.ts';

const SIZE = 0x4000;
type Changes = Readonly<Record<string, Plain | undefined>>;

const accept = (changes: Changes = {}, size = SIZE) => validateMetadata(sampleJson(changes), size);
const salt = Buffer.alloc(32, 7).toString('base64');
const plain = samplePlain() as {
  keyslots: { 0: { [key: string]: Plain } };
  segments: { 0: { [key: string]: Plain } };
  digests: { 0: { [key: string]: Plain } };
};
const [slot, segment, digest] = [plain.keyslots[0], plain.segments[0], plain.digests[0]];
const slotAt = (offset: number, size = 258048): Plain => ({
  ...slot,
  area: { type: 'raw', offset: String(offset), size: String(size), encryption: 'aes-xts-plain64', key_size: 64 },
});
const opal = {
  ...segment,
  type: 'hw-opal',
  size: '512',
  opal_segment_number: 1,
  opal_key_size: 32,
  opal_segment_size: '512',
};
const reencryptSlot = { type: 'reencrypt', key_size: 1, area: { type: 'none', offset: '524288', size: '4096' } };
const backup = (flag: string) => ({ ...segment, flags: [flag] });

describe('validateMetadata', () => {
  it('reads the sample', () => {
    const found = accept();
    expect(found.keyslots).toEqual([
      {
        kind: 'luks2',
        id: 0,
        type: 'luks2',
        keySize: 64,
        area: { offset: 32768, size: 258048 },
        priority: 1,
        kdf: { type: 'pbkdf2', hash: 'sha256', iterations: 1000, salt: new Uint8Array(32).fill(7) },
        afHash: 'sha256',
        encryption: 'aes-xts-plain64',
        encryptionKeySize: 64,
      },
    ]);
    expect(found.segments).toEqual([
      {
        id: 0,
        type: 'crypt',
        offset: 1048576n,
        size: 'dynamic',
        flags: [],
        crypt: { ivTweak: 0n, encryption: 'aes-xts-plain64', sectorSize: 512 },
      },
    ]);
    expect(found.digests).toEqual([
      {
        id: 0,
        type: 'pbkdf2',
        keyslots: [0],
        segments: [0],
        pbkdf2: {
          hash: 'sha256',
          iterations: 1000,
          salt: new Uint8Array(32).fill(7),
          digest: new Uint8Array(32).fill(9),
        },
      },
    ]);
    expect(found.config).toEqual({ jsonSize: 12288, keyslotsSize: 1015808, flags: [], requirements: [] });
    expect(found.tokens).toEqual([]);
  });

  it('reads what is optional', () => {
    const found = accept({
      'keyslots.0.priority': 2,
      'keyslots.0.kdf': { type: 'argon2id', time: 4, memory: 32, cpus: 1, salt },
      'keyslots.1': reencryptSlot,
      'segments.0.integrity': { type: 'hmac(sha256)', journal_encryption: 'none', journal_integrity: 'none' },
      'segments.0.flags': ['x'],
      'digests.1': { type: 'other', keyslots: ['1'], segments: [] },
      'config.flags': ['allow-discards'],
      'config.requirements': { mandatory: ['offline-reencrypt', 'online-reencrypt-v2'] },
      'segments.1': backup('backup-final'),
      'segments.2': backup('backup-previous'),
      'digests.0.segments': ['0', '1', '2'],
      'tokens.31': { type: 'any', keyslots: [], free: { form: [1] } },
    });
    expect(found.keyslots).toMatchObject([
      { priority: 2, kdf: { type: 'argon2id', time: 4, memory: 32, cpus: 1, salt: new Uint8Array(32).fill(7) } },
      { kind: 'foreign', id: 1, type: 'reencrypt', keySize: 1, area: { offset: 524288, size: 4096 } },
    ]);
    expect(found.segments[0]).toMatchObject({
      flags: ['x'],
      crypt: { integrity: { type: 'hmac(sha256)', journalEncryption: 'none', journalIntegrity: 'none' } },
    });
    expect(found.digests[1]).toEqual({ id: 1, type: 'other', keyslots: [1], segments: [] });
    expect(found.config).toMatchObject({
      flags: ['allow-discards'],
      requirements: ['offline-reencrypt', 'online-reencrypt-v2'],
    });
    expect(found.tokens).toMatchObject([{ id: 31, type: 'any', keyslots: [] }]);
    expect(accept({ 'config.requirements': {} }).config.requirements).toEqual([]);
    expect(accept({ 'keyslots.0.kdf': { type: 'balloon' } }).keyslots).toMatchObject([
      { kdf: { type: 'foreign', name: 'balloon' } },
    ]);
    expect(accept({ 'segments.0': { ...opal, type: 'hw-opal-crypt' } }).segments).toMatchObject([
      { type: 'hw-opal-crypt', size: 512n, crypt: { sectorSize: 512 } },
    ]);
  });

  it('takes the borders', () => {
    accept({ 'keyslots.0': slotAt(32768 + 1015808 - 258048) });
    accept({ 'keyslots.1': slotAt(32768 + 258048), 'digests.0.keyslots': ['0', '1'] });
    accept({ 'segments.0.size': '18446744073708503040' });
    accept({ 'segments.0.offset': '0' });
    accept({
      'segments.0.size': '1024',
      'segments.1': { ...segment, offset: '1049600' },
      'digests.0.segments': ['0', '1'],
    });
    accept({ 'config.json_size': '28672', 'config.keyslots_size': '983040', 'keyslots.0': slotAt(65536) }, 0x8000);
    accept({ keyslots: {}, 'digests.0.keyslots': [], 'config.keyslots_size': '0' });
    accept({ 'segments.0.offset': '1073741824', 'config.keyslots_size': '134217728' });
    accept({ 'keyslots.0.kdf.iterations': 0xffffffff, 'segments.0.iv_tweak': '18446744073709551615' });
    accept({ 'digests.0.digest': Buffer.alloc(20).toString('base64') });
    accept({ 'digests.0.digest': Buffer.alloc(64).toString('base64') });
  });

  const rules: readonly (readonly [string, Changes, string])[] = [
    ['keyslots missing', { keyslots: undefined }, 'keyslots: an object is required'],
    ['tokens missing', { tokens: undefined }, 'tokens: an object is required'],
    ['segments an array', { segments: [] }, 'segments: an object is required'],
    ['digests null', { digests: null }, 'digests: an object is required'],
    ['config missing', { config: undefined }, 'config: an object is required'],
    ['a name that is no number', { 'keyslots.x': slot }, 'keyslots: "x" is not a number below 32'],
    ['a name with a leading zero', { 'keyslots.00': slot }, 'keyslots: "00" is not a number below 32'],
    ['keyslot 32', { 'keyslots.32': slot }, 'keyslots: "32" is not a number below 32'],
    ['digest 8', { 'digests.8': digest }, 'digests: "8" is not a number below 8'],
    [
      '33 tokens',
      { tokens: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [i, { type: 't', keyslots: [] }])) },
      'tokens: 33 objects are more than the 32 that are allowed',
    ],
    ['a keyslot that is no object', { 'keyslots.1': 1 }, 'keyslots.1: an object is required'],
    ['no type', { 'keyslots.0.type': undefined }, 'keyslots.0.type: a string that is not empty is required'],
    ['an empty type', { 'keyslots.0.type': '' }, 'keyslots.0.type: a string that is not empty is required'],
    ['key_size as text', { 'keyslots.0.key_size': '64' }, 'keyslots.0.key_size: an integer from 1 to 512 is required'],
    ['key_size 0', { 'keyslots.0.key_size': 0 }, 'keyslots.0.key_size: an integer from 1 to 512 is required'],
    ['key_size 513', { 'keyslots.0.key_size': 513 }, 'keyslots.0.key_size: an integer from 1 to 512 is required'],
    ['a negative key_size', { 'keyslots.0.key_size': -1 }, 'keyslots.0.key_size: an integer from 1 to 512 is required'],
    [
      'a foreign key_size beyond 32 bits',
      { 'keyslots.1': { ...reencryptSlot, key_size: 2 ** 32 } },
      'keyslots.1.key_size: an integer from 0 to 4294967295 is required',
    ],
    ['no area', { 'keyslots.0.area': undefined }, 'keyslots.0.area: an object is required'],
    ['another type of area', { 'keyslots.0.area.type': 'x' }, 'keyslots.0.area.type: only the type raw exists'],
    [
      'an offset that is no text',
      { 'keyslots.0.area.offset': 32768 },
      'keyslots.0.area.offset: a string that is not empty is required',
    ],
    [
      'a negative offset',
      { 'keyslots.0.area.offset': '-1' },
      'keyslots.0.area.offset: a string of decimal digits below 2^64 is required',
    ],
    [
      'a size of 2^64',
      { 'keyslots.0.area.size': '18446744073709551616' },
      'keyslots.0.area.size: a string of decimal digits below 2^64 is required',
    ],
    [
      'an area too small for its key',
      { 'keyslots.0.area.size': '255999' },
      'keyslots.0.area.size: a key of 64 bytes takes 256000 bytes, not 255999',
    ],
    [
      'no cipher',
      { 'keyslots.0.area.encryption': undefined },
      'keyslots.0.area.encryption: a string that is not empty is required',
    ],
    [
      'a key of the area of no bytes',
      { 'keyslots.0.area.key_size': 0 },
      'keyslots.0.area.key_size: an integer from 1 to 512 is required',
    ],
    ['no splitter', { 'keyslots.0.af': undefined }, 'keyslots.0.af: an object is required'],
    ['another splitter', { 'keyslots.0.af.type': 'luks2' }, 'keyslots.0.af.type: only the type luks1 exists'],
    [
      '3999 stripes',
      { 'keyslots.0.af.stripes': 3999 },
      'keyslots.0.af.stripes: an integer from 4000 to 4000 is required',
    ],
    [
      '4001 stripes',
      { 'keyslots.0.af.stripes': 4001 },
      'keyslots.0.af.stripes: an integer from 4000 to 4000 is required',
    ],
    ['no splitter hash', { 'keyslots.0.af.hash': 5 }, 'keyslots.0.af.hash: a string that is not empty is required'],
    ['no key derivation', { 'keyslots.0.kdf': undefined }, 'keyslots.0.kdf: an object is required'],
    [
      'a field too many for pbkdf2',
      { 'keyslots.0.kdf.time': 4 },
      'keyslots.0.kdf: must have exactly the fields type, hash, iterations, salt',
    ],
    [
      'a field of another name',
      { 'keyslots.0.kdf': { type: 'pbkdf2', hash: 'sha256', iterations: 1000, sugar: salt } },
      'keyslots.0.kdf: must have exactly the fields type, hash, iterations, salt',
    ],
    [
      'a field too few for argon2',
      { 'keyslots.0.kdf': { type: 'argon2i', time: 4, memory: 32, salt } },
      'keyslots.0.kdf: must have exactly the fields type, time, memory, cpus, salt',
    ],
    [
      'a field too many for argon2',
      { 'keyslots.0.kdf': { type: 'argon2id', time: 4, memory: 32, cpus: 1, salt, hash: 'sha256' } },
      'keyslots.0.kdf: must have exactly the fields type, time, memory, cpus, salt',
    ],
    [
      'no iterations',
      { 'keyslots.0.kdf.iterations': 0 },
      'keyslots.0.kdf.iterations: an integer from 1 to 4294967295 is required',
    ],
    ...(['time', 'memory', 'cpus'] as const).map(
      (name) =>
        [
          `no ${name}`,
          { 'keyslots.0.kdf': { type: 'argon2id', time: 4, memory: 32, cpus: 1, salt, [name]: 0 } },
          `keyslots.0.kdf.${name}: an integer from 1 to 4294967295 is required`,
        ] as const,
    ),
    [
      'a salt of 31 bytes',
      { 'keyslots.0.kdf.salt': Buffer.alloc(31).toString('base64') },
      'keyslots.0.kdf.salt: base64 of 32 bytes is required, not of 31',
    ],
    ['a salt that is no base64', { 'keyslots.0.kdf.salt': '*' }, 'keyslots.0.kdf.salt: base64 of 32 bytes is required'],
    ['priority 3', { 'keyslots.0.priority': 3 }, 'keyslots.0.priority: an integer from 0 to 2 is required'],
    ['a keyslot without a digest', { 'digests.0.keyslots': [] }, 'keyslots.0: belongs to 0 digests instead of one'],
    ['a keyslot with two digests', { 'digests.1': digest }, 'keyslots.0: belongs to 2 digests instead of one'],
    [
      'references that are no array',
      { 'digests.0.keyslots': '0' },
      'digests.0.keyslots: an array of strings is required',
    ],
    ['references by number', { 'digests.0.keyslots': [0] }, 'digests.0.keyslots: an array of strings is required'],
    [
      'a digest of a missing keyslot',
      { 'digests.0.keyslots': ['1'] },
      'digests.0.keyslots: refers to keyslots "1", which does not exist',
    ],
    [
      'a digest of a missing segment',
      { 'digests.0.segments': ['1'] },
      'digests.0.segments: refers to segments "1", which does not exist',
    ],
    [
      'a digest without hash',
      { 'digests.0.hash': undefined },
      'digests.0.hash: a string that is not empty is required',
    ],
    [
      'a digest of no iterations',
      { 'digests.0.iterations': 0 },
      'digests.0.iterations: an integer from 1 to 4294967295 is required',
    ],
    [
      'a digest of 19 bytes',
      { 'digests.0.digest': Buffer.alloc(19).toString('base64') },
      'digests.0.digest: base64 of 20 to 64 bytes is required, not of 19',
    ],
    [
      'a digest of 65 bytes',
      { 'digests.0.digest': Buffer.alloc(65).toString('base64') },
      'digests.0.digest: base64 of 20 to 64 bytes is required, not of 65',
    ],
    ['a segment without digest', { 'digests.0.segments': [] }, 'segments.0: belongs to no digest'],
    [
      'a token of a missing keyslot',
      { 'tokens.0': { type: 't', keyslots: ['5'] } },
      'tokens.0.keyslots: refers to keyslots "5", which does not exist',
    ],
    ['a token without type', { 'tokens.0': { keyslots: [] } }, 'tokens.0.type: a string that is not empty is required'],
    ['no segment', { segments: {}, 'digests.0.segments': [] }, 'segments: at least one segment is required'],
    [
      'a gap between segments',
      { 'segments.2': { ...segment, offset: '0' }, 'digests.0.segments': ['0', '2'] },
      'segments: there is no segment 1, but one after it',
    ],
    [
      'a segment without offset',
      { 'segments.0.offset': undefined },
      'segments.0.offset: a string that is not empty is required',
    ],
    ['an offset beside the sectors', { 'segments.0.offset': '1048577' }, 'segments.0.offset: not a multiple of 512'],
    ['a size of zero', { 'segments.0.size': '0' }, 'segments.0.size: must not be zero'],
    ['a size of 511', { 'segments.0.size': '511' }, 'segments.0.size: not a multiple of 512'],
    [
      'a size beside the sectors',
      { 'segments.0.size': '512', 'segments.0.sector_size': 4096 },
      'segments.0.size: not a multiple of the sector size',
    ],
    [
      'a size in letters',
      { 'segments.0.size': 'Dynamic' },
      'segments.0.size: a string of decimal digits below 2^64 is required',
    ],
    ['an end beyond 2^64', { 'segments.0.size': '18446744073708503552' }, 'segments.0: ends beyond 2^64'],
    [
      'no iv_tweak',
      { 'segments.0.iv_tweak': undefined },
      'segments.0.iv_tweak: a string that is not empty is required',
    ],
    [
      'an empty cipher',
      { 'segments.0.encryption': '' },
      'segments.0.encryption: a string that is not empty is required',
    ],
    [
      'a sector size of zero',
      { 'segments.0.sector_size': 0 },
      'segments.0.sector_size: an integer from 512 to 4294967295 is required',
    ],
    ['a sector size of 513', { 'segments.0.sector_size': 513 }, 'segments.0.sector_size: not a multiple of 512'],
    [
      'a sector size as text',
      { 'segments.0.sector_size': '512' },
      'segments.0.sector_size: an integer from 512 to 4294967295 is required',
    ],
    ['flags that are no array', { 'segments.0.flags': {} }, 'segments.0.flags: an array of strings is required'],
    ['a flag that is no string', { 'segments.0.flags': [1] }, 'segments.0.flags: an array of strings is required'],
    ['integrity that is no object', { 'segments.0.integrity': 'x' }, 'segments.0.integrity: an object is required'],
    ...(['type', 'journal_encryption', 'journal_integrity'] as const).map(
      (name) =>
        [
          `integrity without ${name}`,
          {
            'segments.0.integrity': { type: 'aead', journal_encryption: 'none', journal_integrity: 'none', [name]: '' },
          },
          `segments.0.integrity.${name}: a string that is not empty is required`,
        ] as const,
    ),
    [
      'a dynamic segment before another',
      { 'segments.1': { ...segment, offset: '2097152', size: '512' }, 'digests.0.segments': ['0', '1'] },
      'segments.0.size: only the last segment may be dynamic',
    ],
    [
      'overlapping segments',
      { 'segments.0.size': '1024', 'segments.1': { ...segment, offset: '1049088' }, 'digests.0.segments': ['0', '1'] },
      'segments.0: overlaps segment 1',
    ],
    ['only backups', { 'segments.0.flags': ['backup-final'] }, 'segments: every segment is a backup of reencryption'],
    [
      'a segment behind a backup',
      {
        'segments.1': backup('backup-final'),
        'segments.2': { ...segment, offset: '0' },
        'digests.0.segments': ['0', '1', '2'],
      },
      'segments.2: a regular segment stands behind a backup segment',
    ],
    [
      'a dynamic OPAL segment',
      { 'segments.0': { ...opal, size: 'dynamic' } },
      'segments.0.size: an OPAL segment has a size of its own',
    ],
    [
      'an OPAL range too small',
      { 'segments.0': { ...opal, size: '1024' } },
      'segments.0.size: larger than the OPAL locking range',
    ],
    [
      'an OPAL segment without number',
      { 'segments.0': { ...opal, opal_segment_number: 'x' } },
      'segments.0.opal_segment_number: an integer from 0 to 4294967295 is required',
    ],
    [
      'an OPAL segment without key size',
      { 'segments.0': { ...opal, opal_key_size: 'x' } },
      'segments.0.opal_key_size: an integer from 0 to 4294967295 is required',
    ],
    [
      'a json_size of no header',
      { 'config.json_size': '12287' },
      'config.json_size: 12287 is none of the sizes that are allowed',
    ],
    [
      'a json_size of another header',
      { 'config.json_size': '28672' },
      'config.json_size: 28672 does not go with a header of 16384 bytes',
    ],
    [
      'a keyslots_size beside the pages',
      { 'config.keyslots_size': '1015807' },
      'config.keyslots_size: 1015807 is not a multiple of 4096 up to 134217728',
    ],
    [
      'a keyslots_size above 128 MiB',
      { 'config.keyslots_size': '134221824' },
      'config.keyslots_size: 134221824 is not a multiple of 4096 up to 134217728',
    ],
    [
      'keyslots that reach into the data',
      { 'config.keyslots_size': '1019904' },
      'config.keyslots_size: the keyslots area ends at 1052672, inside the data, which start at 1048576',
    ],
    ['config flags that are no strings', { 'config.flags': [1] }, 'config.flags: an array of strings is required'],
    ['requirements as an array', { 'config.requirements': [] }, 'config.requirements: an object is required'],
    [
      'mandatory that is no array',
      { 'config.requirements': { mandatory: 'x' } },
      'config.requirements.mandatory: an array of strings is required',
    ],
    [
      'two online reencryptions',
      { 'config.requirements': { mandatory: ['online-reencrypt', 'online-reencrypt-v3'] } },
      'config.requirements.mandatory: online reencryption is required more than once',
    ],
    [
      'an area inside the headers',
      { 'keyslots.0': slotAt(28672) },
      'keyslots.0.area: starts at 28672, inside the headers, which end at 32768',
    ],
    [
      'an area behind the keyslots',
      { 'keyslots.0': slotAt(794624) },
      'keyslots.0.area: ends at 1052672, behind the keyslots area, which ends at 1048576',
    ],
    [
      'an area at 2^64',
      { 'keyslots.0.area.offset': '18446744073709551615' },
      'keyslots.0.area: ends at 18446744073709810000, behind the keyslots area, which ends at 1048576',
    ],
    [
      'an empty foreign area',
      { 'keyslots.1': { ...reencryptSlot, area: { type: 'none', offset: '524288', size: '0' } } },
      'keyslots.1.area: must not be empty',
    ],
    [
      'overlapping areas',
      { 'keyslots.1': slotAt(32768 + 258047), 'digests.0.keyslots': ['0', '1'] },
      'keyslots.0.area: overlaps the area of keyslot 1',
    ],
    [
      'the same area twice',
      { 'keyslots.1': slot, 'digests.0.keyslots': ['0', '1'] },
      'keyslots.0.area: overlaps the area of keyslot 1',
    ],
    [
      'a reencryption keyslot that is not required',
      { 'keyslots.1': reencryptSlot },
      'config.requirements: a keyslot is of the type reencrypt, but it is not required',
    ],
    [
      'a reencryption without keyslot',
      { 'config.requirements': { mandatory: ['online-reencrypt'] } },
      'keyslots: reencryption is required, but no keyslot is of the type reencrypt',
    ],
    [
      'two reencryption keyslots',
      {
        'keyslots.1': reencryptSlot,
        'keyslots.2': { ...reencryptSlot, area: { type: 'none', offset: '528384', size: '4096' } },
      },
      'keyslots: more than one is of the type reencrypt',
    ],
    [
      'a reencryption without backups',
      {
        'keyslots.1': reencryptSlot,
        'config.requirements': { mandatory: ['online-reencrypt-v2'] },
        'segments.1': backup('backup-final'),
        'digests.0.segments': ['0', '1'],
      },
      'segments: reencryption is required, but no segment has the flag backup-previous',
    ],
  ];
  it.each(rules)('refuses %s', (_title, changes, message) => {
    expect(failure(() => accept(changes))).toMatchObject({ kind: 'format', message: `LUKS2 metadata: ${message}` });
  });
});

describe('the JSON area', () => {
  const area = (text: string, size = 12288) => {
    const bytes = new Uint8Array(size);
    bytes.set(Buffer.from(text).subarray(0, size));
    return bytes;
  };
  const text = printJson(sampleJson());

  it('is read as it was printed', () => {
    const printed = printMetadata(sampleJson(), SIZE);
    expect(printed).toEqual(area(text));
    expect(printJson(parseMetadata(printed).json)).toBe(text);
  });

  it('must start with {, end with a NUL and hold zeros behind', () => {
    const message = (bytes: Uint8Array) => failure(() => parseMetadata(bytes)).message;
    expect(message(area(` ${text}`))).toBe('LUKS2 JSON area: does not start with {');
    expect(message(new Uint8Array(0))).toBe('LUKS2 JSON area: does not start with {');
    expect(message(area(`{${' '.repeat(12287)}`))).toBe('LUKS2 JSON area: no NUL ends the text');
    expect(message(area(`${text}\0\0x`))).toBe('LUKS2 JSON area: something follows the NUL that ends the text');
    const last = area(text);
    last[12287] = 1;
    expect(message(last)).toBe('LUKS2 JSON area: something follows the NUL that ends the text');
    expect(message(area(`${text} `))).toMatch('JSON: something follows the value');
    const latin1 = area(text);
    latin1[20] = 0xe9;
    expect(message(latin1)).toBe('LUKS2 JSON area: not UTF-8');
  });

  it('must hold the text and a NUL', () => {
    const filled = (length: number) => sampleJson({ 'tokens.0': { type: 't', keyslots: [], x: 'x'.repeat(length) } });
    const empty = printJson(filled(0)).length;
    expect(parseMetadata(printMetadata(filled(12287 - empty), SIZE)).tokens).toHaveLength(1);
    expect(failure(() => printMetadata(filled(12288 - empty), SIZE)).message).toBe(
      'LUKS2 metadata: config.json_size: the text of 12288 bytes does not fit into an area of 12288',
    );
  });
});

it('stripesSize rounds up to sectors', () => {
  expect([16, 32, 64, 96, 1].map(stripesSize)).toEqual([64000, 128000, 256000, 384000, 4096]);
});
