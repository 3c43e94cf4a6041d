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
    ['of version 3', changed(0, 3), 'TDX quote: version 3 is not known'],
    ['of version 6', changed(0, 6), 'TDX quote: version 6 is not known'],
    ['of an SGX enclave', changed(4, 0), 'TDX quote: it is of another kind of guest (0x0)'],
    ['cut', file.subarray(0, 635), 'TDX quote: needs 636 bytes, only 635 are there'],
  ])('is refused: %s', (_what, bytes, message) => {
    expect(failure(() => parseTdxQuote(bytes))).toMatchObject({ kind: 'format', message, hint: HINT });
  });
});

describe('quotes of real machines', () => {
  // Registers as trustee's parser finds them: deps/verifier/test_data/parse_tdx_claims_expected.json and its quote.rs.
  const v4 = fixture('trustee/tdx_quote_4.dat');
  const v5 = fixture('trustee/tdx_quote_5.dat');

  it('has them in version 4', () => {
    const { mrtd, rtmrs, reportData, debug } = parseTdxQuote(v4);
    expect(bytesToHex(mrtd)).toMatch(/^705ee9381b8633a9.*3a9ce5f031$/);
    expect(rtmrs.map((rtmr) => bytesToHex(rtmr).slice(0, 16))).toEqual([
      'e940da7c2712d279',
      '559cfcf42716ed6c',
      '0000000000000000',
      '0000000000000000',
    ]);
    expect(bytesToHex(reportData)).toMatch(/^7c71fe2c86eff65a/);
    expect(debug).toBe(true);
  });

  it('has them in version 5, whose body is that of TDX 1.5', () => {
    const { mrtd, rtmrs } = parseTdxQuote(v5);
    expect(bytesToHex(mrtd)).toMatch(/^dfba221b48a22af8.*2f3886400a$/);
    expect(bytesToHex(rtmrs[0] ?? new Uint8Array())).toMatch(/^9b529f3689e2e8eb.*f20051f5128$/);
    expect(rtmrs).toHaveLength(4);
  });

  it('has them in version 5 with the body of TDX 1.0', () => {
    const both = [v5.subarray(0, 48), Uint8Array.of(2, 0, 0x48, 2, 0, 0), v4.subarray(48)];
    const { mrtd, rtmrs } = parseTdxQuote(Uint8Array.from(both.flatMap((part) => [...part])));
    expect({ mrtd, rtmrs }).toEqual({ mrtd: parseTdxQuote(v4).mrtd, rtmrs: parseTdxQuote(v4).rtmrs });
  });

  const other = (at: number, value: number) => v5.map((byte, i) => (i === at ? value : byte));
  it.each<[string, Uint8Array, string]>([
    ['a body of SGX', other(48, 1), 'TDX quote: a body of type 1 with 648 bytes is not known'],
    ['a body of another size', other(50, 0x89), 'TDX quote: a body of type 3 with 649 bytes is not known'],
    ['cut in the head of its body', v5.subarray(0, 53), 'TDX quote: needs 6 bytes at 48, only 53 are there'],
    ['cut in its body', v5.subarray(0, 637), 'TDX quote: needs 584 bytes at 54, only 637 are there'],
    ['cut before its signature', v5.subarray(0, 705), 'TDX quote: needs 706 bytes, only 705 are there'],
    ['cut in its signature', v5.subarray(0, 5005), 'TDX quote: its signature of 4300 bytes is not all there'],
  ])('is refused: %s', (_what, bytes, message) => {
    expect(failure(() => parseTdxQuote(bytes))).toMatchObject({ kind: 'format', message, hint: HINT });
  });
});
