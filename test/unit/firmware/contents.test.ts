import { describe, expect, it } from 'vitest';
import { failure } from '../../failure.ts';
import {
  checksum8,
  file,
  guidSection,
  join,
  LZMA,
  lzmaLiterals,
  lzmaSection,
  NAME,
  section,
  sections,
  u16,
  u24,
  u32,
  u64,
  volume,
} from '../../firmware-image.ts';
import { LEAF, message, OTHER, text, walked } from './walked.ts';

const one = (body: Uint8Array) => volume([file(body)]);

describe('files', () => {
  it('follow each other on multiples of 8, padding left out', () => {
    const image = volume([
      file(section(0x19, text('a')), { name: NAME, type: 0x05 }),
      file(new Uint8Array(3), { type: 0xf0 }),
      file(section(0x10, text('b')), { name: OTHER, type: 0x10 }),
    ]);
    expect(walked(image)).toEqual([
      'plain 4096',
      'volume 0 4096',
      'file 0011 5',
      'leaf 0011 25 a',
      'file ffee 16',
      'leaf ffee 16 b',
    ]);
  });

  it('hold sections only when their type says so', () => {
    for (const type of [0x01, 0x11, 0xc0]) expect(walked(volume([file(text('raw!'), { type })]))).toHaveLength(3);
    for (const type of [0x02, 0x10]) expect(walked(volume([file(LEAF, { type })]))).toHaveLength(4);
  });

  it('may be large', () => {
    expect(walked(volume([file(LEAF, { large: true })]))).toContain('leaf 0011 25 leaf');
  });

  it('may fill their volume to the last byte', () => {
    const body = section(0x19, new Uint8Array(4096 - 72 - 24 - 4));
    expect(walked(one(body))).toHaveLength(4);
    const room = section(0x19, new Uint8Array(4096 - 72 - 24 - 4 - 23));
    expect(walked(one(room))).toHaveLength(4);
  });

  const damaged = (at: number, bytes: Uint8Array, large = false, sealed = true) => {
    const image = volume([file(LEAF, { large })]);
    image.set(bytes, 72 + at);
    if (sealed) image[72 + 16] = checksum8(image.subarray(72, 72 + (large ? 32 : 24)));
    return image;
  };
  const where = 'firmware volume at 0: the file at 72';
  it.each([
    ['a wrong checksum', damaged(0, Uint8Array.of(1), false, false), `${where} has a header with a wrong checksum`],
    ['a size below its header', damaged(20, u24(23)), `${where} has an impossible size of 23 bytes`],
    ['a size beyond its volume', damaged(20, u24(4096 - 72 + 1)), `${where} has an impossible size of 4025 bytes`],
    ['a large size below its header', damaged(24, u64(31), true), `${where} has an impossible size of 31 bytes`],
    ['a large size that overflows', damaged(24, u64(2n ** 64n - 1n), true), 'impossible size of 18446744073709551615'],
    ['a deleted state', damaged(23, Uint8Array.of(0xff ^ 0x17)), `${where} is not in a finished state`],
    [
      'a state before its data was valid',
      damaged(23, Uint8Array.of(0xff ^ 0x03)),
      `${where} is not in a finished state`,
    ],
    ['a state that an update left', damaged(23, Uint8Array.of(0xff ^ 0x0f)), `${where} is not in a finished state`],
  ])('are refused with %s', (_name, image, expected) => {
    expect(message(image)).toContain(expected);
  });

  it('are refused when a large header does not fit', () => {
    const body = section(0x19, new Uint8Array(4096 - 72 - 24 - 4 - 24));
    const tail = file(new Uint8Array(), { large: true }).subarray(0, 24);
    expect(message(volume([file(body), tail]))).toBe('firmware volume at 0: the file at 4072 does not fit');
  });

  it('do not count state and data checksum into their header checksum', () => {
    expect(walked(damaged(17, Uint8Array.of(0x55)))).toHaveLength(4);
    expect(walked(damaged(23, Uint8Array.of(0xff ^ 0x04)))).toHaveLength(4);
  });
});

describe('sections', () => {
  it('follow each other on multiples of 4', () => {
    const body = sections(section(0x15, text('abc')), section(0x10, text('d')), section(0x19, new Uint8Array()));
    expect(walked(one(body)).slice(3)).toEqual(['leaf 0011 21 abc', 'leaf 0011 16 d', 'leaf 0011 25 ']);
  });

  it('may say their size in 32 bits', () => {
    expect(walked(one(section(0x10, text('long'), true))).slice(3)).toEqual(['leaf 0011 16 long']);
    const inside = guidSection(OTHER, 0, LEAF, true);
    expect(walked(one(inside)).slice(3)).toEqual(['leaf 0011 25 leaf']);
  });

  it('end before three last bytes', () => {
    expect(walked(one(join(LEAF, new Uint8Array(3))))).toHaveLength(4);
  });

  const where = 'firmware volume at 0, file 00112233-4455-6677-8899-aabbccddeeff';
  it.each([
    ['a size of zero', new Uint8Array(4), `${where}: the section at 0 has an impossible size of 0 bytes`],
    ['a size below the header', join(u24(3), u24(0)), 'the section at 0 has an impossible size of 3 bytes'],
    [
      'a size beyond the file',
      join(LEAF, u24(5), Uint8Array.of(1)),
      'the section at 8 has an impossible size of 5 bytes',
    ],
    ['a 32-bit size below the header', join(u24(0xffffff), Uint8Array.of(1), u32(7)), 'impossible size of 7 bytes'],
    ['a 32-bit size beyond the file', join(u24(0xffffff), Uint8Array.of(1), u32(9)), 'impossible size of 9 bytes'],
    [
      'a 32-bit size that is not there',
      join(u24(0xffffff), Uint8Array.of(1), u24(0)),
      'impossible size of 16777215 bytes',
    ],
    ['a GUID that does not fit', section(2, new Uint8Array(19)), `${where}: a GUID-defined section has no room`],
    [
      'content inside the GUID header',
      section(2, join(new Uint8Array(16), u16(23), u16(0))),
      'no room for its content',
    ],
    ['content past its end', section(2, join(new Uint8Array(16), u16(25), u16(0))), 'no room for its content'],
    [
      'a compression header that does not fit',
      section(1, new Uint8Array(4)),
      `${where}: a compression section has no header`,
    ],
    [
      'compression',
      section(1, join(u32(4), Uint8Array.of(1))),
      `${where}: the compression of the PI specification is not read`,
    ],
    ['unknown encoding', guidSection(OTHER, 1, LEAF), `${where}: the encoding ${OTHER} is not read here`],
    ['a volume that is none', section(0x17, new Uint8Array(100)), `${where}: the volume at 0 has no header`],
    [
      'LZMA that is none',
      guidSection(LZMA, 1, join(new Uint8Array(5), u64(1), new Uint8Array(5))),
      'lzma: the stream ends too early',
    ],
  ])('are refused with %s', (_name, body, expected) => {
    expect(message(one(body))).toContain(expected);
  });

  it('say what to do about an encoding', () => {
    const { hint } = failure(() => walked(one(guidSection(OTHER, 3, LEAF))));
    expect(hint).toBe('what is inside cannot be judged; use a build that compresses with LZMA as OVMF does');
  });

  it('may hold others: stored, disposable, marked by a GUID, compressed, in a volume', () => {
    const leaves = (body: Uint8Array) => walked(one(body)).filter((line) => line.startsWith('leaf'));
    const stored = join(u32(LEAF.length), Uint8Array.of(0), LEAF);
    for (const body of [
      section(1, stored),
      section(3, LEAF),
      guidSection(OTHER, 2, LEAF),
      lzmaSection(LEAF),
      section(0x17, one(LEAF)),
      lzmaSection(section(0x17, one(guidSection(OTHER, 0, section(3, LEAF))))),
    ]) {
      expect(leaves(body)).toEqual(['leaf 0011 25 leaf']);
    }
    expect(walked(one(lzmaSection(LEAF)))).toContain('plain 8');
    expect(leaves(guidSection(OTHER, 0, new Uint8Array()))).toEqual([]);
  });
});

describe('a walk', () => {
  const nested = (levels: number) => {
    let body = LEAF;
    for (let i = 0; i < levels; i++) body = section(3, body);
    return one(body);
  };

  it('goes only so deep', () => {
    expect(walked(nested(11))).toHaveLength(4);
    expect(message(nested(12))).toContain('nested too deeply');
    for (const [levels, wrap] of [
      [6, (body: Uint8Array) => section(0x17, one(body))],
      [12, (body: Uint8Array) => section(1, join(u32(body.length), Uint8Array.of(0), body))],
      [12, (body: Uint8Array) => guidSection(OTHER, 0, body)],
    ] as const) {
      let body = LEAF;
      for (let i = 1; i < levels; i++) body = wrap(body);
      expect(walked(one(body)).at(-1)).toBe('leaf 0011 25 leaf');
      expect(message(one(wrap(body)))).toBe(
        `firmware volume at 0${`, file ${NAME}`.repeat(levels === 6 ? 7 : 1)}: nested too deeply`,
      );
    }
  });

  it('gives all compressed parts together 64 MiB', () => {
    const bomb = (size: number) => {
      const input = lzmaLiterals(LEAF);
      input.set(u64(size), 5);
      return guidSection(LZMA, 1, input);
    };
    const all = 64 * 2 ** 20 - 2 * (0x300 << 3);
    const tooMuch = 'lzma: more than 67108864 bytes to decompress in one image';
    expect(message(one(bomb(all)))).toBe('lzma: the stream ends too early');
    expect(message(one(bomb(all + 1)))).toBe(tooMuch);
    expect(message(one(sections(lzmaSection(LEAF), bomb(all))))).toBe(tooMuch);
  });
});
