/** @module The disk with a hash tree (dm-verity) that commands of `bootseal image` read, and the root hash that it is held against. */

import { openQcow2 } from '../core/disk/read-qcow2.ts';
import { type ReadVerity, readVerity } from '../core/disk/read-verity.ts';
import { tableProblems } from '../core/disk/table-claims.ts';
import { type PinnedVerity, parseVerityManifest } from '../core/disk/verity-manifest.ts';
import { type FoundVerity, findVerity, spells } from '../core/disk/verity-partition.ts';
import { BootsealError } from '../core/errors.ts';
import { bytesToHex, hexToBytes } from '../core/hex.ts';
import { decodeUtf8 } from '../core/utf8.ts';
import { withDisk } from '../host/disk.ts';
import { readSmallFile } from '../host/files.ts';
import { type Io, resolvePath } from './io.ts';
import { parseUnsigned } from './numbers.ts';

/** Options about such a disk. */
export interface VerityInputOptions {
  readonly rootHash?: Uint8Array;
  readonly hashOffset?: number;
}

/** A disk whose superblock was read. */
export interface VerityInput extends FoundVerity {
  readonly format: 'raw' | 'qcow2';
  readonly verity: ReadVerity;
  readonly pinned: PinnedManifest | undefined;
}

/** What the manifest beside the image says. */
export interface PinnedManifest extends PinnedVerity {
  readonly name: string;
}

/** Bytes. */
const MAX_MANIFEST = 1 << 20;
const DIGEST_SIZES = [32, 64];

/** Reads a root hash; throws `usage`. */
export function parseRootHash(text: string): Uint8Array {
  const bytes = /^[0-9a-fA-F]+$/.test(text) && text.length % 2 === 0 ? hexToBytes(text) : new Uint8Array(0);
  if (DIGEST_SIZES.includes(bytes.length)) return bytes;
  throw new BootsealError('usage', '--root-hash: 64 hexadecimal digits are needed, or 128 for SHA-512', {
    hint: 'the manifest beside the disk and the measured command line have it',
  });
}

/** Reads the place of a tree; throws `usage`. */
export function parseHashOffset(text: string): number {
  return parseUnsigned(text, '--hash-offset', Number.MAX_SAFE_INTEGER);
}

/** Runs `use` with the disk; returns undefined when it has no tree that could be found. Throws as findVerity and readVerity, `usage` for `-`. */
export async function withVerity<T>(
  io: Io,
  file: string,
  { rootHash, hashOffset }: VerityInputOptions,
  use: (input: VerityInput) => Promise<T>,
): Promise<T | undefined> {
  if (file === '-') {
    throw new BootsealError('usage', 'an image is not read from standard input', {
      hint: 'write it to a file first: it is read at many places',
    });
  }
  const pinned = await readManifest(io, `${file}.json`);
  return withDisk(resolvePath(io, file), async (disk) => {
    const inner = await openQcow2(disk);
    const found = await findVerity(inner ?? disk, {
      hashOffset: hashOffset ?? (pinned?.partitioned === false ? pinned.hashOffset : undefined),
      rootHash: rootHash ?? (pinned === undefined ? undefined : hexToBytes(pinned.rootHash)),
    });
    if (found === undefined) return undefined;
    return use({ ...found, format: inner === undefined ? 'raw' : 'qcow2', verity: await readVerity(found), pinned });
  });
}

async function readManifest(io: Io, name: string): Promise<PinnedManifest | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readSmallFile(resolvePath(io, name), MAX_MANIFEST);
  } catch (error) {
    if (error instanceof BootsealError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT')
      return undefined;
    throw error;
  }
  const pinned = parseVerityManifest(decodeUtf8(bytes, name), name);
  return pinned === undefined ? undefined : { ...pinned, name };
}

/** Returns the root hash that the data are held against; throws `usage` when nobody says which. */
export function wantedRootHash({ pinned, partitions }: VerityInput, { rootHash }: VerityInputOptions): Uint8Array {
  if (rootHash !== undefined) return rootHash;
  if (pinned !== undefined) return hexToBytes(pinned.rootHash);
  throw new BootsealError('usage', 'which root hash? No manifest is beside the image: give --root-hash', {
    hint:
      partitions === undefined
        ? 'take it from the manifest that image build wrote, or from the measured command line'
        : 'the GUIDs of the partitions spell one, but the host can write both',
  });
}

/** Says what is not as the manifest, or a guest that knows the root hash, would have it; what a kernel could not know. */
export function pinnedProblems(
  { pinned, partitions, table, hashAt, verity }: VerityInput,
  rootHash: Uint8Array,
): string[] {
  const problems: string[] = [];
  if (pinned !== undefined) {
    const where = partitions === undefined ? hashAt : partitions.tree.at;
    const found: Readonly<Record<string, unknown>> = {
      ...{ rootHash: bytesToHex(rootHash), salt: bytesToHex(verity.salt), uuid: verity.uuid },
      ...{ dataBlocks: verity.dataBlocks, dataOffset: partitions?.data.at ?? 0, hashOffset: where },
    };
    const other = Object.keys(found).filter((key) => found[key] !== pinned[key as keyof PinnedVerity]);
    if (other.length > 0) problems.push(`${pinned.name} says otherwise of ${other.join(', ')}`);
    problems.push(...tableProblems(table, pinned.partitionTable, pinned.name));
  }
  if (partitions !== undefined && !spells(partitions, rootHash)) {
    problems.push('the GUIDs of the partitions are not the halves of the root hash: systemd does not find them');
  }
  return problems;
}

/** Options about encrypted disks. */
export const OF_LUKS = ['keyFile', 'header', 'partition', 'keyslot'];

/** Refuses options that are about another disk, when no key is given. Throws `usage`. */
export function checkVerityOptions(options: object): void {
  const other = Object.keys(options).find((name) => OF_LUKS.includes(name));
  if (other === undefined) return;
  throw new BootsealError('usage', `--${other} is for encrypted disks, which need --key-file`, {
    hint: `give --key-file, or leave --${other} out`,
  });
}

/** Says that a command needs a key or such a disk. */
export function neitherKeyNorTree(): BootsealError {
  return new BootsealError(
    'usage',
    'no hash tree is found on the disk, and without --key-file nothing else is opened',
    {
      hint: 'an encrypted disk needs --key-file; where a tree begins that stands behind unknown data, --hash-offset says',
    },
  );
}
