/** @module What a manifest says of disk and data, besides the header that it pins. */
import { BootsealError } from '../errors.ts';
import { isObject, type JsonFields } from '../json-fields.ts';

/** What the owner's disk was when it was made; undefined for what an older manifest does not say. */
export interface Claims {
  /** Bytes of the disk that the guest sees. */
  readonly diskBytes: number | undefined;
  /** Bytes of the plaintext. */
  readonly dataBytes: number | undefined;
  /** Bytes of the data that were never written; none where every sector was encrypted. */
  readonly skippedBytes: number | undefined;
  /** What the data are, as identifyPayload says it; null for unknown. */
  readonly payload: string | null | undefined;
  /** As it stands there; null for a disk without one. */
  readonly partitionTable: unknown;
}

/** Reads them out of a manifest; throws `format` when a value is of another kind, `where` in the message. */
export function readClaims(manifest: JsonFields, where: string): Claims {
  const [data, payload] = ['data', 'payload'].map((key) => objectAt(manifest[key], `${where}: ${key}`)) as [
    JsonFields,
    JsonFields,
  ];
  const what = payload['what'];
  if (what !== undefined && what !== null && typeof what !== 'string') throw broken(where, 'payload.what is no text');
  return {
    diskBytes: sizeAt(manifest['diskBytes'] ?? manifest['imageBytes'], `${where}: diskBytes`),
    dataBytes: sizeAt(data['bytes'], `${where}: data.bytes`),
    skippedBytes: data['everySector'] === true ? 0 : sizeAt(data['skippedBytes'], `${where}: data.skippedBytes`),
    payload: what,
    partitionTable: manifest['partitionTable'],
  };
}

function sizeAt(value: unknown, where: string): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw broken(where, 'is no size');
}

/** Older manifests have not all of them. */
function objectAt(value: unknown, where: string): JsonFields {
  if (value === undefined) return {};
  if (isObject(value)) return value;
  throw broken(where, 'is no object');
}

function broken(where: string, what: string): BootsealError {
  return new BootsealError('format', `${where} ${what}`, {
    hint: 'take the manifest that bootseal wrote, from a copy that you made yourself',
  });
}
