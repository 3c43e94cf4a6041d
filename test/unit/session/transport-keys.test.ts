import { describe, expect, it } from 'vitest';
import { encodeTk, parseTk } from '../../../src/core/session/transport-keys.ts';

describe('tk', () => {
  const tk = Uint8Array.from({ length: 32 }, (_, i) => i);

  it('is TEK then TIK', () => {
    const keys = parseTk(tk);
    expect(keys).toEqual({ tek: tk.slice(0, 16), tik: tk.slice(16) });
    expect(encodeTk(keys)).toEqual(tk);
  });

  it.each([
    ['an array', tk.slice()],
    ['a Buffer', Buffer.from(tk)],
  ])('is copied from %s, so that wiping it leaves the keys', (_, source) => {
    const keys = parseTk(source);
    source.fill(0);
    expect(encodeTk(keys)).toEqual(tk);
  });

  it.each([0, 16, 31, 33])('has 32 bytes, not %i', (size) => {
    expect(() => parseTk(new Uint8Array(size))).toThrow(
      expect.objectContaining({
        kind: 'format',
        message: `tk: the transport keys have 32 bytes, this has ${size}`,
        hint: expect.stringContaining('session create'),
      }),
    );
  });
});
