/** @module What a launch needs of the manifest that `image build` wrote: which disk it is, and what the guest holds its copy of the header against. */
import { BootsealError } from '../errors.ts';
import { isObject, type JsonFields } from '../json-fields.ts';

/** A disk as its manifest pins it; numbers are bytes. */
export interface DiskManifest {
  readonly imageFormat: 'raw' | 'qcow2';
  /** What the guest sees. */
  readonly diskBytes: number;
  /** Of the LUKS header. */
  readonly uuid: string;
  readonly header: {
    /** Name of the file that it is in, beside the manifest; null where it is in the disk. */
    readonly file: string | null;
    readonly bytes: number;
    /** 64 digits. */
    readonly sha256: string;
  };
  /** The secret that opens it. */
  readonly keyGuid: string;
  /** Whether its keys follow from a seed, so that they are no secrets; also when that is not said clearly. */
  readonly testOnly: boolean;
}

const SHA256 = /^[0-9a-f]{64}$/;
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Guests read headers in such pieces. */
const BLOCK = 4096;
/** The largest header that guests copy; bytes. */
const MAX_HEADER = 1 << 27;

const HINT = '`bootseal image build` writes it beside the image, with .json behind its name';

/** Reads a manifest. Throws `format` when the text is none, `name` in the message. */
export function parseDiskManifest(text: string, name: string): DiskManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new BootsealError('format', `${name}: not JSON`, { hint: HINT, cause });
  }
  const manifest = fieldsOf(value);
  const [luks, header, key] = [fieldsOf(manifest['luks']), fieldsOf(manifest['header']), fieldsOf(manifest['key'])];
  const { format, imageFormat, diskBytes, testOnly = false } = manifest;
  const { file, bytes, sha256 } = header;
  const [{ uuid }, { guid: keyGuid }] = [luks, key];
  if (
    format === 'bootseal-image-1' &&
    (imageFormat === 'raw' || imageFormat === 'qcow2') &&
    isSize(diskBytes) &&
    matches(GUID, uuid) &&
    (file === null || isFileName(file)) &&
    isSize(bytes) &&
    bytes % BLOCK === 0 &&
    bytes <= MAX_HEADER &&
    matches(SHA256, sha256) &&
    matches(GUID, keyGuid)
  ) {
    return { imageFormat, diskBytes, uuid, header: { file, bytes, sha256 }, keyGuid, testOnly: testOnly !== false };
  }
  throw new BootsealError('format', `${name}: not the manifest of an encrypted image`, { hint: HINT });
}

function fieldsOf(value: unknown): JsonFields {
  return isObject(value) ? value : {};
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function matches(form: RegExp, value: unknown): value is string {
  return typeof value === 'string' && form.test(value);
}

/** The manifest lies beside the file: a path would lead elsewhere. */
function isFileName(value: unknown): value is string {
  return typeof value === 'string' && /^[^/\0]+$/.test(value) && value !== '.' && value !== '..';
}
