/**
 * @module The header block of a tar entry: POSIX.1-2017, pax utility, "ustar Interchange Format", and GNU tar's variation of it
 * (GNU tar manual, "Basic Tar Format").
 */

import { bytes, layout, reserved } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { ARCHIVE_AGAIN } from './entry.ts';

/** Bytes of a header, and the multiple that contents are filled up to. */
export const TAR_BLOCK = 512;

/** The fields as bytes: names need no zero at their end, and numbers come in several notations. */
const Fields = layout('tar header', {
  name: bytes(100),
  mode: bytes(8),
  uid: bytes(8),
  gid: bytes(8),
  size: bytes(12),
  mtime: bytes(12),
  checksum: bytes(8),
  type: bytes(1),
  linkname: bytes(100),
  magic: bytes(8),
  owners: reserved(64),
  devmajor: bytes(8),
  devminor: bytes(8),
  prefix: bytes(155),
  padding: reserved(12),
});

/** A header as it stands in its block. Texts have one letter a byte. */
export interface TarHeader {
  readonly name: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  /** The letter that says what the entry is. */
  readonly type: string;
  readonly linkname: string;
  readonly device: { readonly major: number; readonly minor: number };
}

/** Says whether these bytes begin with a header, which has the magic or the right checksum; {@link decodeTarHeader} says what is wrong with one that lacks the other. */
export function isTar(start: Uint8Array): boolean {
  if (start.length < TAR_BLOCK) return false;
  const block = start.subarray(0, TAR_BLOCK);
  const fields = Fields.unpack(block);
  if (latin1(fields.magic).startsWith('ustar')) return true;
  try {
    return decodeNumber(fields.checksum, 'checksum') === checksum(block);
  } catch {
    return false;
  }
}

/** Decodes a header block. Throws `format` naming `where` for a wrong checksum, another format, and numbers that are none. */
export function decodeTarHeader(block: Uint8Array, where: string): TarHeader {
  const fields = Fields.unpack(block);
  const number = (name: 'mode' | 'uid' | 'gid' | 'size' | 'mtime' | 'checksum' | 'devmajor' | 'devminor') =>
    decodeNumber(fields[name], `${where}: ${name}`);
  if (number('checksum') !== checksum(block))
    throw new BootsealError('format', `${where}: wrong checksum`, ARCHIVE_AGAIN);
  const magic = latin1(fields.magic);
  if (magic !== USTAR && magic !== GNU) {
    throw new BootsealError('format', `${where}: neither the POSIX nor the GNU format of tar`, ARCHIVE_AGAIN);
  }
  // GNU tar keeps other things where POSIX has the prefix.
  const prefix = magic === USTAR ? text(fields.prefix) : '';
  return {
    name: prefix === '' ? text(fields.name) : `${prefix}/${text(fields.name)}`,
    mode: number('mode'),
    uid: number('uid'),
    gid: number('gid'),
    size: number('size'),
    mtime: number('mtime'),
    type: latin1(fields.type),
    linkname: text(fields.linkname),
    device: { major: number('devmajor'), minor: number('devminor') },
  };
}

/** Encodes a header block in the format of POSIX. Throws `format` for what does not fit: texts of more than 100 bytes, large numbers. */
export function encodeTarHeader(header: TarHeader): Uint8Array {
  const octal = (value: number, size: number) => fill(value.toString(8).padStart(size - 1, '0'), size, true);
  const { device } = header;
  const fields = {
    name: fill(header.name, 100),
    mode: octal(header.mode, 8),
    uid: octal(header.uid, 8),
    gid: octal(header.gid, 8),
    size: octal(header.size, 12),
    mtime: octal(header.mtime, 12),
    checksum: fill('', 8),
    type: fill(header.type, 1),
    linkname: fill(header.linkname, 100),
    magic: fill(USTAR, 8),
    devmajor: octal(device.major, 8),
    devminor: octal(device.minor, 8),
    prefix: fill('', 155),
  };
  const sum = checksum(Fields.pack(fields));
  return Fields.pack({ ...fields, checksum: octal(sum, 8) });
}

/** A text in a field, with a zero at its end where there must be one. */
function fill(text: string, size: number, ended = false): Uint8Array {
  if (text.length > size - (ended ? 1 : 0)) {
    throw new BootsealError('format', `tar header: ${text.length} bytes in a field of ${size}`, {
      hint: 'long names and large numbers belong into records before the header',
    });
  }
  const field = new Uint8Array(size);
  field.set(latin1Bytes(text));
  return field;
}

const USTAR = 'ustar\u000000';
const GNU = 'ustar  \0';

const CHECKSUM_AT = 148;
const CHECKSUM_END = 156;

/** The sum of all bytes, with blanks in place of the checksum. */
function checksum(block: Uint8Array): number {
  let sum = 0x20 * (CHECKSUM_END - CHECKSUM_AT);
  for (let at = 0; at < TAR_BLOCK; at++) {
    if (at < CHECKSUM_AT || at >= CHECKSUM_END) sum += block[at] ?? 0;
  }
  return sum;
}

/** Octal digits, with blanks before and a blank or zero after, or base 256 where the first bit is set (GNU tar, src/list.c). */
function decodeNumber(field: Uint8Array, where: string): number {
  const first = field[0] ?? 0;
  if (first >= 0x80) return base256(field, first, where);
  const digits = /^ *([0-7]*)[ \0]*$/.exec(latin1(field))?.[1];
  if (digits === undefined) throw new BootsealError('format', `${where}: no octal number`, ARCHIVE_AGAIN);
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}

/** A number in two's complement, of which the first bit of all is not part. */
function base256(field: Uint8Array, first: number, where: string): number {
  const negative = (first & 0x40) !== 0;
  let value = BigInt(first & 0x3f) - (negative ? 0x40n : 0n);
  for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
  const number = Number(value);
  if (!Number.isSafeInteger(number))
    throw new BootsealError('format', `${where}: a number beyond all limits`, ARCHIVE_AGAIN);
  return number;
}

/** The bytes up to a zero. */
function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  return latin1(end === -1 ? field : field.subarray(0, end));
}

/** Returns the bytes of a text of one letter a byte. */
export const latin1Bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

const PIECE = 4096;

/** Returns bytes as a text of one letter a byte: names in Linux are bytes, and not always UTF-8. */
export function latin1(field: Uint8Array): string {
  let letters = '';
  for (let at = 0; at < field.length; at += PIECE) letters += String.fromCharCode(...field.subarray(at, at + PIECE));
  return letters;
}
