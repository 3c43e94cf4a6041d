/** @module GUIDs in the mixed-endian form of UEFI (2.10, appendix A): the first three groups are little-endian. */
import { BootsealError } from './errors.ts';
import { bytesToHex, hexToBytes } from './hex.ts';

/** A GUID as lower-case text, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`. */
export type Guid = string;

/** All zeros: in a secret table it marks a deleted entry. */
export const NULL_GUID: Guid = '00000000-0000-0000-0000-000000000000';

const TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** Position in the text's byte order of each stored byte. */
const ORDER = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/** Returns the GUID in lower case; throws `format` when `text` is not of the form 8-4-4-4-12. */
export function parseGuid(text: string): Guid {
  const lower = text.toLowerCase();
  if (!TEXT.test(lower)) {
    throw new BootsealError('format', `not a GUID: ${JSON.stringify(text.slice(0, 64))}`, {
      hint: 'a GUID looks like 736869e5-84f0-4973-92ec-06879ce3da0b',
    });
  }
  return lower;
}

/** Returns the 16 bytes that UEFI stores for `guid`. */
export function guidToBytes(guid: Guid): Uint8Array {
  const plain = hexToBytes(parseGuid(guid).replaceAll('-', ''));
  return Uint8Array.from(ORDER, (from) => plain[from] ?? 0);
}

/** Reads the GUID stored in the 16 bytes at `at`; throws `format` when they are not there. */
export function guidFromBytes(bytes: Uint8Array, at = 0): Guid {
  const stored = bytes.subarray(at, at + 16);
  if (at < 0 || stored.length !== 16)
    throw new BootsealError('format', `no room for a GUID at byte ${at}`, {
      hint: 'the data are cut short or of another kind: get them again from where they were made',
    });
  return guidText(bytesToHex(Uint8Array.from(ORDER, (from) => stored[from] ?? 0)));
}

/** Returns a GUID of 122 random bits (RFC 9562, section 5.4). */
export function randomGuid(random: (size: number) => Uint8Array): Guid {
  const raw = random(16);
  raw[6] = ((raw[6] ?? 0) & 0x0f) | 0x40;
  raw[8] = ((raw[8] ?? 0) & 0x3f) | 0x80;
  return guidText(bytesToHex(raw));
}

/** Returns the GUID of 32 hexadecimal digits in the order of its text. */
export function guidText(hex: string): Guid {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
