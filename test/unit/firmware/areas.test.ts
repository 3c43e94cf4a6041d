import { describe, expect, it } from 'vitest';
import { usableSecretArea } from '../../../src/core/firmware/areas.ts';
import type { Area } from '../../../src/core/firmware/firmware.ts';
import { failure } from '../../failure.ts';

const firmware = { gpa: 0xffc00000, size: 0x400000, hashArea: { base: 0x810c00, size: 0x400 } };
const area = (base: number, size: number) => () => usableSecretArea({ ...firmware, secretArea: { base, size } });

describe('the secret area', () => {
  it('may be missing, and may touch the hash area and the ends of memory', () => {
    expect(usableSecretArea({ ...firmware, secretArea: undefined })).toBeUndefined();
    for (const [base, size] of [
      [0x810000, 0xc00],
      [0x811000, 16],
      [0xdffff000, 0x1000],
      [0xc0000, 0x1000],
    ] as const) {
      expect(area(base, size)()).toEqual<Area>({ base, size });
    }
  });

  it.each([
    [0x810008, 0x100, 'does not begin at a multiple of 16'],
    [0x810000, 15, 'has 15 bytes, which hold no table'],
    [0xfffffff0, 0xc00, 'reaches beyond 4 GiB'],
    [0xffc00000, 0x1000, 'lies over the image itself'],
    [0xffbff000, 0x1001, 'lies over the image itself'],
    [0xffbff000, 0x1000, 'lies where the machines of QEMU have no memory'],
    [0xdffff000, 0x1001, 'lies where the machines of QEMU have no memory'],
    [0xbfff0, 0x1000, 'lies where the machines of QEMU have no memory'],
    [0x810000, 0xc01, 'lies over its hash area'],
    [0x810ff0, 0x10, 'lies over its hash area'],
  ])('at 0x%i with %i bytes is refused, as no host could use it without harm', (base, size, message) => {
    expect(failure(area(base, size))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
      hint: expect.stringContaining('use another build'),
    });
  });

  it('may lie over no hash area', () => {
    const secretArea = { base: 0x810c00, size: 0x400 };
    expect(usableSecretArea({ ...firmware, hashArea: undefined, secretArea })).toEqual(secretArea);
  });
});
