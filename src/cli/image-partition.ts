/** @module What `image inspect` says of what an image is in: format of the file, and partition. */
import type { Partition } from '../core/disk/read-gpt.ts';
import { quoted } from '../core/luks/quote.ts';

/** In the object of --json; offsets and sizes are bytes. */
export interface PartitionDescription {
  readonly number: number;
  readonly name: string;
  readonly type: string;
  readonly guid: string;
  readonly offset: number;
  readonly bytes: number;
}

/** Describes a partition; null for a whole disk. */
export function describePartition(partition: Partition | undefined): PartitionDescription | null {
  if (partition === undefined) return null;
  const { number, name, type, guid, at, size } = partition;
  return { number, name, type, guid, offset: at, bytes: size };
}

/** Returns lines about what the image is in, none for a raw disk without partitions. */
export function containerText({
  imageFormat,
  partition,
}: {
  readonly imageFormat: 'raw' | 'qcow2';
  readonly partition: PartitionDescription | null;
}): string {
  const format = imageFormat === 'raw' ? '' : `format: ${imageFormat}\n`;
  if (partition === null) return format;
  const { number, name, type, offset, bytes } = partition;
  return `${format}GPT: partition ${number}, ${quoted(name)}, type ${type}: ${bytes} bytes from ${offset}\n`;
}
