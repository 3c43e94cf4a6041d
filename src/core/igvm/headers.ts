/**
 * @module The structures of an IGVM file as microsoft/igvm declares them (igvm_defs/src/lib.rs): a fixed header, then variable
 * headers of type, length and payload, each at a multiple of 8 bytes, then file data that they refer to.
 */
import { bytes, layout, magic, reserved, u8, u16le, u32le, u64le } from '../bytes.ts';

/** IGVM_MAGIC_VALUE, the first four bytes of every file. */
const MAGIC = Uint8Array.of(0x49, 0x47, 0x56, 0x4d);

/** Says whether bytes begin as an IGVM file does. */
export function isIgvm(file: Uint8Array): boolean {
  return MAGIC.every((byte, i) => file[i] === byte);
}

/** IGVM_FIXED_HEADER; CRC-32 spans it and the variable headers, with itself zero. */
export const FixedHeader = layout('IGVM header', {
  magic: magic(MAGIC),
  version: u32le,
  variableOffset: u32le,
  variableSize: u32le,
  totalSize: u32le,
  checksum: u32le,
});

/** What IGVM_FIXED_HEADER_V2 has more. */
export const FixedHeaderTail = layout('IGVM header', { architecture: u32le, pageSize: u32le });

/** IGVM_VHS_VARIABLE_HEADER; `length` is without these 8 bytes and without padding. */
export const VariableHeader = layout('IGVM variable header', { type: u32le, length: u32le });

/** IgvmVariableHeaderType: the types that are looked into. */
export const TYPE = {
  supportedPlatform: 0x1,
  guestPolicy: 0x101,
  parameterArea: 0x301,
  pageData: 0x302,
  parameterInsert: 0x303,
  vpContext: 0x304,
  snpIdBlock: 0x30b,
} as const;

/** IGVM_VHT_OPTIONAL_BIT: a loader that does not know the type may go on. */
export const OPTIONAL_BIT: number = 0x8000_0000;

/** The three sections that variable headers come in, by type: platforms, initialisations, directives. */
export const SECTIONS: readonly { readonly first: number; readonly last: number }[] = [
  { first: 0x1, last: 0x100 },
  { first: 0x101, last: 0x200 },
  { first: 0x301, last: 0x400 },
];

/** The highest type that microsoft/igvm declares in each section for x86-64; 0x106 is a policy of AArch64. */
export const LAST_KNOWN: readonly number[] = [0x1, 0x105, 0x313];

/** RESERVED_DO_NOT_USE, once IGVM_VHT_SHARED_BOUNDARY_GPA: microsoft/igvm reads no such header. */
export const RESERVED_TYPE = 0x306;

/** IGVM_VHS_SUPPORTED_PLATFORM. */
export const SupportedPlatform = layout('IGVM_VHS_SUPPORTED_PLATFORM', {
  mask: u32le,
  highestVtl: u8,
  type: u8,
  version: u16le,
  sharedBoundary: u64le,
});

/** IGVM_VHS_GUEST_POLICY. */
export const GuestPolicy = layout('IGVM_VHS_GUEST_POLICY', { policy: u64le, mask: u32le, reserved: reserved(4) });

/** IGVM_VHS_PARAMETER_AREA. */
export const ParameterArea = layout('IGVM_VHS_PARAMETER_AREA', { size: u64le, index: u32le, fileOffset: u32le });

/** IGVM_VHS_PAGE_DATA. */
export const PageData = layout('IGVM_VHS_PAGE_DATA', {
  gpa: u64le,
  mask: u32le,
  fileOffset: u32le,
  flags: u32le,
  type: u16le,
  reserved: u16le,
});

/** IgvmPageDataFlags. */
export const PAGE_FLAGS = { large: 1, unmeasured: 2, shared: 4 } as const;

/** IgvmPageDataType, by number; CPUID_XF is one more page of CPUID values. */
export const PAGE_DATA_TYPES = ['normal', 'secrets', 'cpuid', 'cpuid'] as const;

/** IGVM_VHS_PARAMETER_INSERT. */
export const ParameterInsert = layout('IGVM_VHS_PARAMETER_INSERT', { gpa: u64le, mask: u32le, index: u32le });

/** IGVM_VHS_VP_CONTEXT; not padded to 8 bytes by itself. */
export const VpContext = layout('IGVM_VHS_VP_CONTEXT', {
  gpa: u64le,
  mask: u32le,
  fileOffset: u32le,
  vcpu: u16le,
  reserved: reserved(2),
});

const IdBlockSignature = bytes(144);
const IdBlockKey = bytes(152);

/** IGVM_VHS_SNP_ID_BLOCK. */
export const SnpIdBlock = layout('IGVM_VHS_SNP_ID_BLOCK', {
  mask: u32le,
  authorKeyEnabled: u8,
  reserved: reserved(3),
  digest: bytes(48),
  familyId: bytes(16),
  imageId: bytes(16),
  version: u32le,
  guestSvn: u32le,
  idKeyAlgorithm: u32le,
  authorKeyAlgorithm: u32le,
  idKeySignature: IdBlockSignature,
  idKey: IdBlockKey,
  authorKeySignature: IdBlockSignature,
  authorKey: IdBlockKey,
});
