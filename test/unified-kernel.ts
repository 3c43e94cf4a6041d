/** @module Unified kernel images for tests, written from Microsoft's "PE Format". */
import { join, pad, u16, u32 } from './firmware-image.ts';

const ascii = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));

/** An EFI program with sections of these names; `optionalSize` is that of its optional header (PE32+: 240 bytes). */
export function efiProgram(names: readonly string[], { peOffset = 0x78, optionalSize = 240 } = {}): Uint8Array {
  const dos = pad(join(ascii('MZ'), new Uint8Array(58), u32(peOffset)), peOffset);
  const coff = join(u16(0x8664), u16(names.length), new Uint8Array(12), u16(optionalSize), u16(0x22e));
  const table = names.map((name) => join(pad(ascii(name), 8), new Uint8Array(32)));
  return join(dos, ascii('PE\0\0'), coff, new Uint8Array(optionalSize), ...table);
}

/** The sections of systemd's stub with everything in it, in their order. */
export const UKI_SECTIONS = [
  '.text',
  '.rodata',
  '.data',
  '.reloc',
  '.sdmagic',
  '.osrel',
  '.cmdline',
  '.initrd',
  '.linux',
];
