/** @module The data of an image: as large as their plaintext, read and decrypted a piece at a time. */

import { wipe } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type Disk, readExactly } from './disk.ts';
import { type Journal, readJournal, readJournalSector } from './integrity/journal.ts';
import { dataPlace, type IntegrityLayout, tagPlace } from './integrity/layout.ts';
import { readSuperblock, SUPERBLOCK_SIZE } from './integrity/superblock.ts';
import { openSector, type SealedSector, type SectorCrypto } from './integrity/tags.ts';
import { OWN_COPY } from './own-copy.ts';
import { cryptSectors } from './sectors.ts';
import type { DataSegment, PlainSegment, TaggedSegment } from './segment.ts';

/** Data without tags, which fill their segment. */
export interface PlainData {
  readonly segment: PlainSegment;
  /** Bytes of the plaintext. */
  readonly size: number;
}

/** Data with tags, which lie between these. */
export interface TaggedData {
  readonly segment: TaggedSegment;
  /** Bytes of the plaintext. */
  readonly size: number;
  readonly layout: IntegrityLayout;
  readonly journal: Journal;
}

export type ImageData = PlainData | TaggedData;

/** Some plaintext. */
export interface Piece {
  /** Place among the data, bytes. */
  readonly at: number;
  readonly plain: Uint8Array;
  /** What it was decrypted from; undefined for data with tags. */
  readonly cipher: Uint8Array | undefined;
  /** Places of the sectors that do not match their tags; in `plain` they are zeros. */
  readonly wrong: readonly number[];
}

/** Bytes; a multiple of every sector size. */
const PIECE = 1 << 20;

/** Looks at where the data are. Throws `format` when superblock or journal of data with tags break a rule, `io`. */
export async function openData(disk: Disk, segment: DataSegment): Promise<ImageData> {
  if (segment.tags === undefined) return { segment, size: segment.size };
  const { offset, sectorSize, tags } = segment;
  const start = await readExactly(disk, offset, SUPERBLOCK_SIZE, 'the integrity superblock');
  const layout = readSuperblock(start, { sectorSize, tagSize: tags.tagSize }, segment.size);
  return { segment, size: layout.dataSize, layout, journal: await readJournal(disk, offset, layout) };
}

/**
 * Yields all data in order, and which of them do not match their tags.
 *
 * @throws `format` when the disk ends before, or the key has another length than the header says of the data; `io`
 */
export async function* readPieces(
  disk: Disk,
  data: ImageData,
  volumeKey: Uint8Array,
  crypto: SectorCrypto,
): AsyncGenerator<Piece> {
  const { keySize } = data.segment;
  if (volumeKey.length !== keySize) {
    const lengths = `take a key of ${keySize} bytes, and the keyslot holds one of ${volumeKey.length}`;
    throw new BootsealError('format', `the data ${lengths}`, OWN_COPY);
  }
  for (let at = 0; at < data.size; ) {
    const piece = await readPiece(disk, data, at, volumeKey, crypto);
    yield piece;
    at += piece.plain.length;
  }
}

/** Returns the plaintext as a disk, with zeros in place of sectors that do not match their tags; its reading throws as {@link readPieces}. */
export function plainDisk(disk: Disk, data: ImageData, volumeKey: Uint8Array, crypto: SectorCrypto): Disk {
  const { sectorSize } = data.segment;
  return {
    size: data.size,
    async read(from, length) {
      const end = Math.min(from + length, data.size);
      const out = new Uint8Array(Math.max(0, end - from));
      for (let at = from - (from % sectorSize); at < end; ) {
        const most = Math.min(PIECE, Math.ceil((end - at) / sectorSize) * sectorSize);
        const { plain } = await readPiece(disk, data, at, volumeKey, crypto, most);
        const skipped = Math.max(0, from - at);
        out.set(plain.subarray(skipped, end - at), at + skipped - from);
        at += plain.length;
        wipe(plain);
      }
      return out;
    },
  };
}

/** Reads the sectors from `at`, a whole number of them: up to `most` bytes. */
function readPiece(
  disk: Disk,
  data: ImageData,
  at: number,
  volumeKey: Uint8Array,
  crypto: SectorCrypto,
  most = PIECE,
): Promise<Piece> {
  return 'layout' in data
    ? readTagged(disk, data, at, volumeKey, crypto, most)
    : readPlain(disk, data, at, volumeKey, crypto, most);
}

/**
 * Yields the plaintext in order. Nothing of a sector that does not match its tag, and nothing after it, comes out.
 *
 * @throws `mismatch` at the first such sector, `format` as {@link readPieces}, `io`
 */
export async function* readPlaintext(
  disk: Disk,
  data: ImageData,
  volumeKey: Uint8Array,
  crypto: SectorCrypto,
): AsyncGenerator<Uint8Array> {
  for await (const { plain, wrong } of readPieces(disk, data, volumeKey, crypto)) {
    const [first] = wrong;
    if (first !== undefined) {
      plain.fill(0);
      throw new BootsealError('mismatch', `${sectorName(first, data.segment)} does not match its tag`, {
        hint: 'it was changed, or never written, by someone without the key: image verify names all such sectors',
      });
    }
    yield plain;
  }
}

/** Names a sector in messages, by number and place among the data. */
export function sectorName(at: number, { sectorSize }: Pick<DataSegment, 'sectorSize'>): string {
  return `sector ${at / sectorSize} (${sectorSize} bytes at ${at} of the data)`;
}

async function readPlain(
  disk: Disk,
  { segment, size }: PlainData,
  at: number,
  key: Uint8Array,
  crypto: SectorCrypto,
  most: number,
): Promise<Piece> {
  const cipher = await readExactly(disk, segment.offset + at, Math.min(most, size - at), 'the data');
  return { at, plain: cryptSectors('decrypt', { ...segment, key }, cipher, at / 512, crypto), cipher, wrong: [] };
}

async function readTagged(
  disk: Disk,
  data: TaggedData,
  at: number,
  key: Uint8Array,
  crypto: SectorCrypto,
  most: number,
): Promise<Piece> {
  const { segment, layout, size } = data;
  const { sectorSize, interleave, tagSize } = layout;
  // Data and tags are each contiguous only up to the end of a run.
  const length = Math.min(most, size - at, interleave - (at % interleave));
  const cipher = await readExactly(disk, segment.offset + dataPlace(layout, at), length, 'the data');
  const tagsLength = (length / sectorSize) * tagSize;
  const tags = await readExactly(disk, segment.offset + tagPlace(layout, at), tagsLength, 'the tags');
  const plain = new Uint8Array(length);
  const wrong: number[] = [];
  for (let sector = 0; sector < length / sectorSize; sector++) {
    const place = at + sector * sectorSize;
    const entry = data.journal.newer.get(place);
    const sealed: SealedSector =
      entry === undefined
        ? {
            cipher: cipher.subarray(sector * sectorSize, (sector + 1) * sectorSize),
            tag: tags.subarray(sector * tagSize, (sector + 1) * tagSize),
          }
        : await readJournalSector(disk, segment.offset, layout, entry);
    const opened = openSector({ ...segment, key }, BigInt(place / 512), sealed, crypto);
    if (opened === undefined) wrong.push(place);
    else plain.set(opened, sector * sectorSize);
  }
  return { at, plain, cipher: undefined, wrong };
}
