/** @module The values that plans are made of, each read with the place that an error names; all throw `format`. */
import { base64ToBytes } from '../base64.ts';
import { BootsealError } from '../errors.ts';
import { hexToBytes, isHexText } from '../hex.ts';
import { isObject, type JsonFields } from '../json-fields.ts';
import type { AccountStep } from './account.ts';

/** What to do about a file that is no plan. */
export const HINT = 'make the file with `bootseal measure PLATFORM … --plan --json`, of one guest';

/** Reads a step of one of these types, with a digest of `size` bytes. */
export function readStep(
  value: unknown,
  where: string,
  types: readonly AccountStep['type'][],
  size: number,
): AccountStep {
  const step = object(value, where);
  const { name, gpa } = step;
  const bytes = readBytes(step['bytes'], `${where}.bytes`);
  return {
    name: shortText(name, `${where}.name`),
    type: oneOf(types, step['type'], `${where}.type`),
    gpa: optional(gpa, (address) => readAddress(address, `${where}.gpa`)),
    length: bytes === 0 ? undefined : bytes,
    digest: digest(step['digest'], `${where}.digest`, size),
  };
}

/** Reads a number of bytes. */
export function readBytes(value: unknown, where: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw wrong(where);
  return value;
}

/** Reads the SHA-256 of a file that was measured. */
export function readSha256(value: unknown, where: string): string {
  const { sha256 } = object(value, where);
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) throw wrong(`${where}.sha256`);
  return sha256;
}

/** Reads what may be absent or null: other versions of bootseal do not print everything. */
export function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value);
}

function readAddress(value: unknown, where: string): bigint {
  if (typeof value !== 'string' || !/^0x[0-9a-f]{1,16}$/.test(value)) throw wrong(where);
  return BigInt(value);
}

/** Reads a digest of `size` bytes: hexadecimal, or base64 with --format base64. */
export function digest(value: unknown, where: string, size: number): Uint8Array {
  if (typeof value !== 'string') throw wrong(where);
  const bytes = decoded(value.slice(0, 256), where);
  if (bytes.length !== size) throw wrong(where);
  return bytes;
}

function decoded(text: string, where: string): Uint8Array {
  try {
    return isHexText(text) ? hexToBytes(text) : base64ToBytes(text);
  } catch (cause) {
    if (cause instanceof BootsealError) throw wrong(where);
    throw cause;
  }
}

/** Reads a name. Names are shown to people: they are short and of letters that a terminal only shows. */
export function shortText(value: unknown, where: string): string {
  if (typeof value !== 'string' || !/^[ -~]{1,64}$/.test(value)) throw wrong(where);
  return value;
}

/** Reads one of the `known` words. */
export function oneOf<T extends string | number>(known: readonly T[], value: unknown, where: string): T {
  const found = known.find((one) => one === value);
  if (found === undefined) throw wrong(where);
  return found;
}

/** Reads a list of 1 to `most` items. */
export function list(value: unknown, where: string, most: number): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > most) throw wrong(where);
  return value;
}

/** Reads an object. */
export function object(value: unknown, where: string): JsonFields {
  if (!isObject(value)) throw wrong(where);
  return value;
}

/** Returns the error of a value that is missing or of another form. */
export function wrong(where: string): BootsealError {
  return new BootsealError('format', `${where}: missing or of the wrong form`, { hint: HINT });
}
