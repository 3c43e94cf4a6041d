/**
 * @module The manifest of an image whose keys change. It pins the header, so that it changes too: first it says which states the header
 * will go through, then the header is written, then it pins the new one. Whatever is cut off can be told from what is not ours.
 */
import { BootsealError } from '../errors.ts';
import { isObject, type JsonFields } from '../json-fields.ts';
import { decodeUtf8 } from '../utf8.ts';
import type { HeaderChange } from './header-change.ts';
import type { KeyPurpose } from './manifest.ts';

/** What a change of keys reads in a manifest; everything else in it stays as it stands. */
export interface PinnedHeader {
  /** Bytes from the start of the header, with keyslots. */
  readonly bytes: number;
  readonly sha256: string;
  /** Purpose of each keyslot by its number. */
  readonly purposes: ReadonlyMap<number, KeyPurpose>;
  /** The change that began and of which nothing says that it ended. */
  readonly change: KeyChange | undefined;
  /** The whole manifest. */
  readonly manifest: JsonFields;
}

/** A change under way: the states of the header from first to last. */
export type KeyChange = Pick<HeaderChange, 'states' | 'removal'>;

/** The header is the one that is pinned; or one that an interrupted change leaves; or neither. */
export type PinVerdict = 'pinned' | 'interrupted' | 'another';

const SHA256 = /^[0-9a-f]{64}$/;
const PURPOSES: readonly unknown[] = ['launch-secret', 'recovery'];

/** Reads a manifest; throws `format` when it is none, `where` in the message. */
export function parsePinnedHeader(bytes: Uint8Array, where: string): PinnedHeader {
  const manifest = parseObject(bytes, where);
  if (manifest['format'] !== 'bootseal-image-1') throw broken(where, 'is no manifest of an image');
  const header = objectAt(manifest, 'header');
  const [size, sha256] = [header['bytes'], header['sha256']];
  if (!Number.isSafeInteger(size) || (size as number) <= 0) throw broken(where, 'header.bytes is no size');
  if (typeof sha256 !== 'string' || !SHA256.test(sha256)) throw broken(where, 'header.sha256 is no SHA-256');
  const change = manifest['keyChange'] === undefined ? undefined : readChange(objectAt(manifest, 'keyChange'), where);
  return { bytes: size as number, sha256, purposes: readPurposes(manifest['keyslots']), change, manifest };
}

/** Compares a header, its hash and its state (see headerState), with what the manifest pins. */
export function judgeHeader({ sha256, change }: PinnedHeader, found: { sha256: string; state: string }): PinVerdict {
  if (found.sha256 === sha256) return 'pinned';
  return change?.states.includes(found.state) === true ? 'interrupted' : 'another';
}

/** Returns the text of the manifest while the header is written. */
export function manifestDuring({ manifest }: PinnedHeader, { states, removal }: KeyChange): string {
  return print({ ...manifest, keyChange: { states, removal: removal ?? null } });
}

/** Returns the text of the manifest that pins the new header. */
export function manifestAfter(
  { manifest, bytes }: PinnedHeader,
  sha256: string,
  keyslots: readonly { readonly keyslot: number; readonly kdf: string; readonly purpose: KeyPurpose }[],
): string {
  const { keyChange: _over, ...rest } = manifest;
  return print({ ...rest, header: { ...objectAt(manifest, 'header'), bytes, sha256 }, keyslots });
}

function print(manifest: JsonFields): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

function parseObject(bytes: Uint8Array, where: string): JsonFields {
  try {
    const value: unknown = JSON.parse(decodeUtf8(bytes, where));
    if (isObject(value)) return value;
  } catch (cause) {
    if (!(cause instanceof BootsealError) && !(cause instanceof SyntaxError)) throw cause;
  }
  throw broken(where, 'is no JSON object');
}

function readChange({ states, removal }: JsonFields, where: string): KeyChange {
  if (!isList(states, isState)) throw broken(where, 'keyChange is not what a change of keys writes');
  if (removal === null) return { states, removal: undefined };
  const { state, keyslots } = isObject(removal) ? removal : {};
  if (isState(state) && isList(keyslots, isKeyslot)) return { states, removal: { state, keyslots } };
  throw broken(where, 'keyChange.removal is not what a change of keys writes');
}

function isList<T>(value: unknown, isOne: (item: unknown) => item is T): value is readonly T[] {
  return Array.isArray(value) && value.every(isOne);
}

function isState(value: unknown): value is string {
  return typeof value === 'string' && SHA256.test(value);
}

function isKeyslot(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function readPurposes(keyslots: unknown): ReadonlyMap<number, KeyPurpose> {
  const known = (Array.isArray(keyslots) ? keyslots : []).filter(isObject);
  const pairs = known.filter(({ purpose }) => PURPOSES.includes(purpose));
  return new Map(pairs.map(({ keyslot, purpose }) => [keyslot as number, purpose as KeyPurpose]));
}

function objectAt(object: JsonFields, name: string): JsonFields {
  const value = object[name];
  return isObject(value) ? value : {};
}

function broken(where: string, what: string): BootsealError {
  return new BootsealError('format', `${where}: ${what}`, {
    hint: 'take the manifest that bootseal wrote, from a copy that you made yourself',
  });
}
