/**
 * @module The secret table: what lies in plain in the guest's secret area. A header (GUID, length of everything without the
 * padding), then entries (GUID, length, value) without gaps, then zeros up to whole blocks.
 *
 * Written for the strictest reader, Linux's efi_secret (drivers/virt/coco/efi_secret/efi_secret.c), which shows nothing at all
 * when one entry is wrong, and silently drops what comes after the 64th.
 */
import { bytes, layout, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type Guid, guidFromBytes, guidToBytes, NULL_GUID, parseGuid } from '../guid.ts';
import { BLOCK } from './limits.ts';
import { DISK_PASSPHRASE, guidWarning } from './names.ts';

/** GUID that a secret table begins with. */
export const TABLE_HEADER_GUID: Guid = '1e74f542-71dd-4d66-963e-ef4287ff173b';

/** Entries that Linux shows at most. */
export const MAX_ENTRIES = 64;

/** The head of the table and of every entry; `length` counts the head. */
export const TableHead = layout('secret table', { guid: bytes(16), length: u32le });

/** A secret as the owner gives it. */
export interface OwnerSecret {
  readonly guid: Guid;
  readonly value: Uint8Array;
  /** `raw`: these bytes. `nul`: these and a zero byte, which readers of C strings (GRUB) need and others take for a part of it. */
  readonly form: 'raw' | 'nul';
}

/** Where a table must fit. */
export interface TableRoom {
  /** Bytes that the table may have; see secretRoom. */
  readonly room: number;
  /** Fills the room with zeros, so that the packet's length does not tell the secrets' lengths. */
  readonly pad?: boolean;
}

/** Returns the table, a multiple of 16 bytes. Throws `usage` for secrets that a guest would not see, or not as they are. */
export function buildSecretTable(given: readonly OwnerSecret[], { room, pad = false }: TableRoom): Uint8Array {
  const secrets = given.map(lowerCase);
  checkRoom(room);
  if (secrets.length === 0)
    throw new BootsealError('usage', 'secret table: no secret was given', { hint: 'give at least one' });
  if (secrets.length > MAX_ENTRIES) {
    throw new BootsealError('usage', `secret table: ${secrets.length} entries, a guest sees only ${MAX_ENTRIES}`, {
      hint: 'put several into one secret, or inject a key and keep the rest on the encrypted disk',
    });
  }
  const seen = new Set<Guid>();
  for (const secret of secrets) {
    checkSecret(secret);
    if (seen.has(secret.guid)) {
      throw new BootsealError('usage', `secret table: two secrets for ${secret.guid}`, {
        hint: 'a Linux guest would see no secret at all: give each a GUID of its own, or put both values into one secret',
      });
    }
    seen.add(secret.guid);
  }
  const length = secrets.reduce((sum, secret) => sum + entryLength(secret), TableHead.size);
  const padded = Math.ceil(length / BLOCK) * BLOCK;
  if (padded > room) {
    throw new BootsealError('usage', `secret table: ${padded} bytes, the firmware's secret area takes ${room}`, {
      hint: 'inject a key instead, and keep what it opens on the encrypted disk',
    });
  }
  return write(secrets, length, new Uint8Array(pad ? room - (room % BLOCK) : padded));
}

/** GUIDs may be written in either case, and are compared. */
const lowerCase = (secret: OwnerSecret): OwnerSecret => ({ ...secret, guid: parseGuid(secret.guid) });

function checkRoom(room: number): void {
  if (Number.isSafeInteger(room) && room >= 0) return;
  throw new BootsealError('usage', `secret table: a room of ${room} bytes`, {
    hint: "take it from the firmware's secret area, with secretRoom",
  });
}

function checkSecret({ guid, value, form }: OwnerSecret): void {
  if (guid === NULL_GUID)
    throw new BootsealError('usage', `secret table: ${guid} marks a deleted entry`, {
      hint: 'make a GUID of its own for it, with uuidgen',
    });
  if (guid === TABLE_HEADER_GUID) {
    throw new BootsealError('usage', `secret table: ${guid} is the header of the table, not of a secret`, {
      hint: 'make a GUID of its own for it, with uuidgen',
    });
  }
  if (value.length === 0) {
    throw new BootsealError('usage', `secret table: the secret for ${guid} is empty`, {
      hint: 'look whether the file that it came from was written',
    });
  }
  if (form === 'nul' && value.includes(0)) {
    throw new BootsealError('usage', `secret table: the secret for ${guid} has a zero byte before its end`, {
      hint: 'a reader of NUL-terminated text would stop there: give it raw',
    });
  }
}

const entryLength = ({ value, form }: OwnerSecret): number => TableHead.size + value.length + (form === 'nul' ? 1 : 0);

function write(secrets: readonly OwnerSecret[], length: number, out: Uint8Array): Uint8Array {
  TableHead.encode({ guid: guidToBytes(TABLE_HEADER_GUID), length }, out, 0, TableHead.name);
  let at = TableHead.size;
  for (const secret of secrets) {
    TableHead.encode({ guid: guidToBytes(secret.guid), length: entryLength(secret) }, out, at, secret.guid);
    out.set(secret.value, at + TableHead.size);
    at += entryLength(secret);
  }
  return out;
}

/** Returns what an owner should know about secrets that can be built but may not do what is meant; never a value. */
export function secretWarnings(secrets: readonly OwnerSecret[]): readonly string[] {
  return secrets.map(lowerCase).flatMap(({ guid, value, form }) => {
    const about = guidWarning(guid);
    const warnings = about === undefined ? [] : [about];
    if (guid !== DISK_PASSPHRASE || form !== 'raw') return warnings;
    if (value.at(-1) === 0x0a) warnings.push(`the disk passphrase (${guid}) ends in a newline, which is a part of it`);
    if (value.at(-1) === 0) warnings.push(`the disk passphrase (${guid}) ends in a zero byte, which is a part of it`);
    return warnings;
  });
}

/** One entry that was read. */
export interface TableEntry {
  readonly guid: Guid;
  /** A copy; may be empty. */
  readonly value: Uint8Array;
}

/** A table that was read. */
export interface SecretTable {
  /** Without the deleted ones. */
  readonly entries: readonly TableEntry[];
  /** How many entries have the NULL GUID: wiped by the guest, or filler. */
  readonly deleted: number;
  /** What the header says, bytes; what lies behind is padding. */
  readonly length: number;
}

/**
 * Reads a table from the start of `area` by the rules of Linux's driver, and refuses also what that driver drops silently. Fewer
 * than 20 bytes after the last entry are no entry but padding that some writers count in. Throws `format`.
 */
export function parseSecretTable(area: Uint8Array): SecretTable {
  if (area.length < TableHead.size) {
    throw refusal(`header: needs ${TableHead.size} bytes, only ${area.length} are there`);
  }
  const { guid, length } = readHead(area, 0);
  if (guid !== TABLE_HEADER_GUID) throw refusal(`the header's GUID is ${guid}, not ${TABLE_HEADER_GUID}`);
  if (length < TableHead.size) throw refusal(`the header's length ${length} is less than the header`);
  if (length > area.length)
    throw refusal(`the header's length ${length} is more than the ${area.length} bytes there are`);
  const entries = new Map<Guid, TableEntry>();
  let deleted = 0;
  let at: number = TableHead.size;
  while (length - at >= TableHead.size) {
    const where = `entry ${entries.size + deleted + 1} at byte ${at}`;
    const entry = readHead(area, at);
    if (entry.length < TableHead.size) throw refusal(`${where}: its length ${entry.length} is less than its head`);
    if (entry.length > length - at) throw refusal(`${where}: its length ${entry.length} reaches beyond the table`);
    const value = new Uint8Array(area.subarray(at + TableHead.size, at + entry.length));
    at += entry.length;
    if (entry.guid === NULL_GUID) {
      deleted++;
      continue;
    }
    if (entries.has(entry.guid)) throw refusal(`${where}: a second entry for ${entry.guid}`);
    if (entries.size === MAX_ENTRIES) throw refusal(`${where}: more than ${MAX_ENTRIES} entries`);
    entries.set(entry.guid, { guid: entry.guid, value });
  }
  return { entries: [...entries.values()], deleted, length };
}

/** Reads the head of a table or entry at `at`; throws `format` when it does not fit. */
export function readHead(area: Uint8Array, at: number): { readonly guid: Guid; readonly length: number } {
  const { guid, length } = TableHead.unpack(area, at);
  return { guid: guidFromBytes(guid), length };
}

const refusal = (reason: string): BootsealError =>
  new BootsealError('format', `secret table: ${reason}`, {
    hint: 'make the table with secret build: guests with Linux would not show this one as it is meant',
  });
