import { describe, expect, it } from 'vitest';
import {
  judgeHeader,
  manifestAfter,
  manifestDuring,
  parsePinnedHeader,
} from '../../../src/core/luks/manifest-change.ts';
import { failure } from '../../failure.ts';

const [OLD, NEW, A, B] = ['0', '1', 'a', 'b'].map((digit) => digit.repeat(64)) as [string, string, string, string];
const manifest = {
  format: 'bootseal-image-1',
  image: 'disk.img',
  header: { file: null, bytes: 4096, sha256: OLD },
  rootHash: 'kept as it is',
  keyslots: [
    { keyslot: 0, kdf: 'pbkdf2', purpose: 'launch-secret' },
    { keyslot: 1, kdf: 'argon2id', purpose: 'recovery' },
    { keyslot: 2, kdf: 'pbkdf2', purpose: null },
    { keyslot: 3, kdf: 'pbkdf2', purpose: 'of tomorrow' },
    'garbage',
  ],
};
const parse = (value: unknown) => parsePinnedHeader(new Uint8Array(Buffer.from(JSON.stringify(value))), 'm.json');
const removal = { state: A, keyslots: [1] };

describe('a manifest', () => {
  it('is read', () => {
    const pinned = parse(manifest);
    expect(pinned).toEqual({
      bytes: 4096,
      sha256: OLD,
      purposes: new Map([
        [0, 'launch-secret'],
        [1, 'recovery'],
      ]),
      change: undefined,
      manifest,
    });
    expect(parse({ ...manifest, keyslots: null }).purposes).toEqual(new Map());
  });

  it('says which states a header goes through, and which it has in the end', () => {
    const during = manifestDuring(parse(manifest), { states: [A, B], removal });
    expect(JSON.parse(during)).toEqual({ ...manifest, keyChange: { states: [A, B], removal } });
    expect(during).toMatch(/^\{\n {2}"format".*\n\}\n$/s);
    const pinned = parse(JSON.parse(during));
    expect(pinned.change).toEqual({ states: [A, B], removal });
    const keyslots = [{ keyslot: 5, kdf: 'pbkdf2', purpose: null }];
    expect(JSON.parse(manifestAfter(pinned, NEW, keyslots))).toEqual({
      ...manifest,
      header: { file: null, bytes: 4096, sha256: NEW },
      keyslots,
    });
    const nothing = manifestDuring(parse(manifest), { states: [A], removal: undefined });
    expect(parse(JSON.parse(nothing)).change).toEqual({ states: [A], removal: undefined });
  });

  it('tells its own header, one of a change that was cut off, and any other', () => {
    const [calm, during] = [parse(manifest), parse({ ...manifest, keyChange: { states: [A, B], removal: null } })];
    expect(judgeHeader(calm, { sha256: OLD, state: A })).toBe('pinned');
    expect(judgeHeader(calm, { sha256: NEW, state: A })).toBe('another');
    expect(judgeHeader(during, { sha256: OLD, state: NEW })).toBe('pinned');
    expect(judgeHeader(during, { sha256: NEW, state: B })).toBe('interrupted');
    expect(judgeHeader(during, { sha256: NEW, state: NEW })).toBe('another');
  });

  it.each([
    ['no object', [], 'is no JSON object'],
    ['another format', { ...manifest, format: 'x' }, 'is no manifest of an image'],
    ['no size', { ...manifest, header: { sha256: OLD } }, 'header.bytes is no size'],
    ['a size of nothing', { ...manifest, header: { bytes: 0, sha256: OLD } }, 'header.bytes is no size'],
    ['half a size', { ...manifest, header: { bytes: 1.5, sha256: OLD } }, 'header.bytes is no size'],
    [
      'a hash of capitals',
      { ...manifest, header: { bytes: 1, sha256: 'A'.repeat(64) } },
      'header.sha256 is no SHA-256',
    ],
    ['a long hash', { ...manifest, header: { bytes: 1, sha256: `${OLD}0` } }, 'header.sha256 is no SHA-256'],
    ['no header', { ...manifest, header: 3 }, 'header.bytes is no size'],
    ['a change of nothing', { ...manifest, keyChange: 1 }, 'keyChange is not what a change of keys writes'],
    [
      'states that are none',
      { ...manifest, keyChange: { states: ['x'] } },
      'keyChange is not what a change of keys writes',
    ],
    [
      'no removal',
      { ...manifest, keyChange: { states: [A] } },
      'keyChange.removal is not what a change of keys writes',
    ],
    [
      'a removal of no state',
      { ...manifest, keyChange: { states: [A], removal: { keyslots: [1] } } },
      'keyChange.removal is not what a change of keys writes',
    ],
    [
      'a keyslot below zero',
      { ...manifest, keyChange: { states: [A], removal: { state: A, keyslots: [-1] } } },
      'keyChange.removal is not what a change of keys writes',
    ],
  ])('is refused with %s', (_name, value, message) => {
    expect(failure(() => parse(value))).toMatchObject({ kind: 'format', message: `m.json: ${message}` });
  });

  it('is refused when it is no text or no JSON', () => {
    for (const bytes of [Uint8Array.of(0xff), new Uint8Array(Buffer.from('{')), new Uint8Array(0)]) {
      expect(failure(() => parsePinnedHeader(bytes, 'm.json'))).toMatchObject({ message: 'm.json: is no JSON object' });
    }
  });
});
