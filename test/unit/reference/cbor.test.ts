import { describe, expect, it } from 'vitest';
import { type Cbor, encodeCbor } from '../../../src/core/reference/cbor.ts';

const hex = (value: Cbor) => Buffer.from(encodeCbor(value)).toString('hex');

describe('CBOR', () => {
  // RFC 8949, appendix A.
  it.each<[Cbor, string]>([
    [0, '00'],
    [1, '01'],
    [10, '0a'],
    [23, '17'],
    [24, '1818'],
    [25, '1819'],
    [100, '1864'],
    [1000, '1903e8'],
    [1000000, '1a000f4240'],
    ['', '60'],
    ['a', '6161'],
    ['IETF', '6449455446'],
    ['ü', '62c3bc'],
    ['水', '63e6b0b4'],
    [Uint8Array.of(), '40'],
    [Uint8Array.of(1, 2, 3, 4), '4401020304'],
    [[], '80'],
    [[1, 2, 3], '83010203'],
    [[1, [2, 3], [4, 5]], '8301820203820405'],
    [new Map(), 'a0'],
    [
      new Map([
        [1, 2],
        [3, 4],
      ]),
      'a201020304',
    ],
    [{ tag: 1, value: 1363896240 }, 'c11a514b67b0'],
    [{ tag: 23, value: Uint8Array.of(1, 2, 3, 4) }, 'd74401020304'],
    [{ tag: 32, value: 'http://www.example.com' }, 'd82076687474703a2f2f7777772e6578616d706c652e636f6d'],
  ])('writes %j as the RFC does', (value, expected) => expect(hex(value)).toBe(expected));

  it('takes as few bytes for a number as hold it', () => {
    expect(hex(255)).toBe('18ff');
    expect(hex(256)).toBe('190100');
    expect(hex(65535)).toBe('19ffff');
    expect(hex(65536)).toBe('1a00010000');
    expect(hex(2 ** 32 - 1)).toBe('1affffffff');
  });

  it('puts the keys of a map in order', () => {
    expect(
      hex(
        new Map([
          [300, 1],
          [2, 3],
          [24, 4],
        ]),
      ),
    ).toBe('a3020318180419012c01');
  });

  it('writes as many items as a matrix can have', () => {
    const digest = new Uint8Array(48);
    expect(encodeCbor(Array.from({ length: 200_000 }, () => digest))).toHaveLength(5 + 200_000 * 50);
  });
});
