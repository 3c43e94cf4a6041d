/**
 * @module The pages that a firmware's SEV metadata asks the host for, in the order in which they are measured (QEMU
 * target/i386/sev.c, snp_populate_metadata_pages: file order).
 */
import { BootsealError } from '../errors.ts';
import type { Placed } from '../firmware/areas.ts';
import type { Area, Firmware, SevSection } from '../firmware/firmware.ts';
import { isOutsideMemory, NO_MEMORY } from '../firmware/guest-memory.ts';
import { firmwareRefusal } from '../firmware/refusal.ts';
import { HASH_TABLE_SIZE, usableHashArea } from './hash-table.ts';
import type { Trace } from './plan.ts';
import type { Profile } from './profiles.ts';
import { PAGE_SIZE, type PageType, type SnpDigest } from './snp.ts';

const SECTION = { secMem: 1, secrets: 2, cpuid: 3, svsmCaa: 4, kernelHashes: 0x10 } as const;

const NAMES: Readonly<Record<number, string>> = {
  1: 'SNP_SEC_MEM',
  2: 'SNP_SECRETS',
  3: 'CPUID',
  4: 'SVSM_CAA',
  16: 'KERNEL_HASHES',
};

/** No real firmware asks for more than a few megabytes; the limit bounds the work that a hostile file can cause. */
const MOST_PAGES = 0x4_0000;

/** What the sections of one firmware are measured with. */
export interface SectionInputs {
  /** `gpa` and `size` (bytes) say where its image lies. */
  readonly firmware: Placed & Pick<Firmware, 'sevSections'>;
  readonly profile: Profile;
  /** The 176-byte table; absent when no kernel is given, and then its page is measured as zero. */
  readonly hashTable: Uint8Array | undefined;
  /** QEMU measures section types that it does not know as zero pages; owners must ask for that. */
  readonly unknownSections: 'refuse' | 'zero';
}

/**
 * Adds the metadata pages to `digest`. Throws `format` when the firmware has no SEV metadata, an unknown, empty, unaligned or
 * overlapping section, one outside of memory, or nowhere to put the hash table.
 */
export function addSections(digest: SnpDigest, inputs: SectionInputs, trace?: Trace): void {
  const sections = checkedSections(inputs);
  if (inputs.hashTable !== undefined && !sections.some((section) => section.type === SECTION.kernelHashes)) {
    throw new BootsealError(
      'format',
      'the firmware’s SEV metadata has no KERNEL_HASHES section, so it cannot measure a kernel',
      {
        hint: 'use a build of OvmfPkg/AmdSev/AmdSevX64.dsc that supports SNP, or leave --kernel out',
      },
    );
  }
  const late = (section: SevSection) => inputs.profile.cpuidLast && section.type === SECTION.cpuid;
  for (const section of [...sections.filter((one) => !late(one)), ...sections.filter(late)]) {
    const type = addSection(digest, section, inputs);
    trace?.({
      name: sectionName(section),
      type,
      gpa: BigInt(section.gpa),
      length: section.size,
      digest: digest.value(),
    });
  }
}

function addSection(digest: SnpDigest, section: SevSection, { firmware, profile, hashTable }: SectionInputs): PageType {
  const gpa = BigInt(section.gpa);
  if (section.type === SECTION.kernelHashes && hashTable !== undefined) {
    digest.add('normal', gpa, hashTablePage(section, usableHashArea(firmware), hashTable));
    return 'normal';
  }
  const type = section.type === SECTION.secMem ? profile.secMem : (WITHOUT_CONTENTS[section.type] ?? 'zero');
  digest.addWithoutContents(type, gpa, section.size);
  return type;
}

const WITHOUT_CONTENTS: Readonly<Record<number, 'zero' | 'secrets' | 'cpuid'>> = {
  [SECTION.secrets]: 'secrets',
  [SECTION.cpuid]: 'cpuid',
};

/** The table stands in the page where the firmware's hash area begins, with zeros around it. */
function hashTablePage(section: SevSection, area: Area, table: Uint8Array): Uint8Array {
  const at = area.base - section.gpa;
  if (section.size !== PAGE_SIZE || at < 0 || at + HASH_TABLE_SIZE > PAGE_SIZE) {
    throw firmwareRefusal(
      `the KERNEL_HASHES section (0x${section.gpa.toString(16)}, 0x${section.size.toString(16)} bytes) is not one page that holds the hash area at 0x${area.base.toString(16)}`,
    );
  }
  const page = new Uint8Array(PAGE_SIZE);
  page.set(table, at);
  return page;
}

function checkedSections({ firmware, profile, unknownSections: unknownTypes }: SectionInputs): readonly SevSection[] {
  const { sevSections: sections, gpa, size } = firmware;
  if (sections === undefined || sections.length === 0) {
    throw new BootsealError('format', 'the firmware has no SEV metadata, so QEMU cannot start it with SNP', {
      hint: 'use an OVMF of 2022.05 or later, and the whole image, not only its variable store',
    });
  }
  const unknown = sections.filter((section) => NAMES[section.type] === undefined);
  if (unknown.length > 0 && unknownTypes === 'refuse') throw unknownSections(unknown);
  for (const section of sections) checkExtent(section);
  checkApart(sections);
  checkBesideImage(sections, gpa, size);
  const pages = sections.reduce((sum, section) => sum + section.size / PAGE_SIZE, 0);
  if (pages > MOST_PAGES) throw firmwareRefusal(`the SEV metadata asks for ${pages} pages, which no firmware needs`);
  if (profile.pcMemory) checkInMemory(sections);
  return sections;
}

const sectionName = (section: SevSection) => NAMES[section.type] ?? `type 0x${section.type.toString(16)}`;

function unknownSections(sections: readonly SevSection[]): BootsealError {
  const list = sections.map((section) => `0x${section.type.toString(16)} at 0x${section.gpa.toString(16)}`).join(', ');
  return new BootsealError('format', `the SEV metadata has sections of unknown type: ${list}`, {
    hint: 'a newer firmware than this bootseal knows; QEMU measures such sections as zero pages, which --unknown-sections zero repeats',
  });
}

function checkExtent(section: SevSection): void {
  const where = `SEV metadata section ${sectionName(section)} at 0x${section.gpa.toString(16)}`;
  if (section.size === 0) {
    throw new BootsealError('format', `${where} has no size`, {
      hint: 'builds for TDX only carry empty SEV sections; use a firmware made for SEV-SNP',
    });
  }
  if (section.gpa % PAGE_SIZE !== 0 || section.size % PAGE_SIZE !== 0) {
    throw firmwareRefusal(`${where} with 0x${section.size.toString(16)} bytes is not made of whole pages`);
  }
  if (section.gpa + section.size > 2 ** 32) throw firmwareRefusal(`${where} reaches beyond 4 GiB`);
  const onePage = section.type === SECTION.secrets || section.type === SECTION.cpuid;
  if (onePage && section.size !== PAGE_SIZE) throw firmwareRefusal(`${where} must be one page`);
}

/** The image has been added already. */
function checkBesideImage(sections: readonly SevSection[], gpa: number, size: number): void {
  const over = sections.find((section) => section.gpa < gpa + size && gpa < section.gpa + section.size);
  if (over === undefined) return;
  throw new BootsealError(
    'format',
    `SEV metadata section ${sectionName(over)} at 0x${over.gpa.toString(16)} lies over the firmware image itself`,
    { hint: 'no platform adds a page twice: the metadata of this image is damaged or was changed' },
  );
}

/** QEMU looks for the memory of each section and ends without it (target/i386/sev.c, snp_populate_metadata_pages). */
function checkInMemory(sections: readonly SevSection[]): void {
  const outside = sections.find(({ gpa, size }) => isOutsideMemory({ base: gpa, size }));
  if (outside === undefined) return;
  throw new BootsealError(
    'format',
    `SEV metadata section ${sectionName(outside)} at 0x${outside.gpa.toString(16)} ${NO_MEMORY}`,
    { hint: 'QEMU ends when it comes to it: the metadata of this image is damaged or was changed, use another build' },
  );
}

/** The PSP refuses to add a page twice. */
function checkApart(sections: readonly SevSection[]): void {
  const sorted = [...sections].sort((a, b) => a.gpa - b.gpa);
  for (const [i, section] of sorted.entries()) {
    const next = sorted[i + 1];
    if (next !== undefined && section.gpa + section.size > next.gpa) {
      throw firmwareRefusal(`two sections of the SEV metadata overlap at 0x${next.gpa.toString(16)}`);
    }
  }
}
