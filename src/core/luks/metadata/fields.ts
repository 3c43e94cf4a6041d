/** @module Typed fields out of JSON objects of LUKS2 metadata; every failure names the place, as `keyslots.0.kdf.salt`. */

import { base64ToBytes } from '../../base64.ts';
import { BootsealError } from '../../errors.ts';
import { OWN_COPY } from '../own-copy.ts';
import { quoted } from '../quote.ts';
import { isArray, isObject, type JsonObject, type JsonValue } from './json.ts';

/** An object with its place in the metadata. */
export interface Place {
  readonly object: JsonObject;
  /** Names joined by dots; empty for the whole metadata. */
  readonly where: string;
}

const DECIMAL = /^(?:0|[1-9][0-9]{0,19})$/;

/** Returns a `format` error about a place. */
export function invalid(where: string, what: string): BootsealError {
  return new BootsealError('format', `LUKS2 metadata: ${where}: ${what}`, OWN_COPY);
}

function nameOf({ where }: Place, key: string): string {
  return where === '' ? key : `${where}.${key}`;
}

/** Returns the place of a member that must be an object. */
export function objectField(place: Place, key: string): Place {
  const where = nameOf(place, key);
  const value = place.object.get(key);
  if (!isObject(value)) throw invalid(where, 'an object is required');
  return { object: value, where };
}

/** Returns a member that must be a string of at least one character. */
export function stringField(place: Place, key: string): string {
  const value = place.object.get(key);
  if (typeof value !== 'string' || value === '')
    throw invalid(nameOf(place, key), 'a string that is not empty is required');
  return value;
}

/** Returns a member that must be a JSON integer from `min` to `max`, by default 32 bits unsigned. */
export function integerField(place: Place, key: string, min = 0, max = 0xffffffff): number {
  const value = place.object.get(key);
  if (typeof value !== 'number' || value < min || value > max) {
    throw invalid(nameOf(place, key), `an integer from ${min} to ${max} is required`);
  }
  return value;
}

/** Returns a member that must be a string of the decimal digits of an unsigned 64-bit number. */
export function decimalField(place: Place, key: string): bigint {
  const text = stringField(place, key);
  const value = DECIMAL.test(text) ? BigInt(text) : -1n;
  if (value < 0n || value >> 64n !== 0n) {
    throw invalid(nameOf(place, key), 'a string of decimal digits below 2^64 is required');
  }
  return value;
}

/** Returns the bytes of a member in base64, from `min` to `max` of them. */
export function base64Field(place: Place, key: string, min: number, max = min): Uint8Array {
  const text = stringField(place, key);
  const size = min === max ? `${min}` : `${min} to ${max}`;
  let bytes: Uint8Array;
  try {
    bytes = base64ToBytes(text);
  } catch {
    throw invalid(nameOf(place, key), `base64 of ${size} bytes is required`);
  }
  if (bytes.length < min || bytes.length > max) {
    throw invalid(nameOf(place, key), `base64 of ${size} bytes is required, not of ${bytes.length}`);
  }
  return bytes;
}

/** Returns the strings of a member that must be an array of strings. */
export function stringsField(place: Place, key: string): readonly string[] {
  const value = place.object.get(key);
  if (!isArray(value) || !value.every(isString)) throw invalid(nameOf(place, key), 'an array of strings is required');
  return value;
}

/** Like {@link stringsField}; without the member, an empty array. */
export function optionalStringsField(place: Place, key: string): readonly string[] {
  return place.object.has(key) ? stringsField(place, key) : [];
}

/** Returns the numbers of a member that must be an array of names of objects in `section`. */
export function referencesField(place: Place, key: string, section: Place): readonly number[] {
  const names = stringsField(place, key);
  for (const name of names) {
    if (!isObject(section.object.get(name))) {
      throw invalid(nameOf(place, key), `refers to ${section.where} ${quoted(name)}, which does not exist`);
    }
  }
  return names.map(Number);
}

/** Returns the numbered objects of a section of the metadata, at most `max`, in the order of their numbers. */
export function numberedObjects(
  section: Place,
  max: number,
): readonly { readonly id: number; readonly place: Place }[] {
  if (section.object.size > max) {
    throw invalid(section.where, `${section.object.size} objects are more than the ${max} that are allowed`);
  }
  const objects = [...section.object.keys()].map((name) => {
    if (!DECIMAL.test(name) || Number(name) >= max) {
      throw invalid(section.where, `${quoted(name)} is not a number below ${max}`);
    }
    return { id: Number(name), place: objectField(section, name) };
  });
  return objects.sort((a, b) => a.id - b.id);
}

function isString(value: JsonValue): value is string {
  return typeof value === 'string';
}
