/**
 * @module What a container image says of itself: OCI image specification 1.1 (image-layout.md, image-index.md, manifest.md,
 * config.md), and the manifest.json of `docker save`.
 */
import { BootsealError } from '../errors.ts';
import { isArray, isObject, type JsonObject, type JsonValue, parseJson } from '../luks/metadata/json.ts';
import { quoted } from '../luks/quote.ts';
import { decodeUtf8 } from '../utf8.ts';

/** What to do about an image that is broken, or not what its digests say. */
export const IMAGE_AGAIN = {
  hint: 'copy the image again from where you trust it, for instance with skopeo copy',
} as const;

/** Bytes of a JSON document that are accepted. */
export const MAX_DOCUMENT = 4 << 20;

/** Names a blob. */
export interface Descriptor {
  readonly mediaType: string;
  /** SHA-256 in hexadecimal. */
  readonly digest: string;
  readonly size: number;
}

/** Where a blob lies in a layout. */
export function blobPath({ digest }: Descriptor): string {
  return `blobs/sha256/${digest}`;
}

const INDEXES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const MANIFESTS = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];

/** Whether a descriptor is of an index, which names further manifests. */
export function isIndex({ mediaType }: Descriptor): boolean {
  return INDEXES.includes(mediaType);
}

/** Returns the images that an index names, without what only says something about them (attestations). Throws `format`. */
export function parseIndex(bytes: Uint8Array, where: string): readonly Descriptor[] {
  const manifests = list(document(bytes, where), 'manifests', where);
  return manifests
    .filter((manifest) => !isAttestation(object(manifest, where)))
    .map((manifest) => descriptor(manifest, where))
    .filter(({ mediaType }) => INDEXES.includes(mediaType) || MANIFESTS.includes(mediaType));
}

/** docker buildx writes them as images for an unknown platform. */
function isAttestation(manifest: JsonObject): boolean {
  const annotations = manifest.get('annotations');
  return isObject(annotations) && annotations.get('vnd.docker.reference.type') === 'attestation-manifest';
}

/** An image: its configuration, and its layers from the lowest up. */
export interface ImageManifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** Layers beyond these are not an image that anybody made. */
const MAX_LAYERS = 1000;

/** Reads a manifest. Throws `format`, also for layers that are no tar archive, such as encrypted ones. */
export function parseManifest(bytes: Uint8Array, where: string): ImageManifest {
  const manifest = document(bytes, where);
  const layers = list(manifest, 'layers', where).map((layer) => descriptor(layer, where));
  const other = layers.find(({ mediaType }) => !/[.]tar([.+](gzip|zstd))?$/.test(mediaType));
  if (other !== undefined) {
    throw new BootsealError('format', `${where}: a layer of type ${quoted(other.mediaType)}`, {
      hint: 'copy it with layers that are tar archives, for instance with skopeo copy (--decryption-key where they are encrypted)',
    });
  }
  return { config: descriptor(manifest.get('config'), where), layers: bounded(layers, where) };
}

/** Returns the SHA-256 of each layer as it is when unpacked. Throws `format`. */
export function parseDiffIds(bytes: Uint8Array, where: string): readonly string[] {
  const rootfs = object(document(bytes, where).get('rootfs'), where);
  return bounded(list(rootfs, 'diff_ids', where), where).map((id) => digest(id, where));
}

/** The files that manifest.json of `docker save` names: paths in the archive. */
export interface DockerManifest {
  readonly config: string;
  readonly layers: readonly string[];
}

/** Reads manifest.json; undefined when it is some other file of that name. Throws `format` when it is, and wrong. */
export function parseDockerManifest(bytes: Uint8Array, where: string): readonly DockerManifest[] | undefined {
  let value: JsonValue;
  try {
    value = readJson(bytes, where);
  } catch {
    return undefined;
  }
  if (!isArray(value) || !value.every((image) => isObject(image) && image.has('Config') && image.has('Layers'))) {
    return undefined;
  }
  return value.map((image) => ({
    config: text(object(image, where).get('Config'), where),
    layers: bounded(list(object(image, where), 'Layers', where), where).map((layer) => text(layer, where)),
  }));
}

/** A line break after the value is usual here. */
function readJson(bytes: Uint8Array, where: string): JsonValue {
  return parseJson(decodeUtf8(bytes, where).replace(/[ \t\r\n]+$/, ''));
}

function document(bytes: Uint8Array, where: string): JsonObject {
  let value: JsonValue;
  try {
    value = readJson(bytes, where);
  } catch (cause) {
    throw new BootsealError('format', `${where}: ${(cause as Error).message}`, { ...IMAGE_AGAIN, cause });
  }
  return object(value, where);
}

function object(value: JsonValue | undefined, where: string): JsonObject {
  if (isObject(value)) return value;
  throw new BootsealError('format', `${where}: not what an image has there`, IMAGE_AGAIN);
}

function list(value: JsonObject, key: string, where: string): readonly JsonValue[] {
  const found = value.get(key);
  if (isArray(found)) return found;
  throw new BootsealError('format', `${where}: ${key} is no list`, IMAGE_AGAIN);
}

function text(value: JsonValue | undefined, where: string): string {
  if (typeof value === 'string') return value;
  throw new BootsealError('format', `${where}: not the text that an image has there`, IMAGE_AGAIN);
}

function bounded<T>(layers: readonly T[], where: string): readonly T[] {
  if (layers.length > 0 && layers.length <= MAX_LAYERS) return layers;
  throw new BootsealError('format', `${where}: ${layers.length} layers`, {
    hint: `make the image again with 1 to ${MAX_LAYERS} layers`,
  });
}

function descriptor(value: JsonValue | undefined, where: string): Descriptor {
  const found = object(value, where);
  const size = found.get('size');
  if (typeof size !== 'number' || size < 0)
    throw new BootsealError('format', `${where}: a size that is none`, IMAGE_AGAIN);
  return { mediaType: text(found.get('mediaType'), where), digest: digest(found.get('digest'), where), size };
}

function digest(value: JsonValue | undefined, where: string): string {
  const hex = typeof value === 'string' ? /^sha256:([0-9a-f]{64})$/.exec(value)?.[1] : undefined;
  if (hex !== undefined) return hex;
  throw new BootsealError('format', `${where}: a digest that is no SHA-256`, IMAGE_AGAIN);
}
