import { describe, expect, it } from 'vitest';
import { firmwareCandidates } from '../../../src/core/identify/firmware-candidates.ts';
import { firmwareOf } from '../../../src/core/measurement/measure.ts';
import { fixture } from '../../fixtures.ts';

/** A footer at the end of an image of that many bytes, with zeros before it. */
function image(size: number): Uint8Array {
  const suffix = fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin');
  const bytes = new Uint8Array(size);
  bytes.set(suffix.subarray(Math.max(0, suffix.length - size)), Math.max(0, size - suffix.length));
  return bytes;
}

const candidates = (size: number) => firmwareCandidates([{ name: 'fw', ...firmwareOf(image(size)) }]);

describe('firmware candidates', () => {
  it.each([
    [0x100000, 0x20000],
    [0x200000, 0x20000],
    [0x400000, 0x84000],
  ])('of a whole image of 0x%i bytes are it and its code', (size, leftOut) => {
    const [whole, code, ...others] = candidates(size);
    expect(others).toEqual([]);
    expect(whole).toMatchObject({ name: 'fw', leftOut: 0 });
    expect(code).toMatchObject({ name: 'fw', leftOut });
    // Not toEqual, which takes seconds for megabytes.
    expect(Buffer.compare(code?.measured.image ?? new Uint8Array(), image(size).subarray(leftOut))).toBe(0);
    expect(code?.measured.firmware.gpa).toBe(2 ** 32 - size + leftOut);
  });

  it('of any other image are it alone', () => {
    expect(candidates(0x300000)).toHaveLength(1);
  });

  it('of a descriptor are it alone', () => {
    const { firmware } = firmwareOf(image(0x400000));
    expect(firmwareCandidates([{ name: 'fw', firmware, snpDigest: new Uint8Array(48) }])).toHaveLength(1);
  });

  it('come with all whole files first', () => {
    const two = ['a', 'b'].map((name) => ({ name, ...firmwareOf(image(0x200000)) }));
    const order = firmwareCandidates(two).map(({ name, leftOut }) => [name, leftOut]);
    expect(order).toEqual([
      ['a', 0],
      ['b', 0],
      ['a', 0x20000],
      ['b', 0x20000],
    ]);
  });
});
