/**
 * @module The keys for Confidential Containers in a launch secret: a JSON object of key ids and keys in base64, as simple-kbs wrote
 * it for offline_sev_kbc and as the Confidential Data Hub still reads it from a file (confidential-containers/guest-components
 * confidential-data-hub/kms/src/plugins/kbs/offline_fs.rs).
 */
import { base64ToBytes, bytesToBase64 } from '../base64.ts';
import { BootsealError } from '../errors.ts';
import { isObject, type JsonFields } from '../json-fields.ts';
import { parseJson } from '../luks/metadata/json.ts';
import { decodeUtf8 } from '../utf8.ts';

/** A resource of a key broker: `repository/type/tag`. */
export type ResourcePath = string;

const PATH = /^[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*){2}$/;
const PART = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** Where key ids of a single word are put, as the examples of that project have it. */
const DEFAULT_FOLDER = 'default/key';

/**
 * Returns the path that a key id means: `repository/type/tag`, also behind a slash, `kbs:///` or `kbs://host/`; a single word is
 * a tag of `default/key`. Throws `format` without repeating it.
 */
export function resourcePath(kid: string): ResourcePath {
  if (PART.test(kid)) return `${DEFAULT_FOLDER}/${kid}`;
  const uri = /^kbs:\/\/[^/]*\/(.*)$/.exec(kid)?.[1];
  const path = uri ?? kid.replace(/^\//, '');
  if (PATH.test(path)) return path;
  // As in a URI without its scheme: host/repository/type/tag.
  const behindHost = path.slice(path.indexOf('/') + 1);
  if (uri === undefined && /^[^/]+\//.test(path) && PATH.test(behindHost)) return behindHost;
  throw new BootsealError('format', 'a key id is neither a word nor of the form repository/type/tag', {
    hint: 'a key id looks like default/key/disk or kbs:///default/key/disk',
  });
}

/** Reads the keys; the values are the caller's to wipe. Throws `format`, in which nothing of the text is repeated. */
export function parseKbsKeys(json: Uint8Array): ReadonlyMap<ResourcePath, Uint8Array> {
  const keys = new Map<ResourcePath, Uint8Array>();
  for (const [kid, value] of Object.entries(jsonObject(json, 'keys', KEYS_HINT))) {
    const path = resourcePath(kid);
    if (typeof value !== 'string') throw refusal(`the key ${path} is no text`);
    if (keys.has(path)) throw refusal(`two keys for ${path}`);
    if (value === '') throw refusal(`the key ${path} is empty`);
    try {
      keys.set(path, base64ToBytes(value));
    } catch {
      throw refusal(`the key ${path} is not base64`);
    }
  }
  return keys;
}

/** Returns the text of the file that the Confidential Data Hub's offline_fs_kbc reads. */
export function printKbsKeys(keys: ReadonlyMap<ResourcePath, Uint8Array>): string {
  const sorted = [...keys].sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify(Object.fromEntries(sorted.map(([path, key]) => [path, bytesToBase64(key)])), null, 2)}\n`;
}

/**
 * Reads a JSON object. Throws `format` naming `what`, with `hint`, without the text that JSON's own errors repeat; also where a name stands
 * twice in an object.
 */
export function jsonObject(bytes: Uint8Array, what: string, hint: string): JsonFields {
  let value: unknown;
  let text: string;
  try {
    // Writers for C programs end it with a NUL.
    text = decodeUtf8(bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes, what);
    value = JSON.parse(text);
  } catch {
    throw new BootsealError('format', `${what}: no JSON`, { hint });
  }
  try {
    // JSON.parse takes the last of two; the strict reader refuses them, and no more of what is JSON but for its bounds.
    parseJson(text.trimEnd());
  } catch {
    const reason = 'a name stands twice in it, or it has more values than any such text';
    throw new BootsealError('format', `${what}: ${reason}`, { hint });
  }
  if (!isObject(value)) throw new BootsealError('format', `${what}: no JSON object`, { hint });
  return value;
}

const KEYS_HINT = 'make the secret as one JSON object with a key id for each name and the key in base64 behind it';

const refusal = (reason: string): BootsealError => new BootsealError('format', `keys: ${reason}`, { hint: KEYS_HINT });
