/** @module The records of a pax extended header (POSIX.1-2017, pax utility, "pax Extended Header"), which take the place of header fields. */

import { BootsealError } from '../errors.ts';
import { quoted } from '../luks/quote.ts';
import { ARCHIVE_AGAIN } from './entry.ts';
import { latin1, latin1Bytes } from './tar-header.ts';

/** Keys and values, one letter a byte. */
export type PaxRecords = ReadonlyMap<string, string>;

/** Reads the records. Throws `format` naming `where` for one that is broken, and for a key that stands there twice. */
export function parsePax(bytes: Uint8Array, where: string): PaxRecords {
  const text = latin1(bytes);
  const records = new Map<string, string>();
  for (let at = 0; at < text.length; ) {
    const length = /^[1-9][0-9]{0,8}(?= )/.exec(text.slice(at, at + 10))?.[0];
    const end = at + Number(length);
    if (length === undefined || end > text.length || text[end - 1] !== '\n') throw broken(where, at);
    const record = text.slice(at + length.length + 1, end - 1);
    const equals = record.indexOf('=');
    if (equals <= 0) throw broken(where, at);
    const key = record.slice(0, equals);
    // Of two, readers take one or the other.
    if (records.has(key))
      throw new BootsealError('format', `${where}: ${quoted(key)} stands there twice`, ARCHIVE_AGAIN);
    records.set(key, record.slice(equals + 1));
    at = end;
  }
  return records;
}

/** Returns the bytes of records, of which each begins with its own length. */
export function encodePax(records: PaxRecords): Uint8Array {
  const encode = ([key, value]: readonly [string, string]): string => {
    const body = ` ${key}=${value}\n`;
    let length = body.length + 1;
    while (`${length}`.length + body.length !== length) length = `${length}`.length + body.length;
    return `${length}${body}`;
  };
  return latin1Bytes([...records].map(encode).join(''));
}

/** Returns a time as {@link paxTime} reads it. */
export function paxTimeText({ seconds, nanoseconds }: Time): string {
  const below = seconds < 0 && nanoseconds > 0;
  const [whole, rest] = below ? [seconds + 1, 1_000_000_000 - nanoseconds] : [seconds, nanoseconds];
  return `${below || whole < 0 ? '-' : ''}${Math.abs(whole)}.${`${rest}`.padStart(9, '0')}`;
}

function broken(where: string, at: number): BootsealError {
  return new BootsealError('format', `${where}: broken pax record at byte ${at}`, ARCHIVE_AGAIN);
}

/** Returns a whole number in decimal; undefined when there is none. Throws `format`. */
export function paxInteger(records: PaxRecords, key: string, where: string): number | undefined {
  const text = paxValue(records, key);
  if (text === undefined) return undefined;
  const number = /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(number)) throw new BootsealError('format', `${where}: ${key} is no number`, ARCHIVE_AGAIN);
  return number;
}

/** A moment since 1970. */
export interface Time {
  readonly seconds: number;
  /** 0 to 999999999. */
  readonly nanoseconds: number;
}

/** Returns a time in seconds with a fraction; undefined when there is none. Throws `format`. */
export function paxTime(records: PaxRecords, key: string, where: string): Time | undefined {
  const text = paxValue(records, key);
  if (text === undefined) return undefined;
  const parts = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(text);
  if (parts === null) throw new BootsealError('format', `${where}: ${key} is no time`, ARCHIVE_AGAIN);
  const nanoseconds = Number((parts[3] ?? '').slice(0, 9).padEnd(9, '0'));
  const seconds = Number(parts[2]);
  if (parts[1] === '') return { seconds, nanoseconds };
  return nanoseconds === 0
    ? { seconds: -seconds || 0, nanoseconds }
    : { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

/** An empty value stands for none. */
export function paxValue(records: PaxRecords, key: string): string | undefined {
  const text = records.get(key);
  return text === '' ? undefined : text;
}
