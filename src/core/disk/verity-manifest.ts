/** @module The manifest of a disk that dm-verity checks: what makes it trusted, and where it is. It holds nothing secret. */
import { BootsealError } from '../errors.ts';
import { bytesToHex } from '../hex.ts';
import { isObject, type JsonFields, parseObject } from '../json-fields.ts';
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

/** What is read of a manifest again. */
export type PinnedVerity = Pick<
  VerityManifest['verity'],
  'rootHash' | 'salt' | 'uuid' | 'dataBlocks' | 'dataOffset' | 'hashOffset'
> & {
  readonly partitioned: boolean;
  /** As it stands there; null for a disk without one. */
  readonly partitionTable: unknown;
};

/**
 * Reads the manifest of a disk that dm-verity checks; undefined for that of another disk.
 *
 * @throws `format`, `name` in the message, when it is no manifest or something is missing
 */
export function parseVerityManifest(text: string, name: string): PinnedVerity | undefined {
  const broken = (what: string) =>
    new BootsealError('format', `${name}: ${what}`, {
      hint: 'take the manifest that image build wrote, from a copy that you made yourself',
    });
  const manifest = parseObject(text);
  if (manifest === undefined) throw broken('is no JSON object');
  if (manifest['format'] !== 'bootseal-verity-1') return undefined;
  const verity: JsonFields = isObject(manifest['verity']) ? manifest['verity'] : {};
  const { rootHash, salt, uuid, dataBlocks, dataOffset, hashOffset } = verity;
  if (!isText(rootHash, /^[0-9a-f]{64}$/)) throw broken('verity.rootHash is no root hash');
  if (!isText(salt, /^([0-9a-f]{2}){0,256}$/)) throw broken('verity.salt is no salt');
  if (!isText(uuid, /^[0-9a-f-]{36}$/)) throw broken('verity.uuid is no UUID');
  if (!isSize(dataBlocks) || !isSize(dataOffset) || !isSize(hashOffset)) throw broken('verity has no sizes');
  const { partitionTable } = manifest;
  const partitioned = typeof partitionTable === 'object' && partitionTable !== null;
  return { rootHash, salt, uuid, dataBlocks, dataOffset, hashOffset, partitioned, partitionTable };
}

const isText = (value: unknown, form: RegExp): value is string => typeof value === 'string' && form.test(value);

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
