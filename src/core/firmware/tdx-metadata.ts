/** @module The TDX metadata ("TDVF") of a firmware image (edk2 OvmfPkg/ResetVector/X64/IntelTdxMetadata.asm). */
import { layout, magic, u32le, u64le } from '../bytes.ts';
import type { TdxSection } from './firmware.ts';
import { readMetadata } from './metadata.ts';

/** Section types by number, with the names of the TDX Virtual Firmware Design Guide. */
export const TDX_SECTION_NAMES: Readonly<Record<number, string>> = {
  0: 'BFV',
  1: 'CFV',
  2: 'TD_HOB',
  3: 'TEMP_MEM',
  4: 'PERM_MEM',
  5: 'PAYLOAD',
  6: 'PAYLOAD_PARAM',
};

const Header = layout('TDX metadata', {
  signature: magic(Uint8Array.of(0x54, 0x44, 0x56, 0x46)), // "TDVF"
  length: u32le,
  version: u32le,
  count: u32le,
});

const Section = layout('TDX metadata section', {
  dataOffset: u32le,
  rawSize: u32le,
  gpa: u64le,
  memorySize: u64le,
  type: u32le,
  attributes: u32le,
});

/**
 * Returns the sections in file order. `fromEnd` is the footer's offset of the header, in bytes from the end of the image. Their
 * data may lie outside this file: the offsets are those of the full image. Throws `format` as parseSevMetadata does.
 */
export function parseTdxMetadata(image: Uint8Array, fromEnd: number): TdxSection[] {
  return readMetadata(image, fromEnd, Header, Section);
}
