/**
 * @module The LUKS2 header on disk: two copies, each a binary header and a JSON area under one checksum (LUKS2 On-Disk Format
 * Specification 1.1.4, section 2; rules of cryptsetup, lib/luks2/luks2_disk_metadata.c).
 */

import { bytes, concat, layout, reserved, text, u16be, u64be, type Values } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { luksHash, nobleHash } from './hashes.ts';
import { BINARY_HEADER_SIZE, HEADER_SIZES } from './metadata/config.ts';
import { type Metadata, parseMetadata } from './metadata.ts';
import { OWN_COPY } from './own-copy.ts';

/** Which of the two copies. */
export type CopyName = 'primary' | 'secondary';

/** "LUKS" and "SKUL", each with two more bytes that no text has. */
export const MAGIC: Readonly<Record<CopyName, Uint8Array>> = {
  primary: Uint8Array.of(0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe),
  secondary: Uint8Array.of(0x53, 0x4b, 0x55, 0x4c, 0xba, 0xbe),
};

const CHECKSUM_SIZE = 64;

/** struct luks2_hdr_disk; integers are big-endian. */
export const BinaryHeader = layout('LUKS2 header', {
  magic: bytes(6),
  version: u16be,
  /** Bytes of this copy with its JSON area; also where the secondary copy starts. */
  headerSize: u64be,
  /** Raised by every write; of two good copies the higher one counts. */
  seqid: u64be,
  label: text(48),
  checksumAlgorithm: text(32),
  /** Random, another one in each copy; nothing is derived from it. */
  salt: bytes(64),
  uuid: text(40),
  subsystem: text(48),
  /** Bytes from the start of the device. */
  headerOffset: u64be,
  padding: reserved(184),
  checksum: bytes(CHECKSUM_SIZE),
  padding4096: reserved(7 * 512),
});

/** One readable copy of the header. */
export interface HeaderCopy
  extends Omit<Values<typeof BinaryHeader.fields>, 'magic' | 'version' | 'headerSize' | 'headerOffset'> {
  /** Bytes of one copy. */
  readonly size: number;
  readonly metadata: Metadata;
}

/** What is written as one copy. */
export interface NewHeader {
  readonly size: number;
  readonly seqid: bigint;
  readonly label: string;
  readonly subsystem: string;
  readonly uuid: string;
  /** 64 bytes. */
  readonly salt: Uint8Array;
  /** `size` − 4096 bytes. */
  readonly area: Uint8Array;
}

/**
 * Returns the bytes of a whole copy, from what its first 4096 say.
 *
 * @param start at least the first 4096 bytes at `offset`
 * @throws `format` when no copy of this name can stand at `offset`
 */
export function headerSizeAt(start: Uint8Array, name: CopyName, offset: number): number {
  const header = BinaryHeader.unpack(start);
  const where = `${name} header`;
  if (!MAGIC[name].every((byte, i) => header.magic[i] === byte)) throw broken(where, 'wrong magic number');
  if (header.version !== 2) throw broken(where, `version ${header.version} instead of 2`);
  const size = Number(header.headerSize);
  if (!HEADER_SIZES.includes(size)) throw broken(where, `the size ${header.headerSize} is none that is allowed`);
  if (header.headerOffset !== BigInt(offset)) {
    throw broken(where, `says that it stands at ${header.headerOffset}, but is at ${offset}`);
  }
  if (name === 'secondary' && size !== offset) throw broken(where, `has ${size} bytes, but stands at ${offset}`);
  return size;
}

/**
 * Reads one copy.
 *
 * @param copy all its bytes
 * @param offset where it stands on the device
 * @throws `format` when header, checksum or metadata are not right
 */
export function parseHeaderCopy(copy: Uint8Array, name: CopyName, offset: number): HeaderCopy {
  const size = headerSizeAt(copy, name, offset);
  if (copy.length !== size) throw broken(`${name} header`, `${copy.length} bytes instead of ${size}`);
  const { magic, version, headerSize, headerOffset, ...header } = BinaryHeader.unpack(copy);
  const computed = checksum(copy, header.checksumAlgorithm, `${name} header`);
  // What stands behind a short hash is not looked at, as in cryptsetup; `both copies agree` is about the metadata.
  if (computed.some((byte, i) => byte !== header.checksum[i])) throw broken(`${name} header`, 'the checksum is wrong');
  return { ...header, size, metadata: parseMetadata(copy.subarray(BINARY_HEADER_SIZE)) };
}

/** Returns the bytes of one copy, with its checksum. */
export function encodeHeaderCopy(header: NewHeader, name: CopyName): Uint8Array {
  const { size, area, ...fields } = header;
  const copy = concat(
    BinaryHeader.pack({
      ...fields,
      magic: MAGIC[name],
      version: 2,
      headerSize: BigInt(size),
      checksumAlgorithm: 'sha256',
      headerOffset: BigInt(name === 'primary' ? 0 : size),
      checksum: new Uint8Array(CHECKSUM_SIZE),
    }),
    area,
  );
  copy.set(checksum(copy, 'sha256', `${name} header`), BinaryHeader.offset.checksum);
  return copy;
}

/** Hash of the whole copy with zeros in place of the checksum. */
function checksum(copy: Uint8Array, algorithm: string, where: string): Uint8Array {
  const zeroed = Uint8Array.from(copy);
  zeroed.fill(0, BinaryHeader.offset.checksum, BinaryHeader.offset.checksum + CHECKSUM_SIZE);
  return nobleHash(luksHash(algorithm, `${where}: checksum`))(zeroed);
}

function broken(where: string, what: string): BootsealError {
  return new BootsealError('format', `${where}: ${what}`, OWN_COPY);
}
