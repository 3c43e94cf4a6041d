import { describe, expect, it } from 'vitest';
import { checkPayloadSize, MAX_PAYLOAD, secretRoom } from '../../../src/core/secret/limits.ts';

describe('secretRoom', () => {
  it.each([
    ['AmdSev today', 0x810000, 0xc00, 0xc00],
    ['AmdSev 202102', 0x80c000, 0x1000, 0x1000],
    ['an area beyond its page', 0x810000, 0x4000, 0x1000],
    ['an area in the middle of a page', 0x810c00, 0x1000, 0x400],
    ['an area that ends inside a block', 0x810000, 0x3f, 0x30],
    ['one block', 0x810ff0, 0x10, 0x10],
  ])('%s', (_, base, size, room) => {
    expect(secretRoom({ base, size })).toBe(room);
  });

  it('refuses firmware without an area', () => {
    expect(() => secretRoom(null)).toThrow(
      expect.objectContaining({
        kind: 'usage',
        message: expect.stringContaining('no secret area'),
        hint: expect.stringContaining('AmdSev'),
      }),
    );
  });

  it.each([
    [0x810008, 0xc00, 'secret area: base 0x810008 is not a multiple of 16'],
    [0x810000, 15, 'secret area: 15 bytes at 0x810000 hold no table'],
    [0x810000, 0, 'secret area: 0 bytes at 0x810000 hold no table'],
  ])('refuses %i, %i', (base, size, message) => {
    expect(() => secretRoom({ base, size })).toThrow(expect.objectContaining({ kind: 'format', message }));
  });
});

describe('checkPayloadSize', () => {
  it('takes blocks up to what KVM takes', () => {
    expect(MAX_PAYLOAD).toBe(16384);
    for (const size of [16, 3072, 16384]) expect(() => checkPayloadSize(size)).not.toThrow();
    for (const size of [0, 1, 15, 17, 16385, 16400]) {
      expect(() => checkPayloadSize(size)).toThrow(
        expect.objectContaining({
          kind: 'format',
          message: `packet: ${size} bytes of payload, where a multiple of 16 up to 16384 is needed`,
        }),
      );
    }
  });
});
