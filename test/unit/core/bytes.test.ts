import { describe, expect, it } from 'vitest';
import {
  bytes,
  concat,
  equalInConstantTime,
  layout,
  magic,
  reserved,
  u8,
  u16le,
  u32le,
  u64le,
  wipe,
} from '../../../src/core/bytes.ts';
import { BootsealError } from '../../../src/core/errors.ts';
import { failure } from '../../failure.ts';

const Inner = layout('Inner', { a: u8, b: u16le });
const Outer = layout('Outer', {
  tag: magic(Uint8Array.of(0x41, 0x42)),
  inner: Inner,
  gap: reserved(2),
  big: u64le,
  raw: bytes(3),
  last: u32le,
});

const value = {
  inner: { a: 1, b: 0x0302 },
  big: 0x0b0a_0908_0706_0504n,
  raw: Uint8Array.of(12, 13, 14),
  last: 0xfeff100f,
};
const packed = Uint8Array.of(0x41, 0x42, 1, 2, 3, 0, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x0f, 0x10, 0xff, 0xfe);

describe('layout', () => {
  it('gives size, offsets and name', () => {
    expect(Outer.size).toBe(22);
    expect(Outer.offset).toEqual({ tag: 0, inner: 2, gap: 5, big: 7, raw: 15, last: 18 });
    expect(Outer.name).toBe('Outer');
    expect(Object.keys(Outer.fields)).toEqual(['tag', 'inner', 'gap', 'big', 'raw', 'last']);
  });

  it('packs and unpacks', () => {
    expect(Outer.pack(value)).toEqual(packed);
    expect(Outer.unpack(packed)).toEqual(value);
    expect(Outer.unpack(concat(Uint8Array.of(9, 9), packed), 2)).toEqual(value);
  });

  it.each([
    ['Uint8Array', packed.slice()],
    ['Buffer, whose slice() does not copy', Buffer.from(packed)],
  ])('does not alias what it reads: %s', (_, source) => {
    const { raw } = Outer.unpack(source);
    source.fill(0);
    expect(raw).toEqual(Uint8Array.of(12, 13, 14));
  });

  it('names the place of short input', () => {
    expect(failure(() => Outer.unpack(packed.subarray(0, 21)))).toEqual({
      kind: 'format',
      message: 'Outer: needs 22 bytes at 0, only 21 are there',
      hint: expect.any(String),
    });
    expect(failure(() => Outer.unpack(packed, 1)).kind).toBe('format');
    expect(failure(() => Outer.unpack(packed, -1)).kind).toBe('format');
  });

  it('refuses a wrong magic number', () => {
    const wrong = packed.slice();
    wrong[1] = 0;
    expect(failure(() => Outer.unpack(wrong)).message).toBe('Outer.tag: wrong magic number');
  });

  it.each([
    [{ ...value, last: 2 ** 32 }, 'Outer.last: 4294967296 does not fit in 4 bytes'],
    [{ ...value, last: -1 }, 'Outer.last: -1 does not fit in 4 bytes'],
    [{ ...value, last: 1.5 }, 'Outer.last: 1.5 does not fit in 4 bytes'],
    [{ ...value, inner: { a: 256, b: 0 } }, 'Outer.inner.a: 256 does not fit in 1 bytes'],
    [{ ...value, inner: { a: 0, b: 65536 } }, 'Outer.inner.b: 65536 does not fit in 2 bytes'],
    [{ ...value, big: 2n ** 64n }, 'Outer.big: 18446744073709551616 does not fit in 8 bytes'],
    [{ ...value, big: -1n }, 'Outer.big: -1 does not fit in 8 bytes'],
    [{ ...value, raw: new Uint8Array(4) }, 'Outer.raw: needs 3 bytes, got 4'],
  ])('refuses a value that does not fit: %#', (wrong, message) => {
    expect(failure(() => Outer.pack(wrong))).toMatchObject({ kind: 'format', message });
  });

  it('takes the largest values', () => {
    const largest = { ...value, inner: { a: 255, b: 65535 }, big: 2n ** 64n - 1n, last: 2 ** 32 - 1 };
    expect(Outer.unpack(Outer.pack(largest))).toEqual(largest);
  });
});

describe('bytes', () => {
  it('compares', () => {
    expect(equalInConstantTime(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(equalInConstantTime(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(equalInConstantTime(Uint8Array.of(3, 2), Uint8Array.of(1, 2))).toBe(false);
    expect(equalInConstantTime(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 0))).toBe(false);
    expect(equalInConstantTime(Uint8Array.of(), Uint8Array.of())).toBe(true);
  });

  it('wipes', () => {
    const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3)];
    wipe(a, b);
    expect([...a, ...b]).toEqual([0, 0, 0]);
  });

  it('joins', () => {
    expect(concat(Uint8Array.of(1), Uint8Array.of(), Uint8Array.of(2, 3))).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe('errors', () => {
  it('carry kind, hint and cause', () => {
    const cause = new Error('below');
    const error = new BootsealError('io', 'cannot', { hint: 'try', cause });
    expect(error).toMatchObject({ kind: 'io', message: 'cannot', hint: 'try', cause, name: 'BootsealError' });
    expect(error).toBeInstanceOf(Error);
    expect('cause' in new BootsealError('io', 'cannot', { hint: 'try' })).toBe(false);
  });
});
