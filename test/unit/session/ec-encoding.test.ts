import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { ecdsaNumbers, encodeEcdsa } from '../../../src/core/session/ec-encoding.ts';

describe('ecdsaNumbers', () => {
  const value = Uint8Array.from({ length: 512 }, (_, i) => (i < 48 ? i + 1 : i >= 72 && i < 120 ? 200 - i : 0));

  it('is undone by encodeEcdsa', () => {
    const numbers = ecdsaNumbers(value, 48) ?? { r: value, s: value };
    expect(encodeEcdsa(numbers)).toEqual(value);
  });

  it('turns both numbers around', () => {
    expect(ecdsaNumbers(value, 48)).toEqual({ r: value.slice(0, 48).reverse(), s: value.slice(72, 120).reverse() });
    expect(bytesToHex(ecdsaNumbers(value, 48)?.r.subarray(0, 2) ?? value)).toBe('302f');
  });

  it.each([48, 71, 120, 143, 144, 511])('gives nothing when byte %i is set', (at) => {
    const longer = value.slice();
    longer[at] = 1;
    expect(ecdsaNumbers(longer, 48)).toBeUndefined();
  });
});
