/**
 * @module JSON (RFC 8259) as LUKS2 metadata uses it: strict, bounded against bombs, no key twice, no NUL in a string, integers told
 * apart from fractions, and the order of keys kept, so that what was read is printed back as it stood.
 */

import { BootsealError } from '../../errors.ts';
import { OWN_COPY } from '../own-copy.ts';
import { quoted } from '../quote.ts';

/** A number with a fraction or exponent; kept as its text, since no rule of LUKS2 allows one where it looks. */
export interface Fraction {
  readonly fraction: string;
}

/** An object; its keys in the order of the text. */
export type JsonObject = ReadonlyMap<string, JsonValue>;

/** A value; integers that a double cannot hold exactly are bigints. */
export type JsonValue = null | boolean | number | bigint | string | Fraction | readonly JsonValue[] | JsonObject;

/** The depth that json-c accepts (JSON_TOKENER_DEFAULT_DEPTH). */
const MAX_DEPTH = 32;
/** A header with 32 keyslots, tokens and segments stays far below. */
const MAX_VALUES = 1 << 16;

const BLANK = /[ \t\n\r]*/y;
const NUMBER = /^-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/;
/** Characters; no 64-bit integer needs more than 20. */
const MAX_NUMBER = 40;
const WORDS: readonly (readonly [string, JsonValue])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

/** Reads a JSON text that holds one value and nothing else. Throws `format` with the offset in characters. */
export function parseJson(text: string): JsonValue {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class Reader {
  readonly #text: string;
  #at = 0;
  #values = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): JsonValue {
    if (depth >= MAX_DEPTH) throw this.#error(`nested deeper than ${MAX_DEPTH}`);
    if (++this.#values > MAX_VALUES) throw this.#error(`more than ${MAX_VALUES} values`);
    this.#blank();
    const next = this.#text.charAt(this.#at);
    if (next === '{') return this.#object(depth);
    if (next === '[') return this.#array(depth);
    if (next === '"') return this.#string();
    for (const [word, value] of WORDS) if (this.#take(word)) return value;
    return this.#number();
  }

  end(): void {
    if (this.#at !== this.#text.length) throw this.#error('something follows the value');
  }

  #object(depth: number): JsonObject {
    const members = new Map<string, JsonValue>();
    this.#at += 1;
    this.#blank();
    if (this.#take('}')) return members;
    do {
      this.#blank();
      const key = this.#string();
      if (members.has(key)) throw this.#error(`the key ${quoted(key)} stands twice`);
      this.#blank();
      if (!this.#take(':')) throw this.#error('a colon is missing');
      members.set(key, this.value(depth + 1));
      this.#blank();
    } while (this.#take(','));
    if (!this.#take('}')) throw this.#error('an object does not end');
    return members;
  }

  #array(depth: number): readonly JsonValue[] {
    const items: JsonValue[] = [];
    this.#at += 1;
    this.#blank();
    if (this.#take(']')) return items;
    do {
      items.push(this.value(depth + 1));
      this.#blank();
    } while (this.#take(','));
    if (!this.#take(']')) throw this.#error('an array does not end');
    return items;
  }

  #string(): string {
    const start = this.#at;
    if (!this.#take('"')) throw this.#error('a string is missing');
    while (this.#at < this.#text.length && this.#text.charAt(this.#at) !== '"') {
      this.#at += this.#text.charAt(this.#at) === '\\' ? 2 : 1;
    }
    this.#at += 1;
    let value: string;
    try {
      value = JSON.parse(this.#text.slice(start, this.#at)) as string;
    } catch {
      throw new BootsealError(
        'format',
        `JSON: a string that does not end or holds what it may not at character ${start}`,
        OWN_COPY,
      );
    }
    // json-c, with which cryptsetup reads it, ends a key there: "encryption\u0000" would be another encryption to the guest.
    if (value.includes('\0')) {
      throw new BootsealError('format', `JSON: a string with a NUL in it at character ${start}`, OWN_COPY);
    }
    return value;
  }

  #number(): JsonValue {
    const found = NUMBER.exec(this.#text.slice(this.#at, this.#at + MAX_NUMBER));
    if (found === null) throw this.#error('no value');
    const [text, fraction, exponent] = found;
    if (text.length === MAX_NUMBER) throw this.#error('a number that is too long');
    this.#at += text.length;
    if (fraction !== undefined || exponent !== undefined) return { fraction: text };
    const value = Number(text);
    return Number.isSafeInteger(value) ? value : BigInt(text);
  }

  #take(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #blank(): void {
    BLANK.lastIndex = this.#at;
    this.#at += BLANK.exec(this.#text)?.[0].length ?? 0;
  }

  #error(what: string): BootsealError {
    return new BootsealError('format', `JSON: ${what} at character ${this.#at}`, OWN_COPY);
  }
}

/** Returns the value as text without blanks, keys in their order; what {@link parseJson} read comes back as it stood. */
export function printJson(value: JsonValue): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return String(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string') return JSON.stringify(value);
  if (isArray(value)) return `[${value.map(printJson).join(',')}]`;
  if (!isObject(value)) return value.fraction;
  return `{${[...value].map(([key, member]) => `${JSON.stringify(key)}:${printJson(member)}`).join(',')}}`;
}

/** Says whether the value is an object. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map;
}

/** Says whether the value is an array. */
export function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/** What {@link toJson} takes: plain JavaScript values. */
export type Plain = null | boolean | number | string | readonly Plain[] | { readonly [key: string]: Plain };

/** Returns plain JavaScript values as JSON values, keys in their order. */
export function toJson(plain: { readonly [key: string]: Plain }): JsonObject;
export function toJson(plain: Plain): JsonValue;
export function toJson(plain: Plain): JsonValue {
  if (plain === null || typeof plain !== 'object') return plain;
  if (Array.isArray(plain)) return (plain as readonly Plain[]).map((item) => toJson(item));
  return new Map(Object.entries(plain).map(([key, member]) => [key, toJson(member)]));
}
