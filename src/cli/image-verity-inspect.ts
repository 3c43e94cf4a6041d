/** @module `bootseal image inspect` of a disk with a hash tree (dm-verity): what its superblock says. */
import { spelledRootHash } from '../core/disk/verity-partition.ts';
import { bytesToHex } from '../core/hex.ts';
import { quoted } from '../core/luks/quote.ts';
import { describePartition, type PartitionDescription } from './image-partition.ts';
import { type VerityInput, withVerity } from './image-verity-input.ts';
import type { Io } from './io.ts';

/** The object of --json. Offsets count from the start of the disk; offsets and sizes are bytes. */
interface VerityDescription {
  readonly type: 'verity';
  readonly imageFormat: 'raw' | 'qcow2';
  /** Null for a disk without partitions. */
  readonly dataPartition: PartitionDescription | null;
  readonly treePartition: PartitionDescription | null;
  readonly uuid: string;
  readonly algorithm: string;
  readonly salt: string;
  readonly dataBlocks: number;
  readonly dataBlockBytes: number;
  readonly dataOffset: number;
  readonly hashBlockBytes: number;
  readonly hashOffset: number;
  readonly levels: number;
  /** What the GUIDs of the partitions spell; nobody has checked it. */
  readonly spelledRootHash: string | null;
}

/** Prints what it says; returns false, and prints nothing, when the disk has no tree. Throws as withVerity. */
export async function inspectVerity(io: Io, file: string, json: boolean): Promise<boolean> {
  const found = await withVerity(io, file, {}, async (input) => describe(input));
  if (found === undefined) return false;
  io.stdout.write(json ? `${JSON.stringify(found)}\n` : text(found));
  return true;
}

function describe({ format, partitions, hashAt, verity }: VerityInput): VerityDescription {
  const { uuid, algorithm, salt, dataBlocks, dataBlockSize, hashBlockSize, levels, digestSize } = verity;
  return {
    ...{ type: 'verity', imageFormat: format },
    dataPartition: describePartition(partitions?.data),
    treePartition: describePartition(partitions?.tree),
    ...{ uuid, algorithm, salt: bytesToHex(salt) },
    ...{ dataBlocks, dataBlockBytes: dataBlockSize, dataOffset: partitions?.data.at ?? 0 },
    ...{ hashBlockBytes: hashBlockSize, hashOffset: partitions?.tree.at ?? hashAt, levels: levels.length },
    spelledRootHash: partitions === undefined || digestSize !== 32 ? null : spelledRootHash(partitions),
  };
}

function text(found: VerityDescription): string {
  const { dataPartition, treePartition, dataBlocks, dataBlockBytes } = found;
  const partition = (what: string, described: PartitionDescription | null) =>
    described === null
      ? []
      : [`GPT: partition ${described.number}, ${quoted(described.name)}, type ${described.type}: ${what}`];
  const lines = [
    ...(found.imageFormat === 'raw' ? [] : [`format: ${found.imageFormat}`]),
    `dm-verity, not encrypted, UUID ${found.uuid}`,
    ...partition('the data', dataPartition),
    ...partition('the hash tree', treePartition),
    `data: ${dataBlocks * dataBlockBytes} bytes in blocks of ${dataBlockBytes} from ${found.dataOffset}`,
    `tree: ${found.algorithm}, ${found.levels} levels in blocks of ${found.hashBlockBytes}, superblock at ${found.hashOffset}`,
    `salt: ${found.salt === '' ? 'none' : found.salt}`,
    ...(found.spelledRootHash === null
      ? []
      : [`root hash: ${found.spelledRootHash}, as the GUIDs spell it: image verify checks another copy of it`]),
  ];
  return `${lines.join('\n')}\n`;
}
