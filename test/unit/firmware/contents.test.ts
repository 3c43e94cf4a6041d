import { describe, expect, it } from 'vitest';
import { walkFirmware } from '../../../src/core/firmware/contents.ts';
import { FILE_SYSTEM, findVolumes } from '../../../src/core/firmware/volume.ts';
import { failure } from '../../failure.ts';
import {
  checksum8,
  FFS3,
  file,
  guidSection,
  join,
  LZMA,
  lzmaLiterals,
  lzmaSection,
  NAME,
  seal,
  section,
  sections,
  u16,
  u24,
  u32,
  u64,
  VARIABLES,
  volume,
} from '../../firmware-image.ts';

const OTHER = 'ffeeddcc-bbaa-9988-7766-554433221100';
const text = (ascii: string) => Uint8Array.from(Buffer.from(ascii));
const LEAF = section(0x19, text('leaf'));

/** What a walk tells, in order. */
function walked(image: Uint8Array): string[] {
  const told: string[] = [];
  walkFirmware(image, {
    volume: ({ at, content }) => void told.push(`volume ${at} ${content.length}`),
    file: (name, type) => void told.push(`file ${name.slice(0, 4)} ${type}`),
    leaf: (name, { type, body }) =>
      void told.push(`leaf ${name.slice(0, 4)} ${type} ${Buffer.from(body).toString('latin1')}`),
    plain: (bytes) => void told.push(`plain ${bytes.length}`),
  });
  return told;
}

const one = (body: Uint8Array) => volume([file(body)]);
const message = (image: Uint8Array) => {
  const error = failure(() => walked(image));
  expect(error.kind).toBe('format');
  return error.message;
};
/** Changes one header field of a volume and makes the checksum right again. */
const changed = (image: Uint8Array, at: number, bytes: Uint8Array) => {
  image.set(bytes, at);
  return seal(image);
};

describe('volumes', () => {
  it('are found one after another and past filling', () => {
    const variables = volume([], { fileSystem: VARIABLES, size: 8192 });
    const image = join(variables, new Uint8Array(4096), volume([]), new Uint8Array(100));
    expect(findVolumes(image).map(({ at, fileSystem, content }) => [at, fileSystem, content.length])).toEqual([
      [0, FILE_SYSTEM.variables, 8192],
      [12288, FILE_SYSTEM.ffs2, 4096],
    ]);
    expect(walked(image)).toEqual(['plain 16484', 'volume 0 8192', 'volume 12288 4096']);
  });

  it('lie on whole blocks', () => {
    expect(findVolumes(join(new Uint8Array(8), volume([])))).toEqual([]);
    const odd = volume([], { size: 100 });
    expect(findVolumes(join(odd, new Uint8Array(3996), volume([]))).map(({ at }) => at)).toEqual([0, 4096]);
  });

  it('start their files after an extended header', () => {
    expect(findVolumes(volume([]))[0]?.filesAt).toBe(72);
    expect(findVolumes(volume([], { extended: true }))[0]?.filesAt).toBe(96);
    expect(walked(volume([file(LEAF)], { extended: true }))).toContain('leaf 0011 25 leaf');
  });

  it('may have flash that erases to zero, and the large file system', () => {
    const image = volume([file(LEAF, { erased: 0 })], { erased: 0, fileSystem: FFS3 });
    expect(walked(image)).toEqual(['plain 4096', 'volume 0 4096', 'file 0011 7', 'leaf 0011 25 leaf']);
  });

  it('of another file system are not looked into', () => {
    expect(walked(volume([file(LEAF)], { fileSystem: OTHER }))).toEqual(['plain 4096', 'volume 0 4096']);
  });

  it.each([
    ['is longer than the image', changed(volume([]), 32, u64(4097)), 'firmware: the volume at 0 does not fit'],
    [
      'is longer than any image',
      changed(volume([]), 32, u64(2n ** 64n - 1n)),
      'firmware: the volume at 0 does not fit',
    ],
    [
      'has too short a header',
      changed(volume([]), 48, u16(54)),
      'the volume at 0 has a header of impossible length 54',
    ],
    ['has an odd header', changed(volume([]), 48, u16(73)), 'has a header of impossible length 73'],
    ['is shorter than its header', changed(volume([]), 32, u64(70)), 'has a header of impossible length 72'],
    [
      'has an extended header inside its header',
      changed(volume([]), 52, u16(71)),
      'an extended header that does not fit',
    ],
    ['has an extended header past its end', changed(volume([]), 52, u16(4077)), 'an extended header that does not fit'],
    [
      'has too short an extended header',
      changed(volume([], { extended: true }), 88, u32(19)),
      'an extended header of impossible length',
    ],
    [
      'has too long an extended header',
      changed(volume([], { extended: true }), 88, u32(4025)),
      'an extended header of impossible length',
    ],
    ['ends inside its header', volume([]).subarray(0, 55), 'firmware: the volume at 0 has no header'],
  ])('are refused when one %s', (_name, image, expected) => {
    expect(message(image)).toContain(expected);
  });

  it('are accepted at the edge of those rules', () => {
    expect(findVolumes(changed(volume([], { extended: true }), 88, u32(4024)))[0]?.filesAt).toBe(4096);
    expect(findVolumes(changed(volume([], { extended: true }), 88, u32(20)))[0]?.filesAt).toBe(96);
    expect(findVolumes(changed(volume([]), 32, u64(72)))[0]?.content).toHaveLength(72);
  });

  it('are refused with a wrong checksum', () => {
    const image = volume([]);
    image[50] = (image[50] ?? 0) ^ 1;
    expect(message(image)).toBe('firmware: the volume at 0 has a header with a wrong checksum');
  });

  it('must be there', () => {
    expect(failure(() => walked(new Uint8Array(8192)))).toEqual({
      kind: 'format',
      message: 'firmware: there is no firmware volume in it',
      hint: 'give the full image, not its last pages, and one that edk2 built',
    });
  });
});

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
    let body = LEAF;
    for (let i = 0; i < 7; i++) body = section(0x17, one(body));
    expect(message(one(body))).toContain('nested too deeply');
  });

  it('takes only so many files', () => {
    const files = (count: number) =>
      volume([join(...Array.from({ length: count }, () => file(new Uint8Array(), { type: 1 })))]);
    expect(walked(files(16384))).toHaveLength(16386);
    expect(message(files(16385))).toBe('firmware volume at 0: more than 16384 files');
  });

  it('gives all compressed parts together 64 MiB', () => {
    const bomb = (size: number) => {
      const input = lzmaLiterals(LEAF);
      input.set(u64(size), 5);
      return guidSection(LZMA, 1, input);
    };
    expect(message(one(bomb(64 * 2 ** 20 + 1)))).toContain('67108865 bytes are more than the 67108864 accepted here');
    expect(message(one(sections(lzmaSection(LEAF), bomb(64 * 2 ** 20))))).toContain(
      'lzma: 67108864 bytes are more than the 67108856 accepted here',
    );
  });
});
