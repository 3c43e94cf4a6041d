import { describe, expect, it } from 'vitest';
import { base64ToBytes } from '../../../src/core/base64.ts';
import { Budget, MOST } from '../../../src/core/firmware/budget.ts';
import { decodeLzma, lzmaSize } from '../../../src/core/firmware/lzma.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { join, lzmaLiterals, u32, u64 } from '../../firmware-image.ts';
import { vectors } from '../../fixtures.ts';

interface Stream {
  readonly id: string;
  readonly lzma: string;
  readonly bytes: number;
  readonly sha256: string;
}

const { cases } = vectors<{ cases: Stream[] }>('lzma.json');
const stream = (id: string) => base64ToBytes(cases.find((one) => one.id === id)?.lzma ?? '');
/** The same stream with another header. */
const headed = (input: Uint8Array, over: { properties?: number; dictionary?: number; size?: bigint }) => {
  const { properties = input[0] ?? 0, dictionary, size } = over;
  return join(
    Uint8Array.of(properties),
    dictionary === undefined ? input.subarray(1, 5) : u32(dictionary),
    size === undefined ? input.subarray(5, 13) : u64(size),
    input.subarray(13),
  );
};

describe('decodeLzma', () => {
  it('has streams of five kinds', () => expect(cases).toHaveLength(5));

  it.each(cases)('reads what liblzma wrote with $id', ({ lzma, bytes, sha256 }) => {
    const input = base64ToBytes(lzma);
    expect(lzmaSize(input)).toBe(bytes);
    const output = decodeLzma(input, new Budget());
    expect(output).toHaveLength(bytes);
    expect(bytesToHex(nodeHashes.sha256(output))).toBe(sha256);
  });

  it('reads literals and leaves what follows alone', () => {
    const content = Uint8Array.from(Buffer.from('one two three'));
    expect(decodeLzma(join(lzmaLiterals(content), Uint8Array.of(1, 2, 3)), new Budget())).toEqual(content);
    expect(decodeLzma(lzmaLiterals(new Uint8Array()), new Budget())).toEqual(new Uint8Array());
  });

  it('stops at the size that the header says', () => {
    const content = Uint8Array.from(Buffer.from('one two three'));
    expect(decodeLzma(headed(lzmaLiterals(content), { size: 3n }), new Budget())).toEqual(content.subarray(0, 3));
  });

  const defaults = stream('defaults');
  const literal = lzmaLiterals(Uint8Array.of(1, 2, 3, 4));
  it.each([
    ['no header', new Uint8Array(12), 'lzma header: needs 13 bytes at 0, only 12 are there'],
    [
      'more content than is accepted',
      headed(literal, { size: 1001n }),
      'lzma: more than 13288 bytes to decompress in one image',
    ],
    ['a size that is not known', headed(literal, { size: 2n ** 64n - 1n }), 'lzma: the header does not say how large'],
    ['a size no number holds', headed(literal, { size: 2n ** 53n }), 'lzma: the header does not say how large'],
    ['impossible properties', headed(literal, { properties: 225 }), 'lzma: impossible properties 225'],
    ['no stream', literal.subarray(0, 17), 'lzma: the stream does not start as one'],
    [
      'a first byte that is not zero',
      join(literal.subarray(0, 13), Uint8Array.of(1), literal.subarray(14)),
      'does not start as one',
    ],
    ['half a stream', literal.subarray(0, 18), 'lzma: the stream ends too early'],
  ])('refuses %s', (_name, input, message) => {
    const error = failure(() => decodeLzma(input, new Budget({ ...MOST, bytes: 1000 + 2 * (0x300 << 3) })));
    expect(error.kind).toBe('format');
    expect(error.message).toContain(message);
  });

  it('refuses a size of 2^53 only because it is not exact', () => {
    expect(lzmaSize(headed(literal, { size: 2n ** 53n - 1n }))).toBe(2 ** 53 - 1);
  });

  it('refuses matches from before the start, or farther away than the dictionary', () => {
    const before = /^lzma: byte \d+ refers to one before the start$/;
    // The end marker of the stream is a match at distance 2^32.
    expect(failure(() => decodeLzma(headed(defaults, { size: 185801n }), new Budget())).message).toMatch(before);
    // The last part of this stream repeats bytes from 180 000 before.
    expect(failure(() => decodeLzma(headed(defaults, { dictionary: 4096 }), new Budget())).message).toMatch(before);
    // Dictionaries below 4096 bytes count as 4096.
    const small = stream('no contexts');
    expect(decodeLzma(headed(small, { dictionary: 0 }), new Budget())).toEqual(decodeLzma(small, new Budget()));
  });

  it('refuses a match that goes on after the end', () => {
    // The zeros of this stream are one row of matches.
    const error = failure(() => decodeLzma(headed(defaults, { size: 100_000n }), new Budget()));
    expect(error).toMatchObject({ kind: 'format', message: 'lzma: more content than the header says' });
  });
});
