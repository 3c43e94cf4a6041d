/**
 * @module Where dm-integrity keeps what: superblock, journal, and then runs of tags, each before the run of data that it is for
 * (Linux, drivers/md/dm-integrity.c: calculate_journal_section_size, calculate_device_limits, get_data_sector). All places are
 * bytes from the start of the segment, all sizes bytes.
 */
import { BootsealError } from '../../errors.ts';

/** What the places follow from. */
export interface IntegrityShape {
  /** 512 to 4096; each has one tag. */
  readonly sectorSize: number;
  readonly tagSize: number;
  readonly journalSections: number;
  /** Data between two runs of tags. */
  readonly interleave: number;
  /** What a run of tags is rounded up to. */
  readonly padding: number;
  /** Data that can be read and written, as the kernel shows them. */
  readonly dataSize: number;
}

/** The journal: sections, each with a table of entries before the sectors that these are for. */
export interface JournalLayout {
  readonly sections: number;
  readonly sectionSize: number;
  readonly entrySize: number;
  /** Entries in each of the eight sectors of a table, and in all of them. */
  readonly entriesPerSector: number;
  readonly entries: number;
}

/** The places. */
export interface IntegrityLayout extends IntegrityShape {
  readonly journal: JournalLayout;
  /** Superblock and journal, behind which the first run of tags starts. */
  readonly startSize: number;
  /** A run of tags with its filler. */
  readonly tagsRun: number;
  /** Everything, up to the end of the data. */
  readonly size: number;
}

/** The unit of the kernel. */
export const UNIT = 512;

/** Of the superblock, and of what the kernel keeps the length of the data to. */
export const ALIGNMENT = 4096;

/** Each sector of the journal ends in a commit id. */
export const COMMIT_ID_SIZE = 8;

/** Sectors that hold the entries of a section. */
export const TABLE_SECTORS = 8;

/** The kernel's defaults for a new device: sectors of the journal at the most, its part of the device as a shift, data of a run. */
const MAX_JOURNAL_SECTORS = 131_072;
const JOURNAL_SHIFT = 7;
const INTERLEAVE = 32_768 * UNIT;

/** Returns the places. */
export function integrityLayout(shape: IntegrityShape): IntegrityLayout {
  const { sectorSize, tagSize, journalSections: sections, interleave, padding, dataSize } = shape;
  const journal = { sections, ...sectionLayout(sectorSize, tagSize) };
  const startSize = ALIGNMENT + sections * journal.sectionSize;
  const tagsRun = roundUp((interleave / sectorSize) * tagSize, padding);
  const size = startSize + Math.ceil(dataSize / interleave) * tagsRun + dataSize;
  return { ...shape, journal, startSize, tagsRun, size };
}

/**
 * Returns the places of a new device, as the kernel would choose them.
 *
 * @throws `usage` when `dataSize` is no multiple of 4096, the end of which the kernel would not show
 */
export function newIntegrityLayout(dataSize: number, sectorSize: number, tagSize: number): IntegrityLayout {
  if (dataSize % ALIGNMENT !== 0) {
    throw new BootsealError(
      'usage',
      `data of ${dataSize} bytes with integrity tags are not a multiple of ${ALIGNMENT} bytes`,
      { hint: 'fill the data up with zeros, for instance with truncate -s %4096' },
    );
  }
  const sectors = Math.min(MAX_JOURNAL_SECTORS, Math.floor(dataSize / UNIT / 2 ** JOURNAL_SHIFT));
  const { sectionSize } = sectionLayout(sectorSize, tagSize);
  const journalSections = Math.max(1, Math.floor((sectors * UNIT) / sectionSize));
  return integrityLayout({
    ...{ sectorSize, tagSize, journalSections },
    ...{ interleave: INTERLEAVE, padding: ALIGNMENT, dataSize },
  });
}

/** Returns the place of the data at `at`, a whole number of sectors; up to the end of a run they are contiguous. */
export function dataPlace({ interleave, startSize, tagsRun }: IntegrityLayout, at: number): number {
  const run = Math.floor(at / interleave);
  return startSize + (run + 1) * tagsRun + at;
}

/** Returns the place of the tag of the sector at `at`; up to the end of a run they follow each other. */
export function tagPlace(layout: IntegrityLayout, at: number): number {
  const { interleave, startSize, tagsRun, sectorSize, tagSize } = layout;
  const run = Math.floor(at / interleave);
  return startSize + run * (tagsRun + interleave) + ((at % interleave) / sectorSize) * tagSize;
}

/** An entry: the number of a sector, the bytes that the commit ids displaced from its data, and its tag. */
function sectionLayout(sectorSize: number, tagSize: number): Omit<JournalLayout, 'sections'> {
  const units = sectorSize / UNIT;
  const entrySize = roundUp(8 + COMMIT_ID_SIZE * units + tagSize, 8);
  const entriesPerSector = Math.floor((UNIT - COMMIT_ID_SIZE) / entrySize);
  const entries = entriesPerSector * TABLE_SECTORS;
  return { entrySize, entriesPerSector, entries, sectionSize: (TABLE_SECTORS + entries * units) * UNIT };
}

function roundUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
