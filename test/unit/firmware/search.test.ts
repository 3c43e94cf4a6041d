import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { finder } from '../../../src/core/firmware/search.ts';

const ascii = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));
const finds = (needle: string, text: string) => finder(ascii(needle))(ascii(text));

describe('a search', () => {
  it.each([
    ['abc', 'abc', true],
    ['abc', 'xxabc', true],
    ['abc', 'abcxx', true],
    ['abc', 'ababc', true],
    ['abc', 'ab', false],
    ['abc', 'abxbcx', false],
    ['abc', 'xbc', false],
    ['aab', 'aaab', true],
    ['abab', 'abaabab', true],
    ['a', 'xa', true],
    ['a', 'x', false],
    ['a', '', false],
  ])('for %s in %s', (needle, text, expected) => expect(finds(needle, text)).toBe(expected));

  it('finds what a plain one does', () => {
    const letters = (min: number, max: number) =>
      fc.array(fc.constantFrom(0, 1, 255), { minLength: min, maxLength: max }).map((all) => Uint8Array.from(all));
    fc.assert(
      fc.property(letters(1, 5), letters(0, 40), (needle, bytes) => {
        expect(finder(needle)(bytes)).toBe(Buffer.from(bytes).includes(Buffer.from(needle)));
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['other bytes', '.', 1 / 16],
    ['all but the first', 'bcdefghijklmnopq', 3 / 16],
    ['all but the last', 'abcdefghijklmno.', 3 / 16],
    ['the last but one again and again', 'o', 1],
    ['the last again and again', 'p', 3 / 16],
  ])('looks at few bytes, or at each about once: %s', (_name, piece, most) => {
    const text = ascii(piece.repeat(16000).slice(0, 16000));
    let looks = 0;
    const watched = new Proxy(text, {
      get: (bytes, key) => {
        if (key !== 'length') looks++;
        return Reflect.get(bytes, key, bytes);
      },
    });
    expect(finder(ascii('abcdefghijklmnop'))(watched)).toBe(false);
    expect(looks).toBeLessThanOrEqual(2 * 16000 * most + 32);
  });
});
