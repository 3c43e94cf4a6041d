/** @module The LUKS image in a file: raw or qcow2, all of the disk or one of its partitions. */
import type { Disk } from '../luks/disk.ts';
import { filePlaces, type Places, placesWithin } from './in-place.ts';
import { type Found, findLuks, type Wanted } from './luks-partition.ts';
import { openQcow2 } from './read-qcow2.ts';

/** A LUKS image in a file. */
export interface FoundImage extends Found {
  /** Of the file. */
  readonly format: 'raw' | 'qcow2';
  /** Bytes of the disk that the file is. */
  readonly diskSize: number;
  /** Where the image can be overwritten. */
  readonly places: Places;
}

/** Finds it; throws as findLuks and openQcow2. */
export async function findImage(file: Disk, wanted: Wanted): Promise<FoundImage> {
  const inner = await openQcow2(file);
  const found = await findLuks(inner ?? file, wanted);
  const { partition } = found;
  const places = inner?.places ?? filePlaces;
  return {
    ...found,
    diskSize: (inner ?? file).size,
    format: inner === undefined ? 'raw' : 'qcow2',
    places: partition === undefined ? places : placesWithin(places, partition.at, partition.size),
  };
}
