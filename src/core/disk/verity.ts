/**
 * @module The hash tree of dm-verity: where it is and what it begins with (cryptsetup, lib/verity/verity.c and verity_hash.c; Linux,
 * Documentation/admin-guide/device-mapper/verity.rst). Format 1: the salt comes before each block.
 */
import { bytes, layout, magic, reserved, u16le, u32le, u64le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type Guid, guidText, parseGuid } from '../guid.ts';
import { bytesToHex, hexToBytes } from '../hex.ts';

export const VERITY_BLOCK = 4096;
export const VERITY_SALT_SIZE = 32;
const DIGEST_SIZE = 32;
const DIGESTS_PER_BLOCK = VERITY_BLOCK / DIGEST_SIZE;

export const VeritySuperblock = layout('verity superblock', {
  signature: magic(Uint8Array.from('verity\0\0', (letter) => letter.charCodeAt(0))),
  version: u32le,
  hashType: u32le,
  uuid: bytes(16),
  algorithm: bytes(32),
  dataBlockSize: u32le,
  hashBlockSize: u32le,
  dataBlocks: u64le,
  saltSize: u16le,
  padding: reserved(6),
  salt: bytes(256),
  more: reserved(168),
});

/** A level of the tree: digests of the blocks of the level below it, the lowest of those of the data. */
export interface VerityLevel {
  /** Bytes from the start of the hash area. */
  readonly at: number;
  /** Blocks. */
  readonly blocks: number;
}

/** Where everything is in a hash area. */
export interface VerityTree {
  readonly dataBlocks: number;
  /** The lowest first; it is the last on the disk. None for a single block of data, whose digest is the root hash. */
  readonly levels: readonly VerityLevel[];
  /** Bytes of the whole hash area. */
  readonly size: number;
}

/** Returns the tree for so many bytes of data, the last block filled up with zeros; throws `usage` for none and for no number. */
export function verityTree(dataSize: number): VerityTree {
  if (!Number.isSafeInteger(dataSize) || dataSize <= 0) {
    throw new BootsealError('usage', `a hash tree needs data: ${dataSize} bytes are none`, {
      hint: 'make the disk from a file that has data',
    });
  }
  const dataBlocks = Math.ceil(dataSize / VERITY_BLOCK);
  // The superblock has the first block, the root the next.
  const { levels, end } = verityLevels(dataBlocks, DIGESTS_PER_BLOCK, VERITY_BLOCK, VERITY_BLOCK);
  return { dataBlocks, levels, size: end };
}

/** Returns the levels over so many blocks of data, the topmost of which stands at `start`, and where the lowest ends; bytes. */
export function verityLevels(
  dataBlocks: number,
  digestsPerBlock: number,
  blockSize: number,
  start: number,
): { readonly levels: readonly VerityLevel[]; readonly end: number } {
  const counts: number[] = [];
  for (let below = dataBlocks; below > 1; ) {
    below = Math.ceil(below / digestsPerBlock);
    counts.push(below);
  }
  let end = start;
  const levels = counts.reverse().map((blocks): VerityLevel => {
    const at = end;
    end += blocks * blockSize;
    return { at, blocks };
  });
  return { levels: levels.reverse(), end };
}

/** Returns the first block of a hash area. */
export function veritySuperblock({ dataBlocks }: VerityTree, uuid: Guid, salt: Uint8Array): Uint8Array {
  const algorithm = new Uint8Array(32);
  algorithm.set(Uint8Array.from('sha256', (letter) => letter.charCodeAt(0)));
  const saltField = new Uint8Array(256);
  saltField.set(salt);
  const block = new Uint8Array(VERITY_BLOCK);
  block.set(
    VeritySuperblock.pack({
      version: 1,
      hashType: 1,
      // In the order of its text, not that of UEFI.
      uuid: hexToBytes(parseGuid(uuid).replaceAll('-', '')),
      algorithm,
      dataBlockSize: VERITY_BLOCK,
      hashBlockSize: VERITY_BLOCK,
      dataBlocks: BigInt(dataBlocks),
      saltSize: salt.length,
      salt: saltField,
    }),
  );
  return block;
}

/**
 * Returns the GUIDs by which a guest that knows only the root hash finds both partitions: its first and its last 128 bits (UAPI
 * Group, Discoverable Partitions Specification).
 */
export function verityGuids(rootHash: Uint8Array): { readonly root: Guid; readonly verity: Guid } {
  const guid = (raw: Uint8Array): Guid => guidText(bytesToHex(raw));
  return { root: guid(rootHash.subarray(0, 16)), verity: guid(rootHash.subarray(-16)) };
}
