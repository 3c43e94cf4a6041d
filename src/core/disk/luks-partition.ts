/** @module Where on a disk the LUKS image is: all of it, or one of its partitions. */
import { BootsealError } from '../errors.ts';
import { type Disk, slice } from '../luks/disk.ts';
import { MAGIC } from '../luks/header.ts';
import { quoted } from '../luks/quote.ts';
import { ROOT_TYPES } from './partition-types.ts';
import { type Gpt, type Partition, readGpt } from './read-gpt.ts';

/** What is looked for. */
export interface Wanted {
  /** Number of the partition that it must be. */
  readonly partition: number | undefined;
  /** Whether the header is elsewhere, so that the data look like nothing. */
  readonly detached: boolean;
}

/** A LUKS image as a disk of its own. */
export interface Found {
  readonly disk: Disk;
  /** Undefined where it is not in a partition. */
  readonly partition: Partition | undefined;
  /** Of the whole disk; undefined where it has none. */
  readonly table: Gpt | undefined;
}

const ROOTS = Object.values(ROOT_TYPES).map(({ root }) => root);

/**
 * Finds the LUKS image on a disk: without being told, it is the one partition that starts as LUKS does or, with a detached
 * header, the one root.
 *
 * @throws `format` for a broken partition table and for one in which no partition is it; `usage` when several may be, and when the
 * one wanted does not exist; `io`
 */
export async function findLuks(disk: Disk, { partition: wanted, detached }: Wanted): Promise<Found> {
  const gpt = (await isLuks(disk)) ? undefined : await readGpt(disk);
  if (gpt === undefined) {
    if (wanted === undefined) return { disk, partition: undefined, table: gpt };
    throw new BootsealError('usage', 'the disk has no partition table (GPT) that --partition could be about', {
      hint: 'leave --partition out',
    });
  }
  const { partitions } = gpt;
  const inside = ({ at, size }: Partition): Disk => slice(disk, at, size);
  if (wanted !== undefined) {
    const partition = partitions.find(({ number }) => number === wanted);
    if (partition !== undefined) return { disk: inside(partition), partition, table: gpt };
    throw new BootsealError('usage', `the disk has no partition ${wanted}`, {
      hint: `there are: ${partitions.map(named).join(', ') || 'none'}`,
    });
  }
  const candidates: Partition[] = [];
  for (const partition of partitions) {
    if (detached ? ROOTS.includes(partition.type) : await isLuks(inside(partition))) candidates.push(partition);
  }
  const [partition, another] = candidates;
  if (partition === undefined) {
    const what = detached ? 'is a root' : 'has a LUKS header';
    throw new BootsealError('format', `no partition of the disk ${what}`, { hint: HINT });
  }
  if (another !== undefined) {
    throw new BootsealError('usage', `it may be each of the partitions ${candidates.map(named).join(', ')}`, {
      hint: HINT,
    });
  }
  return { disk: inside(partition), partition, table: gpt };
}

const HINT = 'say which one with --partition';

const named = ({ number, name }: Partition): string => `${number} (${quoted(name)})`;

async function isLuks(disk: Disk): Promise<boolean> {
  const start = await disk.read(0, MAGIC.primary.length);
  return start.length === MAGIC.primary.length && MAGIC.primary.every((byte, i) => start[i] === byte);
}
