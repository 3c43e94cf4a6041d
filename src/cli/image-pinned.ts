/** @module The manifest beside an image, and whether the header is the one that it pins. */
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Gpt } from '../core/disk/read-gpt.ts';
import { tableProblems } from '../core/disk/table-claims.ts';
import { BootsealError } from '../core/errors.ts';
import type { Disk } from '../core/luks/disk.ts';
import { headerState } from '../core/luks/header-change.ts';
import { type LuksHeader, passphraseSlots } from '../core/luks/image.ts';
import type { KeyPurpose } from '../core/luks/manifest.ts';
import {
  judgeHeader,
  manifestAfter,
  type PinnedHeader,
  type PinVerdict,
  parsePinnedHeader,
} from '../core/luks/manifest-change.ts';
import { type Claims, readClaims } from '../core/luks/manifest-claims.ts';
import { readSmallFile } from '../host/files.ts';
import { syncFolder, writeNewFile } from '../host/new-file.ts';
import { type Io, resolvePath } from './io.ts';

/** A manifest and what it says of the header that is there. */
export interface Pinned extends PinnedHeader {
  /** As it was given, with .json behind it, and as an absolute path. */
  readonly name: string;
  readonly file: string;
  readonly verdict: PinVerdict;
}

/** Bytes. */
const MAX_MANIFEST = 1 << 20;
const PIECE = 1 << 20;

/** Reads the manifest of an image, `IMG.json`; undefined when there is none. Throws `format` when it is something else, `io`. */
export async function readPinned(io: Io, image: string, disk: Disk, header: LuksHeader): Promise<Pinned | undefined> {
  const name = `${image}.json`;
  const file = resolvePath(io, name);
  let bytes: Uint8Array;
  try {
    bytes = await readSmallFile(file, MAX_MANIFEST);
  } catch (error) {
    if (error instanceof BootsealError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
      return undefined;
    throw error;
  }
  const pinned = parsePinnedHeader(bytes, name);
  const found = { sha256: await hashHeader(disk, pinned.bytes), state: headerState(header) };
  return { ...pinned, name, file, verdict: judgeHeader(pinned, found) };
}

/** What a manifest says of disk and data, and its name. */
export interface NamedClaims extends Claims {
  readonly name: string;
}

/** Says what of header and disk is not as the manifest says, and what else that says; nothing when there is none. Throws as readPinned. */
export async function holdAgainstManifest(
  io: Io,
  image: string,
  {
    headerDisk,
    header,
    diskSize,
    table,
  }: {
    headerDisk: Disk;
    header: LuksHeader;
    diskSize: number;
    table: Gpt | undefined;
  },
): Promise<{ readonly problems: readonly string[]; readonly claims: NamedClaims | undefined }> {
  const pinned = await readPinned(io, image, headerDisk, header);
  if (pinned === undefined) return { problems: [], claims: undefined };
  const { name } = pinned;
  const claims = { ...readClaims(pinned.manifest, name), name };
  const problems = [
    ...pinProblems(pinned),
    ...sizeProblems('disk', diskSize, claims.diskBytes, name),
    ...tableProblems(table, claims.partitionTable, name),
  ];
  return { problems, claims };
}

function pinProblems({ verdict, name }: Pinned): readonly string[] {
  if (verdict === 'pinned') return [];
  return verdict === 'another'
    ? [`the header is not the one that ${name} pins`]
    : ['a change of keys was interrupted: image repair brings it to an end'];
}

/** Says that a size is not the one of the manifest; bytes. */
export function sizeProblems(what: string, size: number, claimed: number | undefined, name: string): readonly string[] {
  if (claimed === undefined || claimed === size) return [];
  return [`the size of the ${what} is ${size} bytes, and ${name} says ${claimed}`];
}

/** Returns the SHA-256 of the first `size` bytes of a disk, or of all where it ends before, in hexadecimal. */
export async function hashHeader(disk: Disk, size: number): Promise<string> {
  const hash = createHash('sha256');
  const end = Math.min(size, disk.size);
  for (let at = 0; at < end; at += PIECE) hash.update(await disk.read(at, Math.min(PIECE, end - at)));
  return hash.digest('hex');
}

/** Puts a manifest into the place of the old one. */
export async function replaceManifest({ file }: Pinned, text: string): Promise<void> {
  // A link to it stays one.
  await writeNewFile(await realpath(file), text, 0o644, true);
  // What is written to the header after this must not be on the disk before it.
  await syncFolder(dirname(file));
}

/** Returns the text of the manifest for the header that is there now; `added` is a keyslot that is new in it. */
export function pinAnew(
  pinned: PinnedHeader,
  header: LuksHeader,
  sha256: string,
  added?: { readonly keyslot: number; readonly purpose: KeyPurpose },
): string {
  const keyslots = passphraseSlots(header).map(({ id, kdf }) => ({
    keyslot: id,
    kdf: kdf.type === 'foreign' ? kdf.name : kdf.type,
    purpose: id === added?.keyslot ? added.purpose : (pinned.purposes.get(id) ?? null),
  }));
  return manifestAfter(pinned, sha256, keyslots);
}
