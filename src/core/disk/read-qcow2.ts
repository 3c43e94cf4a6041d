/** @module A qcow2 image read as the disk that is in it. No file but the image itself is ever opened, whatever it names. */
import type { Disk } from '../luks/disk.ts';
import type { Places } from './in-place.ts';
import { qcow2Places } from './qcow2-in-place.ts';
import { type Qcow2Tables, readQcow2Tables } from './qcow2-tables.ts';

/** The disk in an image. */
export interface Qcow2Disk extends Disk {
  /** Where it can be overwritten. */
  readonly places: Places;
}

/** Returns the disk in a qcow2 image, undefined when it is none. Throws `format` when it is one that cannot be read; `io`. */
export async function openQcow2(image: Disk): Promise<Qcow2Disk | undefined> {
  const tables = await readQcow2Tables(image);
  if (tables === undefined) return undefined;
  return { size: tables.size, read: reader(image, tables), places: qcow2Places(image, tables) };
}

function reader(image: Disk, { size, clusterSize, cluster }: Qcow2Tables): Disk['read'] {
  return async (at, length) => {
    const out = new Uint8Array(Math.max(0, Math.min(length, size - at)));
    for (let done = 0; done < out.length; ) {
      const first = Math.floor((at + done) / clusterSize);
      const within = (at + done) % clusterSize;
      const found = (await cluster(first))?.at;
      // Clusters that lie behind each other are read at once.
      let count = clusterSize - within;
      for (let next = first + 1; done + count < out.length; next++, count += clusterSize) {
        const place = (await cluster(next))?.at;
        if (place !== (found === undefined ? undefined : found + (next - first) * clusterSize)) break;
      }
      count = Math.min(count, out.length - done);
      // What is not there is zero, also behind the end of the file.
      if (found !== undefined) out.set(await image.read(found + within, count), done);
      done += count;
    }
    return out;
  };
}
