/** @module CBOR (RFC 8949), as much as a CoRIM needs, in the one deterministic form of section 4.2.1. */
import { encodeUtf8 } from '../utf8.ts';

/** What can be encoded: integers from 0 on, texts, bytes, lists, maps with such integers as keys, and tagged values. */
export type Cbor = number | string | Uint8Array | readonly Cbor[] | ReadonlyMap<number, Cbor> | Tagged;

/** A value with a tag. */
export interface Tagged {
  readonly tag: number;
  readonly value: Cbor;
}

const [UNSIGNED, BYTES, TEXT, ARRAY, MAP, TAG] = [0, 2, 3, 4, 5, 6];

/** Returns the bytes; keys of maps come in ascending order. Numbers and lengths are below 2^32. */
export function encodeCbor(value: Cbor): Uint8Array {
  // Not by concat: a matrix has more pieces than a call can have arguments.
  const pieces = [...piecesOf(value)];
  const out = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

function* piecesOf(value: Cbor): Generator<Uint8Array> {
  if (typeof value === 'number') yield head(UNSIGNED, value);
  else if (typeof value === 'string') {
    const bytes = encodeUtf8(value);
    yield head(TEXT, bytes.length);
    yield bytes;
  } else if (value instanceof Uint8Array) {
    yield head(BYTES, value.length);
    yield value;
  } else if (value instanceof Map) {
    yield head(MAP, value.size);
    for (const [key, item] of [...value].sort(([a], [b]) => a - b)) {
      yield head(UNSIGNED, key);
      yield* piecesOf(item);
    }
  } else if (isTagged(value)) {
    yield head(TAG, value.tag);
    yield* piecesOf(value.value);
  } else {
    const items = value as readonly Cbor[];
    yield head(ARRAY, items.length);
    for (const item of items) yield* piecesOf(item);
  }
}

const isTagged = (value: object): value is Tagged => 'tag' in value;

/** The start of every item: its type and a number in as few bytes as hold it. */
function head(type: number, count: number): Uint8Array {
  const first = type << 5;
  if (count < 24) return Uint8Array.of(first | count);
  if (count < 1 << 8) return Uint8Array.of(first | 24, count);
  if (count < 1 << 16) return Uint8Array.of(first | 25, count >>> 8, count & 0xff);
  return Uint8Array.of(first | 26, count >>> 24, (count >>> 16) & 0xff, (count >>> 8) & 0xff, count & 0xff);
}
