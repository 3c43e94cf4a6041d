/** @module Unified kernel images (UAPI group, "Unified Kernel Image"): kernel, initrd and command line as sections of one EFI program. */
import { bytes, layout, reserved, u16le, u32le } from '../bytes.ts';

const DosHeader = layout('MZ header', { signature: bytes(2), rest: reserved(58), peOffset: u32le });

/** Signature and COFF header (Microsoft, "PE Format", "Signature" and "COFF File Header"). */
const PeHeader = layout('PE header', {
  signature: bytes(4),
  machine: u16le,
  sections: u16le,
  symbols: reserved(12),
  optionalSize: u16le,
  characteristics: u16le,
});

const SectionHeader = layout('PE section', { name: bytes(8), rest: reserved(32) });

/** Within these first bytes of a kernel are its headers and the names of its sections. */
export const KERNEL_HEAD_BYTES = 4096;

/** Sections that hold what is also given to a direct boot by itself. */
const BOOTED = ['.linux', '.initrd', '.cmdline'];

/**
 * Returns which of `.linux`, `.initrd` and `.cmdline` a kernel holds as sections, from its first bytes; none for what is no unified
 * kernel image. Never throws: any file may be booted.
 */
export function unifiedKernelParts(head: Uint8Array): readonly string[] {
  const names = sectionNames(head).filter((name) => BOOTED.includes(name));
  return names.includes('.linux') ? names : [];
}

function sectionNames(head: Uint8Array): readonly string[] {
  if (head.length < DosHeader.size || asciiAt(head, 0, 2) !== 'MZ') return [];
  const { peOffset } = DosHeader.unpack(head);
  if (peOffset + PeHeader.size > head.length || asciiAt(head, peOffset, 4) !== 'PE') return [];
  const { sections, optionalSize } = PeHeader.unpack(head, peOffset);
  const names: string[] = [];
  for (let i = 0, at = peOffset + PeHeader.size + optionalSize; i < sections; i++, at += SectionHeader.size) {
    if (at + SectionHeader.size > head.length) break;
    names.push(asciiAt(head, at, 8));
  }
  return names;
}

/** Returns a name that zero bytes fill up. */
function asciiAt(source: Uint8Array, at: number, size: number): string {
  return String.fromCharCode(...source.subarray(at, at + size)).replace(/\0+$/, '');
}
