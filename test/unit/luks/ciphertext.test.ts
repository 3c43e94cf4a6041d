import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { findUnencrypted } from '../../../src/core/luks/ciphertext.ts';
import { seededRandom } from '../../luks-image.ts';

const SECTORS = 16;
const found = (sectorSize: number, change: (bytes: Uint8Array) => void, shift = 0) => {
  const bytes = seededRandom(11)(shift + SECTORS * sectorSize).subarray(shift);
  change(bytes);
  return findUnencrypted(bytes, sectorSize);
};

describe.each([512, 4096])('findUnencrypted: sectors of %i bytes', (size) => {
  it('finds nothing in what is random', () => {
    for (let i = 0; i < 4; i++)
      expect(findUnencrypted(new Uint8Array(randomBytes(1 << 20)), size)).toEqual({ zeros: [], plain: [] });
  });

  it.each([0, 1, 4])('finds zeros, and only whole sectors of them, %i bytes into a buffer', (shift) => {
    const none = found(size, (bytes) => bytes.fill(0, 2 * size, 4 * size - 1), shift);
    expect(none.zeros).toEqual([2 * size]);
    // All but one byte of sector 3 are zeros.
    expect(none.plain).toEqual([3 * size]);
  });

  it('finds a block of AES that is there twice, next to each other and in one unit of 512 bytes', () => {
    const last = 5 * size + size - 16;
    expect(found(size, (bytes) => bytes.copyWithin(last, last - 16, last))).toEqual({ zeros: [], plain: [5 * size] });
    // In two sectors it is what the same plaintext never gives, but nothing that one sector shows.
    const next = 5 * size;
    expect(found(size, (bytes) => bytes.copyWithin(next, next - 16, next))).toEqual({ zeros: [], plain: [] });
  });

  it('finds many zeros among 512 bytes, wherever they stand, as in a program', () => {
    const zeros = (count: number, step: number) => (bytes: Uint8Array) => {
      for (let i = 0; i < count; i++) bytes[7 * size + i * step] = 0;
    };
    for (const step of [1, 2, 3, 7, 17]) {
      expect(found(size, zeros(24, step))).toEqual({ zeros: [], plain: [7 * size] });
      expect(found(size, zeros(12, step))).toEqual({ zeros: [], plain: [] });
    }
  });

  it('finds text of 512 bytes that does not repeat', () => {
    const text = (bytes: Uint8Array) => {
      for (let i = 7 * size; i < 7 * size + 512; i++) bytes[i] = 32 + ((bytes[i] ?? 0) % 95);
    };
    expect(found(size, text)).toEqual({ zeros: [], plain: [7 * size] });
  });
});
