/**
 * @module The TDX quote of versions 4 and 5: what a platform signs about a guest (Intel TDX DCAP Quoting Library API, "Quote Format";
 * offsets as in google/go-tdx-guest 91f9a52 abi/abi.go and Intel's sgx_quote_5.h).
 */
import { bytes, layout, reserved, u16le, u32le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';

const Header = layout('TDX quote', { version: u16le, keyType: u16le, teeType: u32le, rest_008: reserved(40) });

/** What version 5 says between header and body. */
const BodyHead = layout('TDX quote', { bodyType: u16le, bodySize: u32le });

/** Body types of version 5: of TDX 1.0, as in version 4, and of 1.5, which has two fields more behind it. */
const BODY_SIZES: ReadonlyMap<number, number> = new Map([
  [2, 584],
  [3, 648],
]);

/** The body of TDX 1.0, field by field. */
const Body = layout('TDX quote', {
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

/** Whether `file` begins as a quote of a TDX guest, of a version that is known; it may be cut. */
export function isTdxQuote(file: Uint8Array): boolean {
  if (file.length < Header.size) return false;
  const { version, teeType } = Header.unpack(file);
  return (version === 4 || version === 5) && teeType === TEE_TDX;
}

/** Reads a quote; bytes after its signature are allowed. Throws `format` for other versions and kinds. The signature is not checked. */
export function parseTdxQuote(file: Uint8Array): TdxQuote {
  if (file.length < 2) throw refusal(`the TDX quote has ${file.length} bytes`);
  const version = u16le.decode(file, 0, 'TDX quote.version');
  if (version !== 4 && version !== 5) throw refusal(`TDX quote: version ${version} is not known`);
  const { teeType } = Header.unpack(file);
  if (teeType !== TEE_TDX) throw refusal(`TDX quote: it is of another kind of guest (0x${teeType.toString(16)})`);
  const { start, size } = version === 4 ? { start: Header.size, size: Body.size } : placeOfBody(file);
  const body = Body.unpack(file, start);
  checkSignature(file, start + size);
  const { mrTd: mrtd, rtmr0, rtmr1, rtmr2, rtmr3, reportData, tdAttributes } = body;
  return { mrtd, rtmrs: [rtmr0, rtmr1, rtmr2, rtmr3], reportData, debug: (tdAttributes & DEBUG) !== 0n };
}

function placeOfBody(file: Uint8Array): { readonly start: number; readonly size: number } {
  const { bodyType, bodySize } = BodyHead.unpack(file, Header.size);
  if (BODY_SIZES.get(bodyType) !== bodySize) {
    throw refusal(`TDX quote: a body of type ${bodyType} with ${bodySize} bytes is not known`);
  }
  return { start: Header.size + BodyHead.size, size: bodySize };
}

function checkSignature(file: Uint8Array, at: number): void {
  const begin = at + u32le.size;
  if (file.length < begin) throw refusal(`TDX quote: needs ${begin} bytes, only ${file.length} are there`);
  const size = u32le.decode(file, at, 'TDX quote.signatureSize');
  if (size > file.length - begin) throw refusal(`TDX quote: its signature of ${size} bytes is not all there`);
}

function refusal(message: string): BootsealError {
  return new BootsealError('format', message, {
    hint: 'give the bytes of a TDX quote of version 4 or 5, as outblob of configfs-tsm has them',
  });
}
