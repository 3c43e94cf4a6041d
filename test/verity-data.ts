/** @module The data of vectors/verity.json. */
import { createHash } from 'node:crypto';

/** What veritysetup made of them. */
export interface VerityVectors {
  readonly salt: string;
  readonly uuid: string;
  readonly cases: readonly {
    readonly blocks: number;
    readonly rootHash: string;
    readonly treeBytes: number;
    readonly treeSha256: string;
    /** Hexadecimal digits of 512 bytes. */
    readonly superblock?: string;
  }[];
}

/** Returns blocks of 4096 bytes that hold their own number, 32 bits each, over and over. */
export function numberedBlocks(count: number): Uint8Array {
  const words = new Uint32Array(count * 1024);
  for (let i = 0; i < count; i++) words.fill(i, i * 1024, (i + 1) * 1024);
  return new Uint8Array(words.buffer);
}

/** A tree over some data, as veritysetup with other options makes it: for readers. */
export interface SampleTree {
  readonly superblock: Uint8Array;
  /** From the start of the disk that the superblock stands on. */
  readonly hashes: Uint8Array;
  readonly rootHash: Uint8Array;
}

/** What a sample is made with; the superblock stands at `hashAt` behind zeros. */
export interface SampleOptions {
  readonly algorithm?: 'sha256' | 'sha512';
  readonly salt?: Uint8Array;
  readonly dataBlock?: number;
  readonly hashBlock?: number;
  readonly hashAt?: number;
}

/** Returns a tree, level by level and one digest after the other. */
export function sampleTree(data: Uint8Array, options: SampleOptions = {}): SampleTree {
  const { algorithm = 'sha256', salt = new Uint8Array(0), dataBlock = 4096, hashBlock = 4096, hashAt = 0 } = options;
  const digest = (block: Uint8Array) => createHash(algorithm).update(salt).update(block).digest();
  const superblock = Buffer.alloc(512);
  superblock.write('verity\0\0', 0, 'latin1');
  superblock.writeUInt32LE(1, 8);
  superblock.writeUInt32LE(1, 12);
  Buffer.from('0123456789abcdef0011223344556677', 'hex').copy(superblock, 16);
  superblock.write(algorithm, 32, 'latin1');
  superblock.writeUInt32LE(dataBlock, 64);
  superblock.writeUInt32LE(hashBlock, 68);
  superblock.writeBigUInt64LE(BigInt(data.length / dataBlock), 72);
  superblock.writeUInt16LE(salt.length, 80);
  superblock.set(salt, 88);
  const levels: Buffer[] = [];
  let digests = split(data, dataBlock).map(digest);
  while (digests.length > 1) {
    const packed = Buffer.concat(digests);
    const level = Buffer.concat([packed, Buffer.alloc(-packed.length & (hashBlock - 1))]);
    levels.unshift(level);
    digests = split(level, hashBlock).map(digest);
  }
  const before = Buffer.alloc(Math.ceil((hashAt + 512) / hashBlock) * hashBlock);
  before.set(superblock, hashAt);
  const [rootHash = Buffer.alloc(0)] = digests;
  return { superblock, hashes: new Uint8Array(Buffer.concat([before, ...levels])), rootHash };
}

function split(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: bytes.length / size }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}
