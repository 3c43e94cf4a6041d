/** @module Firmware volumes (UEFI PI specification 1.8, volume 3, section 3.2.1): where they lie in an image and where their files start. */
import { bytes, layout, magic, reserved, u8, u16le, u32le, u64le } from '../bytes.ts';
import { type Guid, guidFromBytes } from '../guid.ts';
import { firmwareRefusal } from './refusal.ts';

/** What a volume holds, as its header says. */
export const FILE_SYSTEM = {
  ffs2: '8c8ce578-8a3d-4f1c-9935-896185c32dd3',
  ffs3: '5473c07a-3dcb-4dca-bd6f-1e9689e7349a',
  /** UEFI variables: the part of an image that is writable in a running machine. */
  variables: 'fff12b8d-7696-4c8b-a985-2747075b4f50',
} as const satisfies Record<string, Guid>;

/** One firmware volume. */
export interface Volume {
  /** Offset in the bytes it was found in. */
  readonly at: number;
  /** The whole volume, a view. */
  readonly content: Uint8Array;
  readonly fileSystem: Guid;
  /** Offset of the first file in `content`. */
  readonly filesAt: number;
  /** What erased flash reads as. */
  readonly erased: 0 | 0xff;
}

const SIGNATURE_AT = 40;
const SIGNATURE = Uint8Array.of(0x5f, 0x46, 0x56, 0x48); // "_FVH"
const ERASE_POLARITY = 0x800;

const Header = layout('firmware volume', {
  zeroVector: reserved(16),
  fileSystem: bytes(16),
  length: u64le,
  signature: magic(SIGNATURE),
  attributes: u32le,
  headerLength: u16le,
  checksum: reserved(2),
  extHeaderOffset: u16le,
  reserved: reserved(1),
  revision: u8,
});

const ExtHeader = layout('firmware volume extended header', { name: reserved(16), size: u32le });

/** Flash blocks of the images in use are 4 KiB, and a volume starts with one. */
const BLOCK = 4096;

/** Returns the volumes that lie in an image, in order; bytes between them are passed over. Throws `format` for a damaged header. */
export function findVolumes(image: Uint8Array): Volume[] {
  const found: Volume[] = [];
  let at = 0;
  while (at < image.length) {
    if (!hasSignature(image, at)) at += BLOCK;
    else {
      const volume = readVolume(image, at, 'firmware');
      found.push(volume);
      at = alignUp(at + volume.content.length, BLOCK);
    }
  }
  return found;
}

/** Reads the volume that starts at `at`; throws `format`, naming `where`, when its header is not sound. */
export function readVolume(source: Uint8Array, at: number, where: string): Volume {
  const fail = (what: string) => firmwareRefusal(`${where}: the volume at ${at} ${what}`);
  if (!hasSignature(source, at) || source.length - at < Header.size) throw fail('has no header');
  const header = Header.unpack(source, at);
  if (header.length > BigInt(source.length - at)) throw fail('does not fit');
  const content = source.subarray(at, at + Number(header.length));
  if (header.headerLength < Header.size || header.headerLength > content.length || header.headerLength % 2 !== 0) {
    throw fail(`has a header of impossible length ${header.headerLength}`);
  }
  if (sum16(content.subarray(0, header.headerLength)) !== 0) throw fail('has a header with a wrong checksum');
  let filesAt = header.headerLength;
  if (header.extHeaderOffset !== 0) {
    const offset = header.extHeaderOffset;
    if (offset < header.headerLength || content.length - offset < ExtHeader.size) {
      throw fail('has an extended header that does not fit');
    }
    filesAt = offset + ExtHeader.unpack(content, offset).size;
    if (filesAt < offset + ExtHeader.size || filesAt > content.length) {
      throw fail('has an extended header of impossible length');
    }
  }
  return {
    at,
    content,
    fileSystem: guidFromBytes(header.fileSystem),
    filesAt: alignUp(filesAt, 8),
    erased: (header.attributes & ERASE_POLARITY) !== 0 ? 0xff : 0,
  };
}

/** Returns the first multiple of `unit` that is not below `value`. */
export function alignUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

function hasSignature(source: Uint8Array, at: number): boolean {
  return SIGNATURE.every((byte, i) => source[at + SIGNATURE_AT + i] === byte);
}

function sum16(words: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < words.length; i += 2) sum += (words[i] ?? 0) + 0x100 * (words[i + 1] ?? 0);
  return sum % 0x10000;
}
