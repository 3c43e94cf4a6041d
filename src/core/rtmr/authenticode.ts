/**
 * @module The Authenticode hash of an EFI program, which leaves out its checksum and signatures (Microsoft, "Windows Authenticode
 * Portable Executable Signature Format"), in the steps of edk2 OvmfPkg/Tcg/TdTcg2Dxe/MeasureBootPeCoff.c.
 */
import { bytes, layout, reserved, u16le, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import type { RunningHash } from '../hash.ts';

const DosHeader = layout('MZ header', { signature: u16le, rest: reserved(58), peOffset: u32le });

const PeHeader = layout('PE header', {
  signature: u32le,
  machine: u16le,
  sections: u16le,
  symbols: reserved(12),
  optionalSize: u16le,
  characteristics: reserved(2),
});

const OptionalHeader = layout('PE32+ header', {
  magic: u16le,
  beforeHeaders: reserved(58),
  sizeOfHeaders: u32le,
  checksum: bytes(4),
  beforeDirectories: reserved(40),
  directories: u32le,
});

const Directory = layout('PE data directory', { address: u32le, size: u32le });

const SectionHeader = layout('PE section', {
  name: reserved(8),
  memory: reserved(8),
  size: u32le,
  offset: u32le,
  rest: reserved(16),
});

const MZ = 0x5a4d;
const PE = 0x4550;
const X86_64 = 0x8664;
const PE32_PLUS = 0x20b;

/** Position of the certificate table among the data directories. */
const CERTIFICATES = 4;

/**
 * Returns the Authenticode hash of an x86-64 program. Throws `format` for what is no such program, and for one that is cut short or
 * whose headers lie about it: OVMF measures none of them.
 */
export function authenticode(program: Uint8Array, start: () => RunningHash): Uint8Array {
  const head = readHeaders(program);
  checkSum(head, program.length);
  const hash = start();
  const end = head.certificatesAt === undefined ? head.sizeOfHeaders : head.certificatesAt;
  hash.update(program.subarray(0, head.checksumAt));
  hash.update(program.subarray(head.checksumAt + OptionalHeader.fields.checksum.size, end));
  if (head.certificatesAt !== undefined) {
    hash.update(program.subarray(head.certificatesAt + Directory.size, head.sizeOfHeaders));
  }
  let hashed = head.sizeOfHeaders;
  for (const { offset, size } of head.sections) {
    hash.update(program.subarray(offset, offset + size));
    hashed += size;
  }
  const rest = program.length - hashed - head.certificateBytes;
  if (program.length > hashed && rest < 0) throw refusal('its certificates are more than is left of it');
  if (program.length > hashed) hash.update(program.subarray(hashed, hashed + rest));
  return hash.digest();
}

interface Headers {
  readonly checksumAt: number;
  /** Where the entry of the certificate table is; absent from programs with fewer directories. */
  readonly certificatesAt: number | undefined;
  readonly certificateBytes: number;
  readonly sizeOfHeaders: number;
  /** Those with contents, by their place in the file; bytes. */
  readonly sections: readonly { readonly offset: number; readonly size: number }[];
}

function readHeaders(program: Uint8Array): Headers {
  if (program.length < DosHeader.size) throw refusal(NO_PROGRAM);
  const { signature, peOffset } = DosHeader.unpack(program);
  const optionalAt = peOffset + PeHeader.size;
  if (signature !== MZ || optionalAt + OptionalHeader.size > program.length) throw refusal(NO_PROGRAM);
  const pe = PeHeader.unpack(program, peOffset);
  const optional = OptionalHeader.unpack(program, optionalAt);
  if (pe.signature !== PE) throw refusal(NO_PROGRAM);
  if (pe.machine !== X86_64 || optional.magic !== PE32_PLUS) throw refusal('it is no program for x86-64');
  const { sizeOfHeaders, directories } = optional;
  const directoriesAt = optionalAt + OptionalHeader.size;
  const sectionsAt = optionalAt + pe.optionalSize;
  const certificatesAt = directories > CERTIFICATES ? directoriesAt + CERTIFICATES * Directory.size : undefined;
  const headersEnd = Math.max(
    certificatesAt === undefined ? directoriesAt : certificatesAt + Directory.size,
    sectionsAt + pe.sections * SectionHeader.size,
  );
  if (sectionsAt < directoriesAt || sizeOfHeaders < headersEnd || sizeOfHeaders > program.length) {
    throw refusal('its headers do not fit');
  }
  return {
    checksumAt: optionalAt + OptionalHeader.offset.checksum,
    certificatesAt,
    certificateBytes: certificatesAt === undefined ? 0 : Directory.unpack(program, certificatesAt).size,
    sizeOfHeaders,
    sections: readSections(program, sectionsAt, pe.sections),
  };
}

function readSections(program: Uint8Array, at: number, count: number): Headers['sections'] {
  const sections = Array.from({ length: count }, (_, i) => SectionHeader.unpack(program, at + i * SectionHeader.size));
  for (const { offset, size } of sections) {
    if (offset + size > program.length) throw refusal('a section of it is not all there');
  }
  return sections.filter(({ size }) => size > 0).sort((a, b) => a.offset - b.offset);
}

/** Bounds the work: thousands of sections may name the same bytes, and those of real programs lie apart. */
function checkSum({ sizeOfHeaders, sections }: Headers, programBytes: number): void {
  const hashed = sections.reduce((sum, { size }) => sum + size, sizeOfHeaders);
  if (hashed > 2 * programBytes) throw refusal('its sections lie over each other');
}

const NO_PROGRAM = 'it has no PE header, so it is no EFI program';

function refusal(message: string): BootsealError {
  return new BootsealError('format', `kernel: ${message}`, {
    hint: 'give the file that QEMU gets as -kernel, whole: a bzImage built with CONFIG_EFI_STUB, which OVMF measures',
  });
}
