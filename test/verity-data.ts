/** @module The data of vectors/verity.json. */

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
