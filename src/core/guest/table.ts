/**
 * @module The secret table as a Linux guest sees it: what efi_secret shows of an area, and where it shows nothing, why (linux
 * drivers/virt/coco/efi_secret/efi_secret.c). The driver is all or nothing, and loading it succeeds whatever it found.
 */
import { BootsealError } from '../errors.ts';
import { type Guid, NULL_GUID } from '../guid.ts';
import { MAX_ENTRIES, readHead, TABLE_HEADER_GUID, type TableEntry, TableHead } from '../secret/table.ts';

/** Why Linux shows nothing. */
export interface Refusal {
  readonly code:
    | 'area-too-small'
    | 'no-table'
    | 'length-too-small'
    | 'length-too-big'
    | 'entry-corrupted'
    | 'duplicate-guid';
  /** What the driver's probe returns. */
  readonly errno: 'ENODEV' | 'EINVAL' | 'EEXIST';
  /** What it writes to the kernel log; null where it says nothing unless debugging is on. */
  readonly log: string | null;
  /** The same with the place and the numbers. */
  readonly reason: string;
}

/** An entry and where it lies. */
export interface PlacedEntry extends TableEntry {
  /** Where its head begins in the area, bytes. */
  readonly at: number;
}

/** What was found in an area. */
export interface GuestTable {
  /** What Linux shows: nothing where there is a refusal, else the first 64 entries. */
  readonly shown: readonly PlacedEntry[];
  readonly refusal: Refusal | null;
  /** All that can be read, from the start up to the first entry whose length is impossible; `shown` is a part of it. */
  readonly readable: readonly PlacedEntry[];
  /** Entries with the NULL GUID that were passed: erased ones, or filler. */
  readonly deleted: number;
  /** What the header says, bytes; 0 where there is none. */
  readonly length: number;
}

const CORRUPTED = 'EFI secret area is corrupted';

/** Reads an area by the rules of Linux's driver; never throws, whatever is in it. The values are copies. */
export function readGuestTable(area: Uint8Array): GuestTable {
  if (area.length < TableHead.size) {
    return nothing(0, {
      code: 'area-too-small',
      errno: 'EINVAL',
      log: 'Invalid secret area memory location',
      reason: `the area has ${area.length} bytes, less than the ${TableHead.size} of a header`,
    });
  }
  const { guid, length } = readHead(area, 0);
  const refusal = refuseHeader(area, guid, length);
  if (refusal?.code === 'no-table') return nothing(0, refusal);
  if (refusal?.code === 'length-too-small') return nothing(length, refusal);
  // What a table that is too long has within the area can still be read.
  const walked = walk(area, Math.min(length, area.length));
  const stopped = refusal ?? walked.refusal;
  return { ...walked, length, refusal: stopped, shown: stopped === null ? walked.readable.slice(0, MAX_ENTRIES) : [] };
}

function nothing(length: number, refusal: Refusal): GuestTable {
  return { shown: [], refusal, readable: [], deleted: 0, length };
}

function refuseHeader(area: Uint8Array, guid: Guid, length: number): Refusal | null {
  if (guid !== TABLE_HEADER_GUID) {
    const found = area.every((byte) => byte === 0) ? 'the area is empty' : `the area begins with ${guid}`;
    return { code: 'no-table', errno: 'ENODEV', log: null, reason: `${found}, not with ${TABLE_HEADER_GUID}` };
  }
  if (length < TableHead.size) {
    return {
      code: 'length-too-small',
      errno: 'EINVAL',
      log: 'EFI secret area reported length is too small',
      reason: `the header's length ${length} is less than the header`,
    };
  }
  if (length <= area.length) return null;
  return {
    code: 'length-too-big',
    errno: 'EINVAL',
    log: 'EFI secret area reported length is too big',
    reason: `the header's length ${length} is more than the ${area.length} bytes of the area`,
  };
}

function walk(area: Uint8Array, end: number): Pick<GuestTable, 'readable' | 'deleted' | 'refusal'> {
  const readable: PlacedEntry[] = [];
  const seen = new Set<Guid>();
  let refusal: Refusal | null = null;
  let deleted = 0;
  let at: number = TableHead.size;
  while (end - at >= TableHead.size) {
    const entry = readHead(area, at);
    const where = `entry ${readable.length + deleted + 1} at byte ${at}`;
    // The driver stops after so many entries, and so never sees what is wrong behind them.
    const isLookedAt = readable.length < MAX_ENTRIES;
    const wrong = wrongLength(entry.length, end - at);
    if (wrong !== null) {
      const reason = `${where}: its length ${entry.length} ${wrong}`;
      if (isLookedAt) refusal ??= { code: 'entry-corrupted', errno: 'EINVAL', log: CORRUPTED, reason };
      break;
    }
    if (entry.guid === NULL_GUID) deleted++;
    else {
      if (seen.has(entry.guid) && isLookedAt) refusal ??= duplicate(`${where}: a second entry for ${entry.guid}`);
      seen.add(entry.guid);
      readable.push({
        guid: entry.guid,
        at,
        value: new Uint8Array(area.subarray(at + TableHead.size, at + entry.length)),
      });
    }
    at += entry.length;
  }
  return { readable, deleted, refusal };
}

function wrongLength(length: number, left: number): string | null {
  if (length < TableHead.size) return 'is less than its head';
  return length > left ? 'reaches beyond the table' : null;
}

function duplicate(reason: string): Refusal {
  return { code: 'duplicate-guid', errno: 'EEXIST', log: 'Error creating efi_secret securityfs entry', reason };
}

/** Throws `format` with the reason where Linux would show nothing. */
export function requireShown({ refusal, readable }: GuestTable): void {
  if (refusal === null) return;
  const { errno, log, reason } = refusal;
  const said = log === null ? 'says nothing' : `logs "${log}"`;
  const hint =
    readable.length === 0
      ? 'whoever owns the launch prepares a new one and injects its secrets; in a file there must be a whole secret area'
      : `${readable.length} entries can be read with --salvage`;
  throw new BootsealError('format', `secret table: ${reason}; Linux's driver shows nothing and ${said} (${errno})`, {
    hint,
  });
}
