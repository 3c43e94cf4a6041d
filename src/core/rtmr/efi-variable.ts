/** @module UEFI variables as firmware measures them (TCG PC Client Platform Firmware Profile 1.06, UEFI_VARIABLE_DATA). */
import { concat, u16le, u64le } from '../bytes.ts';
import { type Guid, guidToBytes } from '../guid.ts';

/** Whose variables are measured (UEFI 2.10, 3.3 and 32.4.1). */
export const VENDOR = {
  global: '8be4df61-93ca-11d2-aa0d-00e098032b8c',
  imageSecurityDatabase: 'd719b2cb-3d3a-4596-a3bc-dad00e67656f',
} as const satisfies Record<string, Guid>;

/** One variable. */
export interface EfiVariable {
  readonly vendor: Guid;
  readonly name: string;
  readonly data: Uint8Array;
}

/** Returns what is hashed of a variable that configures the boot; one that does not exist has no data. */
export function variableData({ vendor, name, data }: EfiVariable): Uint8Array {
  const sizes = new Uint8Array(2 * u64le.size);
  u64le.encode(BigInt(name.length), sizes, 0, 'UEFI_VARIABLE_DATA.UnicodeNameLength');
  u64le.encode(BigInt(data.length), sizes, u64le.size, 'UEFI_VARIABLE_DATA.VariableDataLength');
  return concat(guidToBytes(vendor), sizes, utf16(name), data);
}

/** Returns text in UTF-16, little-endian, without a NUL. */
export function utf16(text: string): Uint8Array {
  const out = new Uint8Array(text.length * u16le.size);
  for (let i = 0; i < text.length; i++) u16le.encode(text.charCodeAt(i), out, i * u16le.size, 'UTF-16');
  return out;
}
