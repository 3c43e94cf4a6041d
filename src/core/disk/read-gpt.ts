/**
 * @module The GUID partition table of a disk that somebody else may have made: both tables must be right and agree, so that no
 * other reader sees other partitions than this one (UEFI 2.10, section 5.3).
 */
import { BootsealError } from '../errors.ts';
import { type Guid, guidFromBytes, NULL_GUID } from '../guid.ts';
import { type Disk, readExactly } from '../luks/disk.ts';
import { crc32 } from './crc32.ts';
import { BOOT_SIGNATURE, GptEntry, GptHeader, PROTECTIVE, ProtectiveMbr, REVISION } from './gpt.ts';

/** A partition as it was found. */
export interface Partition {
  /** From 1: its place in the table. */
  readonly number: number;
  readonly type: Guid;
  readonly guid: Guid;
  /** What the table says, which may be any text. */
  readonly name: string;
  /** Bytes from the start of the disk. */
  readonly at: number;
  /** Bytes. */
  readonly size: number;
  readonly attributes: bigint;
}

/** A table whose two copies are right and agree. */
export interface Gpt {
  readonly guid: Guid;
  /** Bytes. */
  readonly sectorSize: number;
  readonly partitions: readonly Partition[];
}

const SECTOR_SIZES = [512, 4096];
/** Tables have 128; a hostile one could ask for 4 thousand million. */
const MAX_ENTRIES = 1024;
const MAX_ENTRY_SIZE = 4096;

type Header = ReturnType<typeof GptHeader.unpack>;

/** Returns the table; undefined when the disk has none. Throws `format` when it has one that breaks a rule; `io`. */
export async function readGpt(disk: Disk): Promise<Gpt | undefined> {
  const start = await disk.read(0, 2 * 4096);
  const sectorSize = SECTOR_SIZES.find((size) => hasSignature(start, size));
  const mbr = start.length < ProtectiveMbr.size ? undefined : ProtectiveMbr.unpack(start);
  const isProtective = mbr?.magic === BOOT_SIGNATURE && mbr.type === PROTECTIVE;
  if (sectorSize === undefined) {
    if (isProtective) throw broken('a protective MBR is there, and no table behind it');
    return undefined;
  }
  if (!isProtective || mbr.startLba !== 1 || mbr.others.some((byte) => byte !== 0)) {
    throw broken('the MBR before the table does not just protect it: another reader could see other partitions');
  }
  const sectors = Math.floor(disk.size / sectorSize);
  const primary = await readTable(disk, sectorSize, 1, 'first table');
  const alternate = checkedNumber(primary.header.alternateLba, sectors, 'first table: place of the second');
  if (alternate <= 1) throw broken('the first table says that there is no second');
  const backup = await readTable(disk, sectorSize, alternate, 'second table');
  if (!agree(primary.header, backup.header)) throw broken('the two tables do not agree');
  const partitions = readEntries(primary.entries, primary.header, sectorSize);
  checkPlaces(partitions, primary.header, sectors, sectorSize);
  return { guid: guidFromBytes(primary.header.diskGuid), sectorSize, partitions };
}

function hasSignature(start: Uint8Array, at: number): boolean {
  return [...'EFI PART'].every((letter, i) => start[at + i] === letter.charCodeAt(0));
}

/** Reads one of the two tables, whose checksums must be right. */
async function readTable(disk: Disk, sectorSize: number, lba: number, where: string) {
  const sectors = Math.floor(disk.size / sectorSize);
  const sector = await readExactly(disk, lba * sectorSize, sectorSize, `the ${where}`);
  if (!hasSignature(sector, 0)) throw broken(`the ${where} is not there`);
  const header = GptHeader.unpack(sector);
  const { headerSize, entryCount, entrySize } = header;
  if (header.revision !== REVISION) throw broken(`the ${where} has an unknown revision`);
  if (headerSize < GptHeader.size || headerSize > sectorSize)
    throw broken(`the ${where} has a header of ${headerSize} bytes`);
  const hashed = sector.slice(0, headerSize);
  hashed.fill(0, GptHeader.offset.headerCrc, GptHeader.offset.headerCrc + 4);
  if (crc32(hashed) !== header.headerCrc) throw broken(`the checksum of the ${where} is wrong`);
  if (header.myLba !== BigInt(lba)) throw broken(`the ${where} says that it is elsewhere`);
  if (entryCount === 0 || entryCount > MAX_ENTRIES) throw broken(`the ${where} has ${entryCount} entries`);
  if (entrySize < GptEntry.size || entrySize > MAX_ENTRY_SIZE || entrySize % 8 !== 0) {
    throw broken(`the ${where} has entries of ${entrySize} bytes`);
  }
  const entriesLba = checkedNumber(header.entriesLba, sectors, `${where}: place of its entries`);
  const entries = await readExactly(
    disk,
    entriesLba * sectorSize,
    entryCount * entrySize,
    `the entries of the ${where}`,
  );
  if (crc32(entries) !== header.entriesCrc) throw broken(`the checksum of the entries of the ${where} is wrong`);
  return { header, entries };
}

/** What both must have in common; the same checksum of the entries means the same entries. */
function agree(a: Header, b: Header): boolean {
  const common = ({ firstUsableLba, lastUsableLba, diskGuid, entryCount, entrySize, entriesCrc }: Header) =>
    [firstUsableLba, lastUsableLba, guidFromBytes(diskGuid), entryCount, entrySize, entriesCrc].join();
  return common(a) === common(b) && a.myLba === b.alternateLba && a.alternateLba === b.myLba;
}

function readEntries(entries: Uint8Array, { entryCount, entrySize }: Header, sectorSize: number): readonly Partition[] {
  const found: Partition[] = [];
  for (let i = 0; i < entryCount; i++) {
    const { type, guid, firstLba, lastLba, attributes, name } = GptEntry.unpack(entries, i * entrySize);
    if (guidFromBytes(type) === NULL_GUID) continue;
    found.push({
      number: i + 1,
      type: guidFromBytes(type),
      guid: guidFromBytes(guid),
      name: utf16(name),
      // Beyond 2^53 they are wrong, and beyond every disk.
      at: Number(firstLba) * sectorSize,
      size: (Number(lastLba) - Number(firstLba) + 1) * sectorSize,
      attributes,
    });
  }
  return found;
}

function checkPlaces(partitions: readonly Partition[], header: Header, sectors: number, sectorSize: number): void {
  const first = checkedNumber(header.firstUsableLba, sectors, 'first usable sector') * sectorSize;
  const end = (checkedNumber(header.lastUsableLba, sectors, 'last usable sector') + 1) * sectorSize;
  let last: Partition | undefined;
  for (const partition of [...partitions].sort((a, b) => a.at - b.at)) {
    const { number, at, size } = partition;
    if (size <= 0) throw broken(`partition ${number} ends before it starts`);
    if (at < first || at + size > end) throw broken(`partition ${number} is not inside of what the table may use`);
    if (last !== undefined && last.at + last.size > at) throw broken(`partitions ${last.number} and ${number} overlap`);
    last = partition;
  }
}

function checkedNumber(lba: bigint, sectors: number, what: string): number {
  if (lba >= BigInt(sectors)) throw broken(`${what}: ${lba} is beyond the ${sectors} sectors of the disk`);
  return Number(lba);
}

function utf16(name: Uint8Array): string {
  let text = '';
  for (let i = 0; i + 1 < name.length; i += 2) {
    const unit = (name[i] ?? 0) | ((name[i + 1] ?? 0) << 8);
    if (unit === 0) break;
    text += String.fromCharCode(unit);
  }
  return text;
}

function broken(what: string): BootsealError {
  return new BootsealError('format', `partition table (GPT): ${what}`, {
    hint: 'sgdisk --verify says more; a disk that was made longer or shorter has its second table at the wrong place',
  });
}
