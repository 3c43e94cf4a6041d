/** @module What a loader does for a guest, one directive each: pages, parameter areas, CPU state, the ID block. */
import type { Values } from '../bytes.ts';
import {
  PAGE_DATA_TYPES,
  PAGE_FLAGS,
  PageData,
  ParameterArea,
  ParameterInsert,
  SnpIdBlock,
  TYPE,
  VpContext,
} from './headers.ts';
import { hex, igvmRefusal } from './refusal.ts';

const PAGE = 4096;
const LARGE_PAGE = 2 ** 21;

/**
 * The most that all pages of a guest may have together, bytes, and the largest parameter area: four times the largest file. A header of 40
 * bytes stands for 2 MiB or a whole area, and each page is work.
 */
export const MOST_GUEST_BYTES: number = 2 ** 30;

/** A page of the guest. */
export interface PageDirective {
  readonly kind: 'page';
  /** Which header of the directives' section it is, from 0. */
  readonly index: number;
  /** Guest physical address, bytes. */
  readonly gpa: bigint;
  readonly mask: number;
  readonly type: (typeof PAGE_DATA_TYPES)[number];
  /** Whether it is a page of 2 MiB. */
  readonly large: boolean;
  readonly unmeasured: boolean;
  /** Whether the host sees it. */
  readonly shared: boolean;
  /**
   * The first 4096 bytes, absent for a page of zeros. Nobody reads more of a large page either: microsoft/igvm, which all loaders
   * build on, takes 4096 bytes (igvm/src/lib.rs, "only 4K data supported").
   */
  readonly data: Uint8Array | undefined;
}

/** Host parameters put into the guest, whose contents no platform measures. */
export interface InsertDirective {
  readonly kind: 'insert';
  readonly gpa: bigint;
  readonly mask: number;
  /** Index of the area. */
  readonly area: number;
  /** Bytes, whole pages. */
  readonly size: number;
}

/** The state that a vCPU starts with. */
export interface VcpuDirective {
  readonly kind: 'vcpu';
  readonly gpa: bigint;
  readonly mask: number;
  readonly vcpu: number;
  /** For SEV-ES and SNP the VMSA, 4096 bytes; that of VSM may be shorter. */
  readonly page: Uint8Array;
}

/** The ID block that the loader gives to the platform. */
export interface IdBlockDirective {
  readonly kind: 'id-block';
  readonly mask: number;
  readonly block: Values<(typeof SnpIdBlock)['fields']>;
}

/** What enters a digest, or says what it must be. */
export type Directive = PageDirective | InsertDirective | VcpuDirective | IdBlockDirective;

/** One variable header of the directives' section, and what it may refer to. */
export interface Header {
  readonly type: number;
  readonly payload: Uint8Array;
  /** Which header of the directives' section it is, from 0. */
  readonly index: number;
  /** Which header of the file it is, for messages. */
  readonly where: string;
  readonly file: Uint8Array;
  /** Where file data begin. */
  readonly dataStart: number;
  /** Sizes of the parameter areas so far, by index; those that are inserted leave it as -1. */
  readonly areas: Map<number, number>;
}

/** Returns what a header makes a loader do, or undefined where a digest has nothing of it; notes parameter areas. Throws `format`. */
export function readDirective(header: Header): Directive | undefined {
  switch (header.type) {
    case TYPE.pageData:
      return readPage(header);
    case TYPE.parameterArea:
      return readArea(header);
    case TYPE.parameterInsert:
      return readInsert(header);
    case TYPE.vpContext:
      return readVcpu(header);
    case TYPE.snpIdBlock: {
      const block = SnpIdBlock.unpack(sized(header, SnpIdBlock.size));
      return { kind: 'id-block', mask: block.mask, block };
    }
    default:
      return undefined;
  }
}

function readPage(header: Header): PageDirective {
  const { gpa, mask, fileOffset, flags, type, reserved } = PageData.unpack(sized(header, PageData.size));
  const name = PAGE_DATA_TYPES[type];
  const known = PAGE_FLAGS.large | PAGE_FLAGS.unmeasured | PAGE_FLAGS.shared;
  if (name === undefined) throw igvmRefusal(`${header.where}: page data of type ${type} are not known`);
  if (reserved !== 0 || (flags & ~known) !== 0) {
    throw igvmRefusal(`${header.where}: flags ${hex(flags)} or reserved bytes have a meaning that is not known`);
  }
  const large = (flags & PAGE_FLAGS.large) !== 0;
  aligned(header, gpa, large ? LARGE_PAGE : PAGE);
  return {
    kind: 'page',
    index: header.index,
    gpa,
    mask,
    type: name,
    large,
    unmeasured: (flags & PAGE_FLAGS.unmeasured) !== 0,
    shared: (flags & PAGE_FLAGS.shared) !== 0,
    data: fileOffset === 0 ? undefined : fileData(header, fileOffset, PAGE),
  };
}

function readArea(header: Header): undefined {
  const { size, index, fileOffset } = ParameterArea.unpack(sized(header, ParameterArea.size));
  if (size === 0n || size % BigInt(PAGE) !== 0n || size > BigInt(MOST_GUEST_BYTES)) {
    throw igvmRefusal(`${header.where}: a parameter area of ${hex(size)} bytes: whole pages are needed, at most 1 GiB`);
  }
  if (header.areas.has(index)) throw igvmRefusal(`${header.where}: parameter area ${index} comes twice`);
  if (fileOffset !== 0) fileData(header, fileOffset, Number(size));
  header.areas.set(index, Number(size));
}

function readInsert(header: Header): InsertDirective {
  const { gpa, mask, index } = ParameterInsert.unpack(sized(header, ParameterInsert.size));
  const size = header.areas.get(index);
  if (size === undefined || size < 0) {
    throw igvmRefusal(
      `${header.where}: parameter area ${index} ${size === undefined ? 'is not declared before' : 'is inserted twice'}`,
    );
  }
  header.areas.set(index, -1);
  aligned(header, gpa, PAGE);
  return { kind: 'insert', gpa, mask, area: index, size };
}

function readVcpu(header: Header): VcpuDirective {
  const { gpa, mask, fileOffset, vcpu } = VpContext.unpack(sized(header, VpContext.size));
  aligned(header, gpa, PAGE);
  const rest = Math.max(0, header.file.length - fileOffset);
  return { kind: 'vcpu', gpa, mask, vcpu, page: fileData(header, fileOffset, Math.min(PAGE, rest)) };
}

function sized({ payload, where }: Header, size: number): Uint8Array {
  if (payload.length !== size) throw igvmRefusal(`${where}: ${payload.length} bytes instead of ${size}`);
  return payload;
}

function aligned({ where }: Header, gpa: bigint, unit: number): void {
  if (gpa % BigInt(unit) !== 0n) throw igvmRefusal(`${where}: address ${hex(gpa)} is no multiple of ${hex(unit)}`);
}

function fileData({ file, where, dataStart }: Header, offset: number, size: number): Uint8Array {
  if (offset < dataStart || size > file.length - offset) {
    throw igvmRefusal(`${where}: ${size} bytes at ${offset} are not within the file data`);
  }
  return file.subarray(offset, offset + size);
}
