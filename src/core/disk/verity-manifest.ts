/** @module The manifest of a disk that dm-verity checks: what makes it trusted, and where it is. It holds nothing secret. */
import { bytesToHex } from '../hex.ts';
import type { PartitionTable } from './shape.ts';
import { VERITY_BLOCK } from './verity.ts';
import type { VerityPlan } from './verity-disk.ts';

/** The manifest; numbers are bytes. */
export interface VerityManifest {
  readonly format: 'bootseal-verity-1';
  /** Whether it was made with --seed, so that its salt was known before. */
  readonly testOnly: boolean;
  readonly image: string;
  readonly imageBytes: number;
  readonly partitionTable: PartitionTable | null;
  readonly payload: { readonly bytes: number; readonly what: string | null };
  readonly verity: {
    readonly rootHash: string;
    readonly algorithm: 'sha256';
    readonly salt: string;
    readonly uuid: string;
    readonly blockBytes: number;
    readonly dataBlocks: number;
    /** From the start of the disk. */
    readonly dataOffset: number;
    /** Of the superblock, behind which the tree is. */
    readonly hashOffset: number;
  };
  /** What the measured command line must say; without partitions it must name the disk too. */
  readonly cmdline: string;
}

/** Returns the manifest of a disk that was written. */
export function verityManifest(
  { tree, uuid, salt, dataAt, hashAt, diskSize }: VerityPlan,
  rootHash: Uint8Array,
  said: Pick<VerityManifest, 'testOnly' | 'image' | 'partitionTable' | 'payload'>,
): VerityManifest {
  const root = bytesToHex(rootHash);
  return {
    format: 'bootseal-verity-1',
    testOnly: said.testOnly,
    image: said.image,
    imageBytes: diskSize,
    partitionTable: said.partitionTable,
    payload: said.payload,
    verity: {
      ...{ rootHash: root, algorithm: 'sha256', salt: bytesToHex(salt), uuid },
      ...{ blockBytes: VERITY_BLOCK, dataBlocks: tree.dataBlocks, dataOffset: dataAt, hashOffset: hashAt },
    },
    // With partitions systemd finds data and tree by the root hash; else it is told where the tree begins.
    cmdline: `roothash=${root}${said.partitionTable === null ? ` systemd.verity_root_options=hash-offset=${hashAt}` : ''}`,
  };
}

/** Returns the text of a manifest. */
export function printVerityManifest(manifest: VerityManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
