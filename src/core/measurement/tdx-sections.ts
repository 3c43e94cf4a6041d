/**
 * @module What a TDX guest is made of before it runs: the sections of a firmware's TDX metadata. Refused is what no host starts, or
 * what hosts measure differently (QEMU hw/i386/tdvf.c and target/i386/kvm/tdx.c, google/gce-tcb-verifier ovmf/tdx_data.go).
 */
import { BootsealError } from '../errors.ts';
import type { Firmware, TdxSection } from '../firmware/firmware.ts';
import { isOutsideMemory, NO_MEMORY } from '../firmware/guest-memory.ts';
import { TDX_SECTION_NAMES } from '../firmware/tdx-metadata.ts';
import { PAGE_SIZE } from './snp.ts';

const TYPE = { bfv: 0, cfv: 1, tdHob: 2, tempMem: 3 } as const;

/** Attributes of a section (TDX Virtual Firmware Design Guide, section 11.2). */
const ATTRIBUTE = { extendMr: 1, pageAug: 2 } as const;

/** The largest image has half as many; the limit bounds the work that a hostile file can cause. */
const MOST_PAGES = 0x8000;

/** With 52 bits of address the highest tells shared from private memory (Intel TDX Module Base Architecture, GPAW). */
const PRIVATE_MEMORY_END = 2n ** 51n;

const WHOLE = 'give the full image, variable store and code in one file, as QEMU gets it with -bios';
const DAMAGED = 'take the image again from where it was made, or build OvmfPkg/IntelTdx/IntelTdxX64.dsc';

/** A section that a host can put into memory; addresses and sizes in bytes. */
export interface UsableTdxSection {
  /** BFV, CFV, TD_HOB or TEMP_MEM. */
  readonly name: string;
  readonly gpa: number;
  /** Whole pages. */
  readonly size: number;
  /** Where in the image its contents start; absent where they are zeros, or not measured. */
  readonly dataOffset: number | undefined;
  /** Whether its contents are measured besides its addresses. */
  readonly extended: boolean;
}

/**
 * Returns the sections in file order, in which they are measured. Throws `format` for firmware without TDX metadata, and for a
 * section that is not in the file (of an image cut in two), overlaps another, is not made of whole pages or lies outside of memory;
 * also for types and attributes that are measured differently from host to host, and for code that is not measured.
 */
export function usableTdxSections(firmware: Pick<Firmware, 'tdxSections' | 'size'>): readonly UsableTdxSection[] {
  const sections = firmware.tdxSections ?? [];
  if (sections.length === 0) {
    throw refusal('the firmware has no TDX metadata, so no host can start it as a TDX guest', NO_METADATA);
  }
  for (const section of sections) checkKind(section);
  for (const section of sections) checkMemory(section);
  for (const section of sections) checkData(section, firmware.size);
  checkSum(sections);
  checkApart(sections);
  return sections.map((section) => ({
    name: nameOf(section),
    gpa: Number(section.gpa),
    size: Number(section.memorySize),
    dataOffset: isCopied(section) ? section.dataOffset : undefined,
    extended: isExtended(section),
  }));
}

const NO_METADATA = 'give the full image of an OVMF of 2022.11 or later, or build OvmfPkg/IntelTdx/IntelTdxX64.dsc';

const nameOf = ({ type }: TdxSection) => TDX_SECTION_NAMES[type] ?? `of type ${type}`;
const isCopied = ({ type }: TdxSection) => type === TYPE.bfv || type === TYPE.cfv;
const isExtended = ({ attributes }: TdxSection) => (attributes & ATTRIBUTE.extendMr) !== 0;
const hex = (value: number | bigint) => `0x${value.toString(16)}`;
const placeOf = (section: TdxSection) => `TDX metadata section ${nameOf(section)} at ${hex(section.gpa)}`;

function checkKind(section: TdxSection): void {
  const where = placeOf(section);
  if (!Object.values<number>(TYPE).includes(section.type)) {
    throw refusal(`${where}: QEMU starts no firmware with such a section`, OTHER_TYPE);
  }
  if ((section.attributes & ATTRIBUTE.pageAug) !== 0)
    throw refusal(`${where} is to be added later (PAGE_AUG)`, PAGE_AUG);
  if (section.attributes > ATTRIBUTE.extendMr) {
    throw refusal(`${where} has unknown attributes: ${hex(section.attributes)}`, DAMAGED);
  }
  if (section.type === TYPE.tdHob && isExtended(section)) throw refusal(`${where} is to be measured`, MEASURED_HOB);
  if (section.type === TYPE.bfv && !isExtended(section)) {
    throw refusal(`${where} is not to be measured: MRTD would be the same for any code`, DAMAGED);
  }
}

const OTHER_TYPE =
  'payloads and permanent memory are for other firmware than OVMF, such as td-shim, which has a tool of its own to measure it';
const PAGE_AUG =
  'hosts differ: QEMU adds and measures such pages like all others, the design guide says that they are not; clear the attribute';
const MEASURED_HOB =
  'the list of memory in it differs from machine to machine, so no digest fits all: use a build that does not have it measured';

function checkMemory(section: TdxSection): void {
  const { gpa, memorySize } = section;
  const where = placeOf(section);
  if (memorySize === 0n) throw refusal(`${where} has no size`, DAMAGED);
  const page = BigInt(PAGE_SIZE);
  if (gpa % page !== 0n || memorySize % page !== 0n) {
    throw refusal(`${where} with ${hex(memorySize)} bytes is not made of whole pages`, DAMAGED);
  }
  if (gpa + memorySize > PRIVATE_MEMORY_END) {
    throw refusal(`${where} with ${hex(memorySize)} bytes reaches beyond the private memory of any guest`, DAMAGED);
  }
  if (!isCopied(section) && isOutsideMemory({ base: Number(gpa), size: Number(memorySize) })) {
    throw refusal(`${where} ${NO_MEMORY}`, DAMAGED);
  }
}

function checkData(section: TdxSection, imageSize: number): void {
  const { dataOffset, rawSize, memorySize } = section;
  const where = placeOf(section);
  if (!isCopied(section)) {
    if (rawSize === 0) return;
    throw refusal(`${where} has ${hex(rawSize)} bytes in the image, where QEMU wants none`, DAMAGED);
  }
  if (dataOffset + rawSize > imageSize) {
    const end = hex(dataOffset + rawSize);
    throw refusal(
      `${where}: bytes ${hex(dataOffset)} to ${end} are not in this file of ${hex(imageSize)} bytes`,
      WHOLE,
    );
  }
  if (BigInt(rawSize) !== memorySize) {
    throw refusal(`${where} has ${hex(rawSize)} bytes in the image for ${hex(memorySize)} bytes of memory`, DAMAGED);
  }
  if (dataOffset % PAGE_SIZE !== 0) {
    throw refusal(`${where}: byte ${hex(dataOffset)} of the image is no start of a page, which KVM wants`, DAMAGED);
  }
}

function checkSum(sections: readonly TdxSection[]): void {
  const count = (type: number) => sections.filter((section) => section.type === type).length;
  if (count(TYPE.bfv) === 0) throw refusal('the TDX metadata names no firmware code (BFV)', DAMAGED);
  if (count(TYPE.tdHob) !== 1) {
    throw refusal(`the TDX metadata names ${count(TYPE.tdHob)} places for the TD HOB, hosts fill one`, DAMAGED);
  }
  const pages = sections.reduce((sum, { memorySize }) => sum + memorySize, 0n) / BigInt(PAGE_SIZE);
  if (pages > MOST_PAGES) throw refusal(`the TDX metadata asks for ${pages} pages, which no firmware needs`, DAMAGED);
}

/** The TDX module refuses to add a page twice. */
function checkApart(sections: readonly TdxSection[]): void {
  const sorted = [...sections].sort((a, b) => Number(a.gpa - b.gpa));
  for (const [i, section] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && section.gpa + section.memorySize > next.gpa) {
      throw refusal(`two sections of the TDX metadata overlap at ${hex(next.gpa)}`, DAMAGED);
    }
  }
}

function refusal(message: string, hint: string): BootsealError {
  return new BootsealError('format', message, { hint });
}
