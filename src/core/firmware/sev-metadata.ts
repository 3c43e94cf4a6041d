/** @module The SEV metadata of a firmware image (edk2 OvmfPkg/ResetVector/X64/OvmfSevMetadata.nasm.inc): what SNP measures besides the image. */
import { layout, magic, u32le } from '../bytes.ts';
import type { SevSection } from './firmware.ts';
import { readMetadata } from './metadata.ts';

/** Section types by name. */
export const SEV_SECTION = {
  secMem: 1,
  secrets: 2,
  cpuid: 3,
  svsmCaa: 4,
  kernelHashes: 0x10,
} as const;

const Header = layout('SEV metadata', {
  signature: magic(Uint8Array.of(0x41, 0x53, 0x45, 0x56)), // "ASEV"
  length: u32le,
  version: u32le,
  count: u32le,
});

const Section = layout('SEV metadata section', { gpa: u32le, size: u32le, type: u32le });

/**
 * Returns the sections in file order. `fromEnd` is the footer's offset of the header, in bytes from the end of the image. Throws
 * `format` for a header that is not there, not version 1, or whose length and count disagree.
 */
export function parseSevMetadata(image: Uint8Array, fromEnd: number): SevSection[] {
  return readMetadata(image, fromEnd, Header, Section);
}
