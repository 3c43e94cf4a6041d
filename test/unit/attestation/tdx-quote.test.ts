import { describe, expect, it } from 'vitest';
import { parseTdxQuote } from '../../../src/core/attestation/tdx-quote.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { failure, HINT } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';

const file = fixture('go-tdx-guest/cos-113-tdx-quote.dat');
const changed = (at: number, value: number) => {
  const copy = file.slice();
  copy[at] = value;
  return copy;
};

describe('a TDX quote', () => {
  it('has the registers of the guest, where go-tdx-guest finds them', () => {
    const quote = parseTdxQuote(file);
    const at = (from: number, to: number) => bytesToHex(file.subarray(0x30 + from, 0x30 + to));
    expect(bytesToHex(quote.mrtd)).toBe(at(0x88, 0xb8));
    expect(bytesToHex(quote.mrtd)).toMatch(/^dae67181d3d65e07/);
    expect(quote.rtmrs.map(bytesToHex).join('')).toBe(at(0x148, 0x208));
    expect(bytesToHex(quote.reportData)).toBe(at(0x208, 0x248));
    expect(quote.debug).toBe(false);
    expect(parseTdxQuote(changed(0x30 + 0x78, 1)).debug).toBe(true);
  });

  it('may end in bytes that are no part of it', () => {
    const signed = 0x27c + 4299;
    expect(parseTdxQuote(file.subarray(0, signed))).toEqual(parseTdxQuote(file));
    expect(failure(() => parseTdxQuote(file.subarray(0, signed - 1)))).toMatchObject({
      kind: 'format',
      message: 'TDX quote: its signature of 4299 bytes is not all there',
      hint: HINT,
    });
  });

  it.each<[string, Uint8Array, string]>([
    ['empty', new Uint8Array(), 'the TDX quote has 0 bytes'],
    ['of version 5', changed(0, 5), 'TDX quote: version 5 is not known'],
    ['of an SGX enclave', changed(4, 0), 'TDX quote: it is of another kind of guest (0x0)'],
    ['cut', file.subarray(0, 635), 'TDX quote: needs 636 bytes at 0, only 635 are there'],
  ])('is refused: %s', (_what, bytes, message) => {
    expect(failure(() => parseTdxQuote(bytes))).toMatchObject({ kind: 'format', message, hint: HINT });
  });
});
