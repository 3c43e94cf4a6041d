/**
 * @module Declared fixed-size layouts: a structure is written once, in its specification's order, and gives size, offsets,
 * encoder and decoder. Bodies of variable length stay outside; a layout describes headers.
 */
import { BootsealError } from './errors.ts';
import { decodeUtf8, encodeUtf8 } from './utf8.ts';

/** One field: how many bytes it takes and how a value becomes those bytes and back. */
export interface Field<T> {
  /** Bytes. */
  readonly size: number;
  encode(value: T, out: Uint8Array, at: number, where: string): void;
  decode(bytes: Uint8Array, at: number, where: string): T;
}

/** A field that carries no value (reserved bytes, magic numbers): it does not appear in the decoded object. */
export interface SilentField extends Field<undefined> {
  readonly silent: true;
}

type Fields = Readonly<Record<string, Field<never> | Field<unknown> | SilentField>>;
type FieldValue<F> = F extends Field<infer T> ? T : never;

/** The object that a set of fields decodes to. */
export type Values<F> = { [K in keyof F as F[K] extends SilentField ? never : K]: FieldValue<F[K]> };

/** A declared structure; it is itself a field, so structures nest. */
export interface Layout<F> extends Field<Values<F>> {
  readonly name: string;
  readonly fields: F;
  /** Byte offset of each field from the start of the structure. */
  readonly offset: { readonly [K in keyof F]: number };
  /** Returns the structure's bytes. Throws `format` when a value does not fit its field. */
  pack(value: Values<F>): Uint8Array;
  /** Reads the structure at `at`; never aliases `bytes`. Throws `format` when it does not fit or breaks a rule. */
  unpack(bytes: Uint8Array, at?: number): Values<F>;
}

/**
 * Declares a structure.
 *
 * @example
 * const Entry = layout('Entry', { guid: bytes(16), length: u16le });
 */
export function layout<const F extends Fields>(name: string, fields: F): Layout<F> {
  const offset: Record<string, number> = {};
  let size = 0;
  for (const [key, field] of Object.entries(fields)) {
    offset[key] = size;
    size += field.size;
  }
  const entries = Object.entries(fields) as [string, Field<unknown>][];

  function encode(value: Values<F>, out: Uint8Array, at: number, where: string): void {
    for (const [key, field] of entries) {
      field.encode(
        (value as Record<string, unknown>)[key],
        out,
        at + (offset[key] ?? 0),
        where === '' ? key : `${where}.${key}`,
      );
    }
  }

  function decode(source: Uint8Array, at: number, where: string): Values<F> {
    if (at < 0 || source.length - at < size) {
      throw new BootsealError('format', `${where}: needs ${size} bytes at ${at}, only ${source.length} are there`, {
        hint: CUT,
      });
    }
    const value: Record<string, unknown> = {};
    for (const [key, field] of entries) {
      const decoded = field.decode(source, at + (offset[key] ?? 0), `${where}.${key}`);
      if (!('silent' in field)) value[key] = decoded;
    }
    return value as Values<F>;
  }

  return {
    name,
    fields,
    size,
    offset: offset as { readonly [K in keyof F]: number },
    encode,
    decode,
    pack(value) {
      const out = new Uint8Array(size);
      encode(value, out, 0, name);
      return out;
    },
    unpack(source, at = 0) {
      return decode(source, at, name);
    },
  };
}

const CUT = 'the data are cut short or of another kind: get them again from where they were made';
const RANGE = 'give a whole number that fits';

type ByteOrder = 'little' | 'big';

/** Position of the byte of weight 256 ** i in a number of `size` bytes. */
function position(i: number, size: number, order: ByteOrder): number {
  return order === 'little' ? i : size - 1 - i;
}

function unsigned(size: number, order: ByteOrder): Field<number> {
  return {
    size,
    encode(value, out, at, where) {
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
        throw new BootsealError('format', `${where}: ${value} does not fit in ${size} bytes`, { hint: RANGE });
      }
      let rest = value;
      for (let i = 0; i < size; i++) {
        out[at + position(i, size, order)] = rest % 256;
        rest = Math.floor(rest / 256);
      }
    },
    decode(source, at) {
      let value = 0;
      for (let i = size - 1; i >= 0; i--) value = value * 256 + (source[at + position(i, size, order)] ?? 0);
      return value;
    },
  };
}

/** One byte. */
export const u8: Field<number> = unsigned(1, 'little');
/** Two bytes, little-endian. */
export const u16le: Field<number> = unsigned(2, 'little');
/** Four bytes, little-endian. */
export const u32le: Field<number> = unsigned(4, 'little');
/** Two bytes, big-endian. */
export const u16be: Field<number> = unsigned(2, 'big');
/** Four bytes, big-endian. */
export const u32be: Field<number> = unsigned(4, 'big');

function unsigned64(order: ByteOrder): Field<bigint> {
  return {
    size: 8,
    encode(value, out, at, where) {
      if (typeof value !== 'bigint' || value < 0n || value >> 64n !== 0n) {
        throw new BootsealError('format', `${where}: ${value} does not fit in 8 bytes`, { hint: RANGE });
      }
      // In two numbers: a launch has thousands of these, and a bigint for every byte takes longer than to hash the page.
      const [low, high] = [Number(value & 0xffffffffn), Number(value >> 32n)];
      for (let i = 0; i < 4; i++) {
        out[at + position(i, 8, order)] = (low >>> (8 * i)) & 0xff;
        out[at + position(4 + i, 8, order)] = (high >>> (8 * i)) & 0xff;
      }
    },
    decode(source, at) {
      let value = 0n;
      for (let i = 7; i >= 0; i--) value = (value << 8n) | BigInt(source[at + position(i, 8, order)] ?? 0);
      return value;
    },
  };
}

/** Eight bytes, little-endian, as a bigint. */
export const u64le: Field<bigint> = unsigned64('little');
/** Eight bytes, big-endian, as a bigint. */
export const u64be: Field<bigint> = unsigned64('big');

/** Text in UTF-8, filled up with NULs to `size` bytes; at least one NUL ends it. */
export function text(size: number): Field<string> {
  return {
    size,
    encode(value, out, at, where) {
      const encoded = encodeUtf8(value);
      if (encoded.length >= size || encoded.includes(0)) {
        throw new BootsealError('format', `${where}: not a text of at most ${size - 1} bytes without NUL`, {
          hint: 'give a shorter text, without NUL',
        });
      }
      out.fill(0, at, at + size).set(encoded, at);
    },
    decode(source, at, where) {
      const field = source.subarray(at, at + size);
      const end = field.indexOf(0);
      if (end === -1) throw new BootsealError('format', `${where}: no NUL ends the text`, { hint: CUT });
      return decodeUtf8(field.subarray(0, end), where);
    },
  };
}

/** Exactly `size` raw bytes, copied in both directions. */
export function bytes(size: number): Field<Uint8Array> {
  return {
    size,
    encode(value, out, at, where) {
      if (value.length !== size) {
        throw new BootsealError('format', `${where}: needs ${size} bytes, got ${value.length}`, { hint: CUT });
      }
      out.set(value, at);
    },
    // Not slice(): that of node's Buffer would alias.
    decode: (source, at) => new Uint8Array(source.subarray(at, at + size)),
  };
}

/** Bytes that are written as zero and not looked at when read. */
export function reserved(size: number): SilentField {
  return { silent: true, size, encode() {}, decode: () => undefined };
}

/** Bytes that must have this value. */
export function magic(expected: Uint8Array): SilentField {
  return {
    silent: true,
    size: expected.length,
    encode(_value, out, at) {
      out.set(expected, at);
    },
    decode(source, at, where) {
      if (!expected.every((byte, i) => source[at + i] === byte)) {
        throw new BootsealError('format', `${where}: wrong magic number`, { hint: CUT });
      }
      return undefined;
    },
  };
}

/** Returns the parts one after another in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Compares without stopping at the first difference, so that timing does not tell how much of a secret value was right. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0);
  return difference === 0;
}

/** Overwrites key material with zeros; best effort, since a JavaScript engine may have copied it before. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}
