/** @module The VMSA page as a list of named fields, each with its value as text: for people, for JSON, and back to the page. */
import { BootsealError } from '../errors.ts';
import { bytesToHex, hexToBytes } from '../hex.ts';
import { Vmsa } from './vmsa.ts';

/** One field: those of segments have names such as `cs.base`, reserved bytes that of where they stand (`reserved_0c8`). */
export interface VmsaField {
  readonly name: string;
  /** Bytes from the start of the page. */
  readonly at: number;
  readonly size: number;
  /** Whether the bytes are a little-endian number, not a run of bytes. */
  readonly number: boolean;
}

/** A field's value: `0x…` for numbers, all its bytes in hexadecimal for the others. */
export interface FieldValue {
  readonly field: string;
  readonly value: string;
}

interface AnyField {
  readonly size: number;
  readonly silent?: boolean;
  readonly fields?: Readonly<Record<string, AnyField>>;
}

/** Every field, in the order of the page. */
export const VMSA_FIELDS: readonly VmsaField[] = flatten(Vmsa, '', 0);

function flatten(field: AnyField, name: string, at: number): readonly VmsaField[] {
  if (field.fields === undefined) {
    return [{ name, at, size: field.size, number: field.size <= 8 && field.silent !== true }];
  }
  let next = at;
  return Object.entries(field.fields).flatMap(([key, inner]) => {
    const start = next;
    next += inner.size;
    return flatten(inner, name === '' ? key : `${name}.${key}`, start);
  });
}

/** Returns what a page has in a field. */
export function fieldText(page: Uint8Array, { at, size, number }: VmsaField): string {
  const bytes = page.subarray(at, at + size);
  const digits = bytesToHex(number ? Uint8Array.from(bytes).reverse() : bytes);
  return number ? `0x${digits.replace(/^0+(?=.)/, '')}` : digits;
}

/** Returns the fields that are not zero, in the order of the page. */
export function nonZeroFields(page: Uint8Array): readonly FieldValue[] {
  return VMSA_FIELDS.filter(({ at, size }) => page.subarray(at, at + size).some((byte) => byte !== 0)).map((field) => ({
    field: field.name,
    value: fieldText(page, field),
  }));
}

const HINT = 'the fields are those of `bootseal measure PLATFORM --plan --json`: make the file again';

/** Returns the page that has these fields and zeros; throws `format` for names that the page has not and values that do not fit. */
export function vmsaOfFields(values: readonly FieldValue[]): Uint8Array {
  const page = new Uint8Array(Vmsa.size);
  for (const { field: name, value } of values) {
    const field = VMSA_FIELDS.find((one) => one.name === name);
    const bytes = field === undefined ? undefined : fieldBytes(field, value);
    if (field === undefined || bytes === undefined) {
      throw new BootsealError('format', `not a VMSA field with its value: ${shown(name)} ${shown(value)}`, {
        hint: HINT,
      });
    }
    page.set(bytes, field.at);
  }
  return page;
}

function fieldBytes({ size, number }: VmsaField, value: string): Uint8Array | undefined {
  const digits = number ? /^0x([0-9a-f]+)$/.exec(value)?.[1]?.padStart(2 * size, '0') : value;
  if (digits === undefined || digits.length !== 2 * size || !/^[0-9a-f]*$/.test(digits)) return undefined;
  const bytes = hexToBytes(digits);
  return number ? bytes.reverse() : bytes;
}

/** A piece of a foreign text. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 32)).replace(/[^\x20-\x7e]/g, '?');
}
