import { describe, expect, it } from 'vitest';
import { base64ToBytes } from '../../../src/core/base64.ts';
import { Budget, MOST } from '../../../src/core/firmware/budget.ts';
import { walkFirmware } from '../../../src/core/firmware/contents.ts';
import { inspectFirmware } from '../../../src/core/firmware/inspect.ts';
import { decodeLzma } from '../../../src/core/firmware/lzma.ts';
import { failure } from '../../failure.ts';
import {
  FFS3,
  file,
  guidSection,
  join,
  LZMA,
  lzmaSection,
  NAME,
  section,
  sections,
  u32,
  u64,
  volume,
} from '../../firmware-image.ts';
import { vectors } from '../../fixtures.ts';

const repeated = (one: Uint8Array, count: number) => {
  const out = new Uint8Array(one.length * count);
  for (let i = 0; i < count; i++) out.set(one, i * one.length);
  return out;
};
/** A volume with one file of sections; sections on multiples of 4. */
const body = (content: Uint8Array) => volume([file(content, { large: true })], { fileSystem: FFS3 });
const PAD = file(new Uint8Array(), { type: 0xf0 });
const EMPTY = section(0x19, new Uint8Array());
const PROPERTIES = 0x5d;
const TABLE = 2 * (0x300 << 3);

/** LZMA of `size` zeros, as literals: zeros decode to zeros with nine bits each, whatever the properties. */
const zeros = (size: number, properties = PROPERTIES) =>
  join(
    Uint8Array.of(properties),
    u32(1 << 16),
    u64(size),
    new Uint8Array(5 + Math.min(128 + Math.ceil(size / 20), 2 ** 18)),
  );
const zerosSection = (size: number, properties?: number) => guidSection(LZMA, 1, zeros(size, properties));

/** How often a walk told of something, and how it ended. */
function work(image: Uint8Array) {
  const told = { volume: 0, file: 0, leaf: 0, plain: 0 };
  const visitor = {
    volume: () => void told.volume++,
    file: () => void told.file++,
    leaf: () => void told.leaf++,
    plain: () => void told.plain++,
  };
  const walk = () => walkFirmware(image, visitor);
  return { told, walk };
}

const LIMITS = { parts: 65536, streams: 16, bytes: 64 * 2 ** 20, bits: 48 * 2 ** 20 };
const HINT = 'firmware in use needs far less; this file is damaged or made to stall whoever reads it';
const TOO_MANY = 'more than 65536 volumes, files and sections in one image';

describe('a budget', () => {
  it('is the same for every image', () => expect(MOST).toEqual(LIMITS));

  it('can be spent to the last unit, each kind by itself', () => {
    const budget = new Budget();
    for (const [kind, most] of Object.entries(LIMITS) as [keyof typeof LIMITS, number][]) {
      expect(budget.left(kind)).toBe(most);
      budget.spend(kind, most - 1, 'here');
      budget.spend(kind, 1, 'here');
      expect(budget.left(kind)).toBe(0);
      expect(failure(() => budget.spend(kind, 1, 'here'))).toMatchObject({ kind: 'format', hint: HINT });
    }
  });

  it.each([
    ['parts', `here: ${TOO_MANY}`],
    ['streams', 'here: more than 16 compressed sections in one image'],
    ['bytes', 'here: more than 67108864 bytes to decompress in one image'],
    ['bits', 'here: more than 50331648 decoded bits in one image'],
  ] as const)('says that it has no more %s', (kind, message) => {
    expect(failure(() => new Budget().spend(kind, LIMITS[kind] + 1, 'here')).message).toBe(message);
  });

  it('may be smaller', () => {
    const small = { ...LIMITS, parts: 3 };
    expect(failure(() => new Budget(small).spend('parts', 4, 'here')).message).toContain('more than 3 volumes');
    expect(small.parts).toBe(3);
  });
});

describe('volumes, files and sections', () => {
  const at = 'firmware volume at 0';
  it.each([
    ['padding', (count: number) => volume([repeated(PAD, count)]), 1, 1, at],
    ['files', (count: number) => volume([repeated(file(new Uint8Array(), { type: 1 }), count)]), 1, 1, at],
    ['sections', (count: number) => body(repeated(EMPTY, count)), 2, 1, `${at}, file ${NAME}`],
    [
      'long sections',
      (count: number) => body(repeated(section(0x19, new Uint8Array(), true), count)),
      2,
      1,
      `${at}, file ${NAME}`,
    ],
    [
      'sections marked by a GUID',
      (count: number) => body(repeated(guidSection(NAME, 0, new Uint8Array()), count)),
      2,
      1,
      `${at}, file ${NAME}`,
    ],
    [
      'volumes in sections',
      (count: number) => body(repeated(section(0x17, volume([], { size: 72 })), count)),
      2,
      2,
      `${at}, file ${NAME}`,
    ],
    ['compressed sections', (count: number) => body(lzmaSection(repeated(EMPTY, count))), 3, 1, `${at}, file ${NAME}`],
  ])('are counted together: %s', (_name, image, around, each, where) => {
    const most = (65536 - around) / each;
    expect(work(image(most)).walk).not.toThrow();
    const { told, walk } = work(image(most + 1000));
    expect(failure(walk)).toEqual({ kind: 'format', message: `${where}: ${TOO_MANY}`, hint: HINT });
    expect(told.volume + told.file + told.leaf).toBeLessThanOrEqual(65536);
  });

  it('are counted over all volumes', () => {
    const half = volume([repeated(PAD, 32767)]);
    expect(work(join(half, half)).walk).not.toThrow();
    const { told, walk } = work(join(half, half, volume([])));
    const third = 2 * half.length;
    expect(failure(walk).message).toBe(`firmware volume at ${third}: ${TOO_MANY}`);
    expect(told.volume).toBe(2);
  });
});

describe('compressed sections', () => {
  it('are at most 16', () => {
    const some = (count: number) => body(sections(...Array.from({ length: count }, () => zerosSection(0))));
    expect(work(some(16)).walk).not.toThrow();
    const { told, walk } = work(some(1000));
    expect(failure(walk).message).toBe('lzma: more than 16 compressed sections in one image');
    expect(told.plain).toBe(17);
  });

  it('are at most 16 inside another, too', () => {
    const { told, walk } = work(body(lzmaSection(sections(...Array.from({ length: 100 }, () => zerosSection(0, 36))))));
    expect(failure(walk).message).toBe('lzma: more than 16 compressed sections in one image');
    expect(told.plain).toBe(17);
  });

  it('with tables larger than xz takes are refused before anything is set up', () => {
    const tables = (lc: number, lp: number) => zeros(1, 9 * lp + lc);
    for (const [lc, lp] of [
      [4, 0],
      [3, 1],
      [0, 4],
    ] as const) {
      expect(decodeLzma(tables(lc, lp), new Budget())).toEqual(new Uint8Array(1));
    }
    for (const [lc, lp] of [
      [5, 0],
      [8, 4],
      [1, 4],
      [4, 1],
    ] as const) {
      const budget = new Budget();
      expect(failure(() => decodeLzma(tables(lc, lp), budget))).toMatchObject({
        kind: 'format',
        message: `lzma: lc ${lc} and lp ${lp} are more than 4 together`,
      });
      expect(budget.left('bytes')).toBe(MOST.bytes);
    }
  });

  it('pay for content and tables together', () => {
    const of = (bytes: number) => new Budget({ ...MOST, bytes });
    const exact = of(100 + TABLE);
    expect(decodeLzma(zeros(100), exact)).toEqual(new Uint8Array(100));
    expect(exact.left('bytes')).toBe(0);
    expect(failure(() => decodeLzma(zeros(100), of(99 + TABLE))).message).toBe(
      `lzma: more than ${99 + TABLE} bytes to decompress in one image`,
    );
    const largest = of(2 * (0x300 << 4));
    expect(decodeLzma(zeros(0, 9 * 4), largest)).toHaveLength(0);
    expect(largest.left('bytes')).toBe(0);
  });

  it('pay for every bit', () => {
    const of = (bits: number) => new Budget({ ...MOST, bits });
    const exact = of(900);
    expect(decodeLzma(zeros(100), exact)).toEqual(new Uint8Array(100));
    expect(exact.left('bits')).toBe(0);
    // Nothing half done is given back, even when a symbol ends with the last bit.
    expect(failure(() => decodeLzma(zeros(100), of(891))).message).toContain('more than 891 decoded bits');
    expect(failure(() => decodeLzma(zeros(100), of(899))).message).toBe(
      'lzma: more than 899 decoded bits in one image',
    );
  });

  it('cannot make 64 MiB of literals', () => {
    const { told, walk } = work(body(zerosSection(63 * 2 ** 20)));
    expect(failure(walk).message).toBe('lzma: more than 50331648 decoded bits in one image');
    expect(told.plain).toBe(1);
  });

  it('pay for the plain bits of far distances, too', () => {
    const { cases } = vectors<{ cases: { id: string; lzma: string }[] }>('lzma.json');
    const budget = new Budget();
    decodeLzma(base64ToBytes(cases.find(({ id }) => id === 'defaults')?.lzma ?? ''), budget);
    expect(MOST.bits - budget.left('bits')).toBe(20477);
  });

  it('share the bits', () => {
    const budget = new Budget({ ...MOST, bits: 1799 });
    decodeLzma(zeros(100), budget);
    expect(failure(() => decodeLzma(zeros(100), budget)).message).toContain('more than 1799 decoded bits');
  });
});

describe('an inspection', () => {
  it('tells why it gave up', () => {
    const { lint, lintProblem } = inspectFirmware(volume([repeated(PAD, 65536)]));
    expect(lint).toBeUndefined();
    expect(lintProblem).toBe(`firmware volume at 0: ${TOO_MANY}`);
  });
});
