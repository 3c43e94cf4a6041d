/** @module The files of a firmware volume (UEFI PI specification 1.8, volume 3, section 3.2.3). */
import { bytes, layout, reserved, u8, u64le } from '../bytes.ts';
import { type Guid, guidFromBytes } from '../guid.ts';
import { firmwareRefusal } from './refusal.ts';
import { alignUp, type Volume } from './volume.ts';

/** The file types that have a meaning here. */
export const FILE_TYPE = { raw: 0x01, dxeCore: 0x05, lastSectioned: 0x10, pad: 0xf0 } as const;

/** One file of a volume. */
export interface FfsFile {
  readonly name: Guid;
  readonly type: number;
  /** What follows the header, a view. */
  readonly body: Uint8Array;
}

const u24le = bytes(3);

const Header = layout('firmware file', {
  name: bytes(16),
  headerChecksum: u8,
  fileChecksum: u8,
  type: u8,
  attributes: u8,
  size: u24le,
  state: u8,
});

const LargeHeader = layout('large firmware file', { header: reserved(Header.size), size: u64le });

const LARGE_FILE = 0x01;
/** The state in which a finished build leaves a file. */
const DATA_VALID = 0x04;

/** Calls `take` with every file in order, padding too. Throws `format`, naming `where`, for a header that is not sound. */
export function walkFiles(volume: Volume, where: string, take: (file: FfsFile) => void): void {
  const { content, erased } = volume;
  let at = volume.filesAt;
  while (content.length - at >= Header.size) {
    const raw = content.subarray(at, at + Header.size);
    if (raw.every((byte) => byte === erased)) return;
    const header = Header.unpack(raw);
    const fail = (what: string) => firmwareRefusal(`${where}: the file at ${at} ${what}`);
    const large = (header.attributes & LARGE_FILE) !== 0;
    const headerSize = large ? LargeHeader.size : Header.size;
    const room = content.length - at;
    if (room < headerSize) throw fail('does not fit');
    const sum = sum8(content.subarray(at, at + headerSize)) - header.state - header.fileChecksum;
    if (sum % 0x100 !== 0) throw fail('has a header with a wrong checksum');
    // Of the state bits the highest one counts.
    if (Math.clz32(header.state ^ erased) !== Math.clz32(DATA_VALID)) throw fail('is not in a finished state');
    const size = large ? LargeHeader.unpack(content, at).size : BigInt(u24(header.size));
    if (size < BigInt(headerSize) || size > BigInt(room)) throw fail(`has an impossible size of ${size} bytes`);
    const body = content.subarray(at + headerSize, at + Number(size));
    take({ name: guidFromBytes(header.name), type: header.type, body });
    at = alignUp(at + Number(size), 8);
  }
}

/** Says whether the body of a file of this type is a row of sections. */
export function isSectioned(type: number): boolean {
  return type > FILE_TYPE.raw && type <= FILE_TYPE.lastSectioned;
}

/** Reads a 24-bit little-endian number. */
export function u24(three: Uint8Array, at = 0): number {
  return (three[at] ?? 0) | ((three[at + 1] ?? 0) << 8) | ((three[at + 2] ?? 0) << 16);
}

function sum8(octets: Uint8Array): number {
  return octets.reduce((sum, octet) => sum + octet, 0);
}
