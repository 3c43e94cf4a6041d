/** @module The SEV metadata of a firmware image (edk2 OvmfPkg/ResetVector/X64/OvmfSevMetadata.nasm.inc): what SNP measures besides the image. */
import { layout, magic, u32le } from '../bytes.ts';
import type { SevSection } from './firmware.ts';
import { readMetadata } from './metadata.ts';

/** Section types by number, with the names that edk2 gives them. */
export const SEV_SECTION_NAMES: Readonly<Record<number, string>> = {
  1: 'SNP_SEC_MEM',
  2: 'SNP_SECRETS',
  3: 'CPUID',
  4: 'SVSM_CAA',
  16: 'KERNEL_HASHES',
};

const Header = layout('SEV metadata', {
  signature: magic(Uint8Array.of(0x41, 0x53, 0x45, 0x56)), // "ASEV"
  length: u32le,
  version: u32le,
  count: u32le,
});

const Section = layout('SEV metadata section', { gpa: u32le, size: u32le, type: u32le });

/** Bytes of the header that the sections follow, and of each of them. */
export const SEV_HEADER_SIZE: number = Header.size;
export const SEV_SECTION_SIZE: number = Section.size;

/**
 * Returns the sections in file order. `fromEnd` is the footer's offset of the header, in bytes from the end of the image. Throws
 * `format` for a header that is not there, not version 1, or whose length and count disagree.
 */
export function parseSevMetadata(image: Uint8Array, fromEnd: number): SevSection[] {
  return readMetadata(image, fromEnd, Header, Section);
}
