/** @module What a measurer needs to know about a firmware image. */
import { layout, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import type { Guid } from '../guid.ts';
import { isIgvm } from '../igvm/headers.ts';
import { FOOTER_ENTRIES, footerData, parseFooter } from './footer.ts';
import { firmwareRefusal } from './refusal.ts';
import { parseSevMetadata } from './sev-metadata.ts';
import { parseTdxMetadata } from './tdx-metadata.ts';

/** The largest image that is read, bytes: far above any firmware, far below trouble. */
export const MAX_FIRMWARE_BYTES: number = 64 * 2 ** 20;

/** A range of guest memory; addresses and sizes in bytes. */
export interface Area {
  readonly base: number;
  readonly size: number;
}

/** One entry of the footer GUID table. */
export interface FooterEntry {
  readonly guid: Guid;
  readonly data: Uint8Array;
}

/** One section of the SEV metadata (edk2 OvmfPkg/ResetVector/X64/OvmfSevMetadata.nasm.inc). */
export interface SevSection {
  /** Guest physical address, bytes. */
  readonly gpa: number;
  /** Bytes. */
  readonly size: number;
  /** 1 SNP_SEC_MEM, 2 SNP_SECRETS, 3 CPUID, 4 SVSM_CAA, 0x10 KERNEL_HASHES; others are kept as they are. */
  readonly type: number;
}

/** One section of the TDX metadata ("TDVF"). */
export interface TdxSection {
  /** Offset into the full image, bytes. */
  readonly dataOffset: number;
  /** Bytes in the image. */
  readonly rawSize: number;
  readonly gpa: bigint;
  /** Bytes in guest memory. */
  readonly memorySize: bigint;
  /** 0 BFV, 1 CFV, 2 TD_HOB, 3 TEMP_MEM, 4 PERM_MEM, 5 payload, 6 payload parameters. */
  readonly type: number;
  /** Bit 0 EXTENDMR, bit 1 PAGE_AUG. */
  readonly attributes: number;
}

/** A firmware image as its own tables describe it. Everything optional is absent from the image. */
export interface Firmware {
  /** Bytes of the image. */
  readonly size: number;
  /** Where the image starts in guest memory: it ends at 4 GiB. */
  readonly gpa: number;
  /** The footer table in the order it is walked (from the end of the image down); empty without a footer. */
  readonly footer: readonly FooterEntry[];
  /** Address at which an application processor starts under SEV-ES and SNP. */
  readonly resetAddress: number | undefined;
  /** Where the kernel hash table goes; absent also when base or size is 0, which is how a build says "not supported". */
  readonly hashArea: Area | undefined;
  /** Where a launch secret goes; absent also when base or size is 0. */
  readonly secretArea: Area | undefined;
  /** In file order, which is the order of measurement; absent without SEV metadata. */
  readonly sevSections: readonly SevSection[] | undefined;
  /** Absent without TDX metadata. */
  readonly tdxSections: readonly TdxSection[] | undefined;
  /** Only in an SVSM binary: its entry point, bytes from its start. */
  readonly svsmEntry: number | undefined;
}

/**
 * Reads the tables at the end of a firmware image; an image without a footer gives an empty one. Any size is accepted, since SEV
 * has no rule for it (SNP has: whole pages). Throws `format` for an empty or absurdly large image, for an IGVM file and for malformed tables.
 */
export function parseFirmware(image: Uint8Array): Firmware {
  const size = image.length;
  if (size === 0) throw firmwareRefusal('firmware: the image is empty');
  if (size > MAX_FIRMWARE_BYTES) {
    throw firmwareRefusal(`firmware: ${size} bytes are more than the ${MAX_FIRMWARE_BYTES} accepted here`);
  }
  if (isIgvm(image)) {
    throw new BootsealError('format', 'firmware: this is an IGVM file, not the image of a firmware', {
      hint: 'predict its digest with `bootseal measure igvm FILE`, or give the OVMF image itself',
    });
  }
  const footer = parseFooter(image);
  const entry = (kind: keyof typeof FOOTER_ENTRIES) => footerData(footer, FOOTER_ENTRIES[kind]);
  const number = (data: Uint8Array | undefined) => data && u32le.decode(data, 0, 'firmware footer');
  const sevOffset = number(entry('sevMetadata'));
  const tdxOffset = number(entry('tdxMetadata'));
  return {
    size,
    gpa: FOUR_GIB - size,
    footer,
    resetAddress: number(entry('resetBlock')),
    hashArea: area(entry('hashArea')),
    secretArea: area(entry('secretArea')),
    sevSections: sevOffset === undefined ? undefined : parseSevMetadata(image, sevOffset),
    tdxSections: tdxOffset === undefined ? undefined : parseTdxMetadata(image, tdxOffset),
    svsmEntry: number(entry('svsmInfo')),
  };
}

const FOUR_GIB = 2 ** 32;

const AreaEntry = layout('firmware footer area', { base: u32le, size: u32le });

function area(data: Uint8Array | undefined): Area | undefined {
  if (data === undefined) return undefined;
  const found = AreaEntry.unpack(data);
  return found.base === 0 || found.size === 0 ? undefined : found;
}
