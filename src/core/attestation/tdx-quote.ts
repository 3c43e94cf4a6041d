/**
 * @module The TDX quote of version 4: what a platform signs about a guest (Intel TDX DCAP Quoting Library API, "Quote Format"; offsets
 * as in google/go-tdx-guest 91f9a52 abi/abi.go).
 */
import { bytes, layout, reserved, u16le, u32le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';

/** Header and TD quote body, field by field; the signature follows. */
const Quote = layout('TDX quote', {
  version: u16le,
  keyType: u16le,
  teeType: u32le,
  rest_008: reserved(40),
  teeTcbSvn: bytes(16),
  mrSeam: bytes(48),
  mrSignerSeam: bytes(48),
  seamAttributes: u64le,
  tdAttributes: u64le,
  xfam: u64le,
  mrTd: bytes(48),
  mrConfigId: bytes(48),
  mrOwner: bytes(48),
  mrOwnerConfig: bytes(48),
  rtmr0: bytes(48),
  rtmr1: bytes(48),
  rtmr2: bytes(48),
  rtmr3: bytes(48),
  reportData: bytes(64),
  signatureSize: u32le,
});

const TEE_TDX = 0x81;

/** TD ATTRIBUTES, bit 0 (Intel TDX Module ABI): the host can read and change the guest. */
const DEBUG = 1n;

/** What a quote says of a guest. */
export interface TdxQuote {
  /** 48 bytes. */
  readonly mrtd: Uint8Array;
  /** RTMR0 to RTMR3, 48 bytes each. */
  readonly rtmrs: readonly Uint8Array[];
  /** 64 bytes that the guest chose. */
  readonly reportData: Uint8Array;
  /** Whether the host can debug the guest, and so has all of its memory. */
  readonly debug: boolean;
}

/** Reads a quote; bytes after its signature are allowed. Throws `format` for other versions and kinds. The signature is not checked. */
export function parseTdxQuote(file: Uint8Array): TdxQuote {
  if (file.length < 2) throw refusal(`the TDX quote has ${file.length} bytes`);
  const version = u16le.decode(file, 0, 'TDX quote.version');
  if (version !== 4) throw refusal(`TDX quote: version ${version} is not known`);
  const quote = Quote.unpack(file);
  if (quote.teeType !== TEE_TDX)
    throw refusal(`TDX quote: it is of another kind of guest (0x${quote.teeType.toString(16)})`);
  if (quote.signatureSize > file.length - Quote.size) {
    throw refusal(`TDX quote: its signature of ${quote.signatureSize} bytes is not all there`);
  }
  const { mrTd: mrtd, rtmr0, rtmr1, rtmr2, rtmr3, reportData, tdAttributes } = quote;
  return { mrtd, rtmrs: [rtmr0, rtmr1, rtmr2, rtmr3], reportData, debug: (tdAttributes & DEBUG) !== 0n };
}

function refusal(message: string): BootsealError {
  return new BootsealError('format', message, {
    hint: 'give the bytes of a TDX quote of version 4, as outblob of configfs-tsm has them',
  });
}
