/**
 * @module The shape of a disk around a LUKS image: a plan goes in, and one comes out in which everything has moved to where it
 * stands on the whole disk. Shapes can be put around each other.
 */
import { u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type Guid, randomGuid } from '../guid.ts';
import type { Extent, Plan, Random } from '../luks/plan.ts';
import { type FatNode, planFat32 } from './fat32.ts';
import { encodeGpt, type GptPlaces, type NewPartition, placePartitions } from './gpt.ts';
import { type Architecture, ESP_TYPE, ROOT_TYPES } from './partition-types.ts';
import type { Units } from './units.ts';

/** A file that is copied to a place in the image, as it is. */
export interface FileExtent {
  readonly kind: 'file';
  readonly file: 'image';
  readonly at: number;
  readonly size: number;
  /** The name that its reader was planned with. */
  readonly source: string;
}

export type DiskExtent = Extent | FileExtent;

/** A plan whose image may also have files that are not encrypted. */
export interface DiskPlan extends Omit<Plan, 'extents'> {
  readonly extents: readonly DiskExtent[];
  readonly partitionTable: PartitionTable | undefined;
  readonly format: 'raw' | 'qcow2';
  /** Bytes that the guest sees; `imageSize` is what the file has. */
  readonly diskSize: number;
}

/** What is said of a partition table in the manifest; numbers are bytes from the start of the disk. */
export interface PartitionTable {
  readonly type: 'gpt';
  readonly guid: Guid;
  readonly partitions: readonly {
    readonly number: number;
    readonly name: string;
    readonly type: Guid;
    readonly guid: Guid;
    readonly offset: number;
    readonly bytes: number;
    /** Of 64 bits, hexadecimal: JSON has no integers so large. */
    readonly attributes: string;
  }[];
}

/** An EFI system partition. */
export interface EspOptions {
  readonly files: readonly FatNode[];
  /** Bytes: whole MiB; undefined for as much as the files need, with room for others. */
  readonly size: number | undefined;
}

export interface GptOptions {
  readonly architecture: Architecture;
  readonly esp: EspOptions | undefined;
}

const MIB = 1 << 20;
const MIN_ESP = 64 * MIB;

/** Returns a plan as the disk that it is by itself. */
export function bareDisk(plan: Plan): DiskPlan {
  return { ...plan, partitionTable: undefined, format: 'raw', diskSize: plan.imageSize };
}

/**
 * Leaves out what is in none of these units of the data: what stands there on the disk is then not ciphertext.
 *
 * @throws `usage` for data with integrity tags: a sector without its tag is an error to the guest
 */
export function sparseDisk(disk: DiskPlan, used: Units): DiskPlan {
  if (disk.sectors.tags !== undefined) {
    throw new BootsealError('usage', 'with --integrity no sector can be left out: each has a tag that must be right', {
      hint: 'leave --sparse or --integrity out',
    });
  }
  const extents = disk.extents.map((extent) => (extent.kind === 'data' ? { ...extent, used } : extent));
  return { ...disk, extents };
}

/**
 * Puts a GPT around a LUKS image, which becomes the root partition, behind an EFI system partition where one is wanted.
 *
 * @param random used for GUIDs and the FAT's volume id, after all that the plan itself took
 * @throws `usage` when the files of the EFI system partition do not fit or cannot be held
 */
export function gptDisk(plan: Plan, { architecture, esp }: GptOptions, random: Random): DiskPlan {
  const guid = randomGuid(random);
  const root = partition(ROOT_TYPES[architecture].root, `root-${architecture}`, plan.imageSize, random);
  const places = placePartitions(esp === undefined ? [root] : [espPartition(esp, random), root]);
  const rootAt = places.partitions.at(-1)?.at ?? 0;
  return {
    ...plan,
    format: 'raw',
    diskSize: places.diskSize,
    imageSize: places.diskSize,
    extents: [
      ...(esp === undefined ? [] : espExtents(esp, places.partitions[0]?.at ?? 0, random)),
      ...plan.extents.map((extent) => moved(extent, rootAt)),
      ...encodeGpt(places, guid).map((part): DiskExtent => ({ kind: 'bytes', file: 'image', ...part })),
    ],
    partitionTable: describeTable(places, guid),
  };
}

/** Returns the attributes of a partition as a manifest has them. */
export const attributesText = (attributes: bigint): string => `0x${attributes.toString(16)}`;

/** Says what a table says. */
export function describeTable({ partitions }: GptPlaces, guid: Guid): PartitionTable {
  return {
    type: 'gpt',
    guid,
    partitions: partitions.map(({ number, name, type, guid: own, at, size, attributes }) => {
      return { number, name, type, guid: own, offset: at, bytes: size, attributes: attributesText(attributes) };
    }),
  };
}

/** Returns the partition that is wanted; throws `usage` for one that is not whole MiB. */
export function espPartition(esp: EspOptions, random: Random): NewPartition {
  const size = espSize(esp);
  if (size % MIB !== 0) {
    throw new BootsealError('usage', `an EFI system partition of ${size} bytes is not whole MiB`, {
      hint: 'give --esp-size in MiB, such as 64M',
    });
  }
  return partition(ESP_TYPE, 'esp', size, random);
}

const espSize = ({ files, size }: EspOptions): number => size ?? roomFor(files);

/** Returns what goes into an EFI system partition at this place of the disk. */
export function espExtents(esp: EspOptions, at: number, random: Random): readonly DiskExtent[] {
  const volumeId = u32le.decode(random(4), 0, 'volume id');
  const extents = planFat32(esp.files, { size: espSize(esp), at, volumeId });
  return extents.map((extent): DiskExtent => ({ ...extent, file: 'image', at: at + extent.at }));
}

function partition(type: Guid, name: string, size: number, random: Random): NewPartition {
  return { type, guid: randomGuid(random), name, size, attributes: 0n };
}

/** Moves what stands in the image; a detached header stays where it is. */
export function moved<E extends DiskExtent>(extent: E, by: number): E {
  return extent.file === 'image' ? { ...extent, at: extent.at + by } : extent;
}

/** Twice the files, so that a kernel can be replaced by the next before it is removed. */
function roomFor(files: readonly FatNode[]): number {
  return Math.max(MIN_ESP, 2 * Math.ceil(sizeOf(files) / MIB) * MIB);
}

/** Each file and folder at least a cluster of the largest size. */
function sizeOf(nodes: readonly FatNode[]): number {
  return nodes.reduce((sum, node) => {
    return sum + (node.kind === 'file' ? node.size : sizeOf(node.entries)) + 32768;
  }, 0);
}
