import { describe, expect, it } from 'vitest';
import { FILE_SYSTEM, findVolumes } from '../../../src/core/firmware/volume.ts';
import { failure } from '../../failure.ts';
import { FFS3, file, join, seal, u16, u32, u64, VARIABLES, volume } from '../../firmware-image.ts';
import { LEAF, message, OTHER, walked } from './walked.ts';

/** Changes one header field of a volume and makes the checksum right again. */
const changed = (image: Uint8Array, at: number, bytes: Uint8Array) => {
  image.set(bytes, at);
  return seal(image);
};

/** What makes the 16-bit words of a header add up to zero. */
function wordSum(image: Uint8Array, size: number): number {
  let sum = 0;
  for (let i = 0; i < size; i += 2) sum += (image[i] ?? 0) + 256 * (image[i + 1] ?? 0);
  return -sum & 0xffff;
}

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
    // The shortest header, and an extended header in the last 20 bytes.
    const short = volume([]);
    short.set(u16(56), 48);
    short.set(u16(0), 50);
    short.set(u16(wordSum(short, 56)), 50);
    expect(findVolumes(short)[0]?.filesAt).toBe(56);
    const last = volume([]);
    last.set(u32(20), 4096 - 4);
    expect(findVolumes(changed(last, 52, u16(4076)))[0]?.filesAt).toBe(4096);
  });

  it('behind another must fit as well', () => {
    const second = (image: Uint8Array) => join(volume([]), image);
    expect(message(second(changed(volume([]), 32, u64(4097))))).toBe('firmware: the volume at 4096 does not fit');
    expect(message(second(volume([]).subarray(0, 55)))).toBe('firmware: the volume at 4096 has no header');
    expect(findVolumes(second(changed(volume([]), 32, u64(72)).subarray(0, 72)))).toHaveLength(2);
    const files = second(volume([file(LEAF)], { size: 72 + 24 + 8 }));
    expect(walked(files)).toEqual([
      'plain 4200',
      'volume 0 4096',
      'volume 4096 104',
      'file 0011 7',
      'leaf 0011 25 leaf',
    ]);
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
