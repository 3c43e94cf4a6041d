/**
 * @module The journal of dm-integrity: writes go there first, and what is not yet where it belongs is read from there (Linux,
 * drivers/md/dm-integrity.c: init_journal, replay_journal, do_journal_write). Places are bytes from the start of the segment.
 */
import { BootsealError } from '../../errors.ts';
import { type Disk, readExactly } from '../disk.ts';
import { ALIGNMENT, COMMIT_ID_SIZE, type IntegrityLayout, TABLE_SECTORS, UNIT } from './layout.ts';

/** A journal as it was found. */
export interface Journal {
  /** Of each sector of data that is newer in the journal, by its place among the data in bytes: the number of its entry. */
  readonly newer: ReadonlyMap<number, number>;
}

/** A sector out of the journal. */
export interface JournalSector {
  readonly cipher: Uint8Array;
  readonly tag: Uint8Array;
}

/** The four commit ids go round: 0x1111…, 0x2222…, 0x3333…, 0x4444…, with the sector XORed into the low half, the section into the high. */
const SEQUENCES = [0, 1, 2, 3] as const;
const COMMIT_ID_STEP = 0x11111111;

/** High half of the sector number of an entry that holds nothing. */
const UNUSED = 0xffffffff;

/** Yields the sections of an empty journal. */
export function* freshJournal({ journal }: IntegrityLayout): Generator<Uint8Array> {
  const { sections, sectionSize, entries } = journal;
  for (let section = 0; section < sections; section++) {
    const out = new DataView(new ArrayBuffer(sectionSize));
    for (let sector = 0; sector < sectionSize / UNIT; sector++) {
      const at = (sector + 1) * UNIT - COMMIT_ID_SIZE;
      out.setUint32(at, halfOfId(0, sector), true);
      out.setUint32(at + 4, halfOfId(0, section), true);
    }
    for (let entry = 0; entry < entries; entry++) out.setUint32(entryPlace(journal, entry) + 4, UNUSED, true);
    yield new Uint8Array(out.buffer);
  }
}

/**
 * Reads a journal as the kernel does before it replays it.
 *
 * @param offset where the segment starts on the disk
 * @throws `format` for commit ids and entries that the kernel never writes, `io`
 */
export async function readJournal(disk: Disk, offset: number, layout: IntegrityLayout): Promise<Journal> {
  const states: SectionState[] = [];
  for (let section = 0; section < layout.journal.sections; section++) {
    states.push(sectionState(await readSection(disk, offset, layout, section), section, layout));
  }
  const newer = new Map<number, number>();
  for (const section of sectionsToReplay(states)) {
    const bytes = await readSection(disk, offset, layout, section);
    for (const [at, entry] of usedEntries(bytes, layout)) newer.set(at, section * layout.journal.entries + entry);
  }
  return { newer };
}

/** Reads the sector that an entry is for; throws `format` when the disk ends before, `io`. */
export async function readJournalSector(
  disk: Disk,
  offset: number,
  layout: IntegrityLayout,
  number: number,
): Promise<JournalSector> {
  const { journal, sectorSize, tagSize } = layout;
  const [section, entry] = [Math.floor(number / journal.entries), number % journal.entries];
  const start = offset + ALIGNMENT + section * journal.sectionSize;
  const record = await readExactly(disk, start + entryPlace(journal, entry), journal.entrySize, 'the journal');
  const data = start + TABLE_SECTORS * UNIT + entry * sectorSize;
  const cipher = await readExactly(disk, data, sectorSize, 'the journal');
  // Its last bytes gave way to commit ids.
  const tagAt = 8 + (sectorSize / UNIT) * COMMIT_ID_SIZE;
  for (let unit = 0; unit < sectorSize / UNIT; unit++) {
    const displaced = record.subarray(8 + unit * COMMIT_ID_SIZE, 8 + (unit + 1) * COMMIT_ID_SIZE);
    cipher.set(displaced, (unit + 1) * UNIT - COMMIT_ID_SIZE);
  }
  return { cipher, tag: record.slice(tagAt, tagAt + tagSize) };
}

/** What replaying needs to know of a section. */
interface SectionState {
  /** Of its sectors, as bits; several after a crash in the middle of writing it. */
  readonly sequences: number;
  readonly empty: boolean;
}

function sectionState(bytes: Uint8Array, section: number, layout: IntegrityLayout): SectionState {
  const view = viewOf(bytes);
  let sequences = 0;
  for (let sector = 0; sector < bytes.length / UNIT; sector++) {
    const at = (sector + 1) * UNIT - COMMIT_ID_SIZE;
    const [low, high] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    const sequence = SEQUENCES.find((one) => halfOfId(one, sector) === low && halfOfId(one, section) === high);
    if (sequence === undefined) throw invalid(`sector ${sector} of section ${section} has no commit id`);
    sequences |= 1 << sequence;
  }
  const empty = ![...entryNumbers(bytes, layout)].some(({ high }) => high !== UNUSED);
  return { sequences, empty };
}

/** Returns the sections whose entries count, oldest first. */
function sectionsToReplay(states: readonly SectionState[]): readonly number[] {
  const last = states.map((_, i) => i).reverse();
  const newest = SEQUENCES.map((sequence) => last.find((i) => has(states[i], sequence)));
  const isUsed = (sequence: number): boolean => newest[sequence] !== undefined;
  const lastUsed = before(firstUnused(isUsed));
  let wanted = before(lastUsed);
  const overtaken = !isUsed(wanted) && isUsed(before(wanted));
  if (overtaken || states.every(({ empty }) => empty)) return [];
  const sections: number[] = [];
  let section = (newest[lastUsed] ?? 0) + 1;
  while (sections.length < states.length) {
    if (section >= states.length) {
      section = 0;
      wanted = (wanted + 1) % SEQUENCES.length;
    }
    // A section that was not written to its end does not count, nor does what would come after it.
    if (states[section]?.sequences !== 1 << wanted) break;
    sections.push(section);
    section++;
  }
  return sections;
}

const has = (state: SectionState | undefined, sequence: number): boolean =>
  ((state?.sequences ?? 0) >> sequence) % 2 === 1;

function before(sequence: number): number {
  return (sequence + SEQUENCES.length - 1) % SEQUENCES.length;
}

/** Returns the sequence number that comes next, the first behind those in use; throws `format` when all are in use. */
function firstUnused(isUsed: (sequence: number) => boolean): number {
  const unused = isUsed(3) ? SEQUENCES.find((sequence) => !isUsed(sequence)) : [3, 2, 1].find((one) => isUsed(one - 1));
  if (unused === undefined) throw invalid('all four commit ids are in use');
  return unused;
}

/** Yields the place of the data, and the number, of each entry in use. Throws `format` for one in the middle of a sector. */
function* usedEntries(bytes: Uint8Array, layout: IntegrityLayout): Generator<readonly [number, number]> {
  for (const { entry, low, high } of entryNumbers(bytes, layout)) {
    const at = (high * 2 ** 32 + low) * UNIT;
    // As the kernel passes by what is unused, or beyond the end.
    if (at >= layout.dataSize) continue;
    if (at % layout.sectorSize !== 0) throw invalid(`an entry is for ${low}, in the middle of a sector`);
    yield [at, entry];
  }
}

function* entryNumbers(
  bytes: Uint8Array,
  { journal }: IntegrityLayout,
): Generator<{ readonly entry: number; readonly low: number; readonly high: number }> {
  const view = viewOf(bytes);
  for (let entry = 0; entry < journal.entries; entry++) {
    const at = entryPlace(journal, entry);
    yield { entry, low: view.getUint32(at, true), high: view.getUint32(at + 4, true) };
  }
}

/** Place of an entry in its section: they go round the sectors of the table. */
function entryPlace({ entrySize }: IntegrityLayout['journal'], entry: number): number {
  return (entry % TABLE_SECTORS) * UNIT + Math.floor(entry / TABLE_SECTORS) * entrySize;
}

/** Returns the low half of a commit id for a sector, the high half for a section. */
function halfOfId(sequence: number, sectorOrSection: number): number {
  return ((COMMIT_ID_STEP * (sequence + 1)) ^ sectorOrSection) >>> 0;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

async function readSection(
  disk: Disk,
  offset: number,
  { journal }: IntegrityLayout,
  section: number,
): Promise<Uint8Array> {
  return readExactly(disk, offset + ALIGNMENT + section * journal.sectionSize, journal.sectionSize, 'the journal');
}

function invalid(what: string): BootsealError {
  return new BootsealError('format', `integrity journal: ${what}`, {
    hint: 'the kernel refuses such a journal too: what was written last may be lost, and a backup is to be trusted more',
  });
}
