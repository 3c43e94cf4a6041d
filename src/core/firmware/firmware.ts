/** @module What a measurer needs to know about a firmware image. */
import type { Guid } from '../guid.ts';

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
}
