/**
 * @module The JSON area of a LUKS2 header: its text, and the rules that its objects keep. The rules are those that cryptsetup
 * enforces (LUKS2_hdr_validate), or stricter where two readers could otherwise understand different things.
 */

import { BootsealError } from '../errors.ts';
import { decodeUtf8, encodeUtf8 } from '../utf8.ts';
import { checkAreas, checkDataOffset, checkDigests, checkReencryption } from './metadata/areas.ts';
import { BINARY_HEADER_SIZE, type Config, readConfig } from './metadata/config.ts';
import { type Digest, readDigests } from './metadata/digests.ts';
import { invalid, objectField, type Place } from './metadata/fields.ts';
import { isObject, type JsonObject, parseJson, printJson } from './metadata/json.ts';
import { type Keyslot, readKeyslots } from './metadata/keyslots.ts';
import { readSegments, type Segment } from './metadata/segments.ts';
import { readTokens, type Token } from './metadata/tokens.ts';
import { OWN_COPY } from './own-copy.ts';

/** The metadata of a LUKS2 header; `json` is the whole of it, the rest what its rules say about it. */
export interface Metadata {
  readonly keyslots: readonly Keyslot[];
  readonly tokens: readonly Token[];
  readonly segments: readonly Segment[];
  readonly digests: readonly Digest[];
  readonly config: Config;
  readonly json: JsonObject;
}

/** Reads a JSON area of `headerSize` − 4096 bytes. Throws `format` naming the place and the rule. */
export function parseMetadata(area: Uint8Array): Metadata {
  return validateMetadata(parseArea(area), area.length + BINARY_HEADER_SIZE);
}

/** Returns the JSON text of an area, without the NULs behind it. */
function parseArea(area: Uint8Array): JsonObject {
  if (area[0] !== 0x7b) throw areaError('does not start with {');
  const end = area.indexOf(0);
  if (end === -1) throw areaError('no NUL ends the text');
  if (area.subarray(end).some((byte) => byte !== 0)) throw areaError('something follows the NUL that ends the text');
  const json = parseJson(decodeUtf8(area.subarray(0, end), 'LUKS2 JSON area'));
  if (!isObject(json)) throw areaError('not an object');
  return json;
}

function areaError(what: string): BootsealError {
  return new BootsealError('format', `LUKS2 JSON area: ${what}`, OWN_COPY);
}

/**
 * Holds metadata for a header copy of `headerSize` bytes against every rule; what a plan makes passes here too. Throws `format`
 * naming the place and the rule.
 */
export function validateMetadata(json: JsonObject, headerSize: number): Metadata {
  const all: Place = { object: json, where: '' };
  const place = {
    keyslots: objectField(all, 'keyslots'),
    tokens: objectField(all, 'tokens'),
    segments: objectField(all, 'segments'),
    digests: objectField(all, 'digests'),
    config: objectField(all, 'config'),
  };
  const config = readConfig(place.config, headerSize);
  const tokens = readTokens(place.tokens, place.keyslots);
  const digests = readDigests(place.digests, place.keyslots, place.segments);
  const segments = readSegments(place.segments);
  const keyslots = readKeyslots(place.keyslots);
  checkDigests(keyslots, segments, digests);
  checkDataOffset(segments, config, headerSize);
  checkAreas(keyslots, config, headerSize);
  checkReencryption(keyslots, segments, config);
  return { keyslots, tokens, segments, digests, config, json };
}

/** Returns a JSON area of `headerSize` − 4096 bytes; throws `format` when the text, with a NUL, does not fit. */
export function printMetadata(json: JsonObject, headerSize: number): Uint8Array {
  const text = encodeUtf8(printJson(json));
  const area = new Uint8Array(headerSize - BINARY_HEADER_SIZE);
  if (text.length >= area.length) {
    throw invalid('config.json_size', `the text of ${text.length} bytes does not fit into an area of ${area.length}`);
  }
  area.set(text);
  return area;
}
