/** @module The superblock of dm-integrity, at the start of a segment with tags (Linux, drivers/md/dm-integrity.c, struct superblock). */
import { bytes, layout, magic, reserved, u8, u16le, u32le, u64le } from '../../bytes.ts';
import { BootsealError } from '../../errors.ts';
import { encodeUtf8 } from '../../utf8.ts';
import { ALIGNMENT, type IntegrityLayout, integrityLayout, UNIT } from './layout.ts';

/** Bytes. */
export const SUPERBLOCK_SIZE = 4096;

const Superblock = layout('integrity superblock', {
  magic: magic(encodeUtf8('integrt\0')),
  version: u8,
  log2Interleave: u8,
  tagSize: u16le,
  journalSections: u32le,
  providedSectors: u64le,
  flags: u32le,
  log2SectorsPerBlock: u8,
  log2BlocksPerBitmapBit: u8,
  padding: reserved(2),
  recalculated: u64le,
  padding2: reserved(8),
  salt: bytes(16),
});

/** Flags: the runs of tags are rounded up to 4096 bytes; the MACs of the journal, of which LUKS2 has none here, are better. */
const FIXED_PADDING = 0x8;
const FIXED_HMAC = 0x10;

/** Of a superblock with nothing but FIXED_PADDING, and the newest whose tags stand beside the data (6: in the disk's own metadata). */
const VERSION = 4;
const MAX_VERSION = 5;

/** The kernel's limits of log2Interleave. */
const INTERLEAVES = { min: 3, max: 31 };

/** What runs of tags were rounded up to before FIXED_PADDING; bytes. */
const OLD_PADDING = UNIT << 8;

/** The kernel stops at 64 MiB unless asked for more, which cryptsetup does not do for LUKS2; bytes. */
const MAX_JOURNAL = 256 << 20;

/** The bitmap, which LUKS2 does not use: what the kernel writes there. */
const SECTORS_PER_BITMAP_BIT = 15;

/** Returns the superblock of a new device. */
export function encodeSuperblock({ sectorSize, tagSize, journal, interleave, dataSize }: IntegrityLayout): Uint8Array {
  const log2SectorsPerBlock = Math.log2(sectorSize / UNIT);
  const out = new Uint8Array(SUPERBLOCK_SIZE);
  out.set(
    Superblock.pack({
      version: VERSION,
      log2Interleave: Math.log2(interleave / UNIT),
      tagSize,
      journalSections: journal.sections,
      providedSectors: BigInt(dataSize / UNIT),
      flags: FIXED_PADDING,
      log2SectorsPerBlock,
      log2BlocksPerBitmapBit: SECTORS_PER_BITMAP_BIT - log2SectorsPerBlock,
      recalculated: 0n,
      salt: new Uint8Array(16),
    }),
  );
  return out;
}

/**
 * Reads a superblock.
 *
 * @param start the first 4096 bytes of the segment
 * @param wanted what the LUKS2 header says of the tags
 * @param size bytes of the segment, which everything must fit into
 * @throws `format` naming the rule that is broken
 */
export function readSuperblock(
  start: Uint8Array,
  wanted: { readonly sectorSize: number; readonly tagSize: number },
  size: number,
): IntegrityLayout {
  const found = Superblock.unpack(start);
  checkSuperblock(found, wanted);
  // Before it becomes an ordinary number.
  if (found.providedSectors > BigInt(Math.floor(size / UNIT))) throw tooLarge(size);
  const places = integrityLayout({
    ...wanted,
    journalSections: found.journalSections,
    interleave: UNIT * 2 ** found.log2Interleave,
    padding: (found.flags & FIXED_PADDING) === 0 ? OLD_PADDING : ALIGNMENT,
    dataSize: Number(found.providedSectors) * UNIT,
  });
  if (places.startSize > MAX_JOURNAL) {
    throw invalid(`the journal of ${found.journalSections} sections is longer than ${MAX_JOURNAL} bytes`);
  }
  if (places.size > size) throw tooLarge(size);
  if (places.dataSize === 0 || places.dataSize % wanted.sectorSize !== 0) {
    throw invalid(`data of ${places.dataSize} bytes are not a whole number of sectors of ${wanted.sectorSize}`);
  }
  return places;
}

function checkSuperblock(
  found: ReturnType<typeof Superblock.unpack>,
  wanted: { readonly sectorSize: number; readonly tagSize: number },
): void {
  const { version, flags, log2Interleave, tagSize, log2SectorsPerBlock, journalSections } = found;
  if (version === 0 || version > MAX_VERSION) throw invalid(`version ${version} is not known`);
  const others = (flags & ~(FIXED_PADDING | FIXED_HMAC)) >>> 0;
  if (others !== 0) throw invalid(`the flags 0x${others.toString(16)} are not known`);
  if (log2Interleave < INTERLEAVES.min || log2Interleave > INTERLEAVES.max) {
    throw invalid(`runs of 2^${log2Interleave} sectors do not exist`);
  }
  if (tagSize !== wanted.tagSize) {
    throw invalid(`tags of ${tagSize} bytes, while the cipher of the header makes ${wanted.tagSize}`);
  }
  if (UNIT * 2 ** log2SectorsPerBlock !== wanted.sectorSize) {
    throw invalid(`sectors of 2^${log2SectorsPerBlock} units, while the header says ${wanted.sectorSize} bytes`);
  }
  if (journalSections === 0) throw invalid('there is no journal');
}

function tooLarge(size: number): BootsealError {
  return invalid(`journal, tags and data do not fit into the ${size} bytes of the segment`);
}

function invalid(what: string): BootsealError {
  return new BootsealError('format', `integrity superblock: ${what}`, {
    hint: 'the start of the data was damaged or changed: take a copy of the image that you made yourself',
  });
}
