import { describe, expect, it } from 'vitest';
import { crc32, crc32c } from '../../../src/core/disk/crc32.ts';

const CHECK = new TextEncoder().encode('123456789');

// The check values of the catalogue of CRC algorithms: CRC-32/ISO-HDLC and CRC-32/ISCSI.
describe('crc32', () => {
  it('gives the check value', () => expect(crc32(CHECK)).toBe(0xcbf43926));
  it('of nothing is zero', () => expect(crc32(new Uint8Array())).toBe(0));
});

describe('crc32c', () => {
  it('gives the check value once both ends are inverted', () => {
    expect(~crc32c(0xffffffff, CHECK) >>> 0).toBe(0xe3069283);
  });

  it('goes on where it stopped', () => {
    const half = crc32c(0xffffffff, CHECK.subarray(0, 4));
    expect(crc32c(half, CHECK.subarray(4))).toBe(crc32c(0xffffffff, CHECK));
  });
});
