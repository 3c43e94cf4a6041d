/** @module EFI programs for tests with every part that a hash of them has to look at, written from Microsoft's "PE Format". */
import { join, pad, u16, u32 } from './firmware-image.ts';

const ascii = (text: string) => Uint8Array.from(Buffer.from(text, 'latin1'));

/** One section: its contents, and where in the file they lie. */
export interface PeSection {
  readonly at: number;
  readonly contents: Uint8Array;
}

/** What a program is made of; sizes and offsets in bytes. */
export interface PeParts {
  readonly sections?: readonly PeSection[];
  readonly checksum?: number;
  readonly machine?: number;
  readonly magic?: number;
  /** How many data directories there are. */
  readonly directories?: number;
  readonly certificates?: Uint8Array;
  readonly sizeOfHeaders?: number;
  readonly peOffset?: number;
  /** Behind the last section. */
  readonly trailing?: Uint8Array;
}

/** A PE32+ program for x86-64 unless it is said otherwise. */
export function peProgram(parts: PeParts = {}): Uint8Array {
  const { sections = [], checksum = 0, machine = 0x8664, magic = 0x20b, directories = 16, peOffset = 0x80 } = parts;
  const { certificates = new Uint8Array(), sizeOfHeaders = 0x400, trailing = new Uint8Array() } = parts;
  const end = sections.reduce((most, { at, contents }) => Math.max(most, at + contents.length), sizeOfHeaders);
  const table = Array.from({ length: directories }, (_, i) =>
    i === 4 && certificates.length > 0
      ? join(u32(end + trailing.length), u32(certificates.length))
      : join(u32(0), u32(0)),
  );
  const optional = join(
    u16(magic),
    new Uint8Array(58).fill(0x11),
    u32(sizeOfHeaders),
    u32(checksum),
    new Uint8Array(40).fill(0x22),
    u32(directories),
    ...table,
  );
  const coff = join(u16(machine), u16(sections.length), new Uint8Array(12), u16(optional.length), u16(0x22e));
  const headers = sections.map(({ at, contents }) =>
    join(pad(ascii('.text'), 8), new Uint8Array(8), u32(contents.length), u32(at), new Uint8Array(16)),
  );
  const dos = pad(join(ascii('MZ'), new Uint8Array(58), u32(peOffset)), peOffset);
  const program = new Uint8Array(end);
  program.set(pad(join(dos, ascii('PE\0\0'), coff, optional, ...headers), 1).subarray(0, end));
  for (const { at, contents } of sections) program.set(contents, at);
  return join(program, trailing, certificates);
}
