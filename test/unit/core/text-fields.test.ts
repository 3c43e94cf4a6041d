import { describe, expect, it } from 'vitest';
import { layout, text, u8, u16be, u32be, u64be } from '../../../src/core/bytes.ts';
import { decodeUtf8, encodeUtf8 } from '../../../src/core/utf8.ts';
import { failure } from '../../failure.ts';

describe('big-endian fields', () => {
  const Big = layout('Big', { a: u16be, b: u32be, c: u64be });
  it('are written and read from the highest byte', () => {
    const value = { a: 0x0102, b: 0xf3040506, c: 0xf708090a0b0c0d0en };
    const packed = Uint8Array.of(1, 2, 0xf3, 4, 5, 6, 0xf7, 8, 9, 10, 11, 12, 13, 14);
    expect(Big.pack(value)).toEqual(packed);
    expect(Big.unpack(packed)).toEqual(value);
  });

  it('must fit', () => {
    const message = (over: object) => failure(() => Big.pack({ a: 0, b: 0, c: 0n, ...over })).message;
    expect(message({ a: 65536 })).toBe('Big.a: 65536 does not fit in 2 bytes');
    expect(message({ b: -1 })).toBe('Big.b: -1 does not fit in 4 bytes');
    expect(message({ c: 1n << 64n })).toBe('Big.c: 18446744073709551616 does not fit in 8 bytes');
  });
});

describe('text fields', () => {
  const Named = layout('Named', { name: text(5), end: u8 });
  it('end with a NUL and are filled with them', () => {
    expect(Named.pack({ name: 'ab', end: 9 })).toEqual(Uint8Array.of(0x61, 0x62, 0, 0, 0, 9));
    expect(Named.unpack(Uint8Array.of(0x61, 0x62, 0, 7, 7, 9))).toEqual({ name: 'ab', end: 9 });
    expect(Named.pack({ name: 'é1', end: 9 })).toEqual(Uint8Array.of(0xc3, 0xa9, 0x31, 0, 0, 9));
    expect(Named.pack({ name: 'abcd', end: 9 })).toEqual(Uint8Array.of(0x61, 0x62, 0x63, 0x64, 0, 9));
  });

  it('refuse what does not fit or does not end', () => {
    const message = (name: string) => failure(() => Named.pack({ name, end: 9 })).message;
    expect(message('abcde')).toBe('Named.name: not a text of at most 4 bytes without NUL');
    expect(message('a\0b')).toBe('Named.name: not a text of at most 4 bytes without NUL');
    const read = (...bytes: number[]) => failure(() => Named.unpack(Uint8Array.of(...bytes))).message;
    expect(read(1, 2, 3, 4, 5, 0)).toBe('Named.name: no NUL ends the text');
    expect(read(0xff, 0, 0, 0, 0, 0)).toBe('Named.name: not UTF-8');
  });
});

describe('UTF-8', () => {
  const all = 'aé€😀 %41\u0000\u007f\uffff';
  it('goes both ways as Buffer does', () => {
    expect(encodeUtf8(all)).toEqual(new Uint8Array(Buffer.from(all)));
    expect(decodeUtf8(Buffer.from(all), 'x')).toBe(all);
    const long = 'b'.repeat(10_000);
    expect(decodeUtf8(encodeUtf8(long), 'x')).toBe(long);
  });

  it.each([[0x80], [0xc0, 0x80], [0xc3], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xc3, 0x28]])(
    'refuses %j',
    (...bytes) => {
      expect(failure(() => decodeUtf8(Uint8Array.from(bytes), 'place'))).toMatchObject({
        kind: 'format',
        message: 'place: not UTF-8',
      });
    },
  );

  it('refuses half a character', () => {
    expect(failure(() => encodeUtf8('\ud800')).message).toBe('a text holds half a character');
  });
});
