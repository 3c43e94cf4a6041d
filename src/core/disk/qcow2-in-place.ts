/**
 * @module Which bytes of the disk in a qcow2 image can be overwritten in its file (QEMU, docs/interop/qcow2.txt, "Cluster mapping" and
 * "Host cluster management"): those of clusters that are allocated and that nothing else refers to. Its tables stay as they are.
 */
import { BootsealError } from '../errors.ts';
import { type Disk, readExactly } from '../luks/disk.ts';
import type { Place, Places } from './in-place.ts';
import type { Cluster, Qcow2Tables } from './qcow2-tables.ts';

const MAX_REFCOUNT_ORDER = 6;
/** The lower bits of an entry are reserved. */
const ENTRY_OFFSET = 0xffff_ffff_ffff_fe00n;

const WHOLE = {
  hint: 'on a machine of yours, qemu-img convert -O qcow2 -S 0 IMAGE NEW makes one that can be changed in place',
};

/** Returns the places of the disk in an image. They throw `format` for what cannot be overwritten there. */
export function qcow2Places(image: Disk, tables: Qcow2Tables): Places {
  const { clusterSize, size: diskSize, autoclear, cluster } = tables;
  // Clusters of the file, and which cluster of the disk each is.
  const taken = new Map<number, number>();
  return async (at, size) => {
    if (at + size > diskSize) throw broken(`${size} bytes at ${at} are beyond the end of its disk`);
    if (autoclear !== 0n) throw broken('it has features, such as bitmaps, that a change in place would make wrong');
    const places: Place[] = [];
    for (let done = 0; done < size; ) {
      const number = Math.floor((at + done) / clusterSize);
      const within = (at + done) % clusterSize;
      const found = await cluster(number);
      const where = `cluster ${number} of its disk`;
      if (found === undefined) throw broken(`${where} is not allocated`);
      await checkOwn(image, tables, found, where);
      if ((taken.get(found.at) ?? number) !== number) throw broken(`${where} is another one at the same time`);
      taken.set(found.at, number);
      const length = Math.min(clusterSize - within, size - done);
      append(places, { at: found.at + within, size: length });
      done += length;
    }
    return places;
  };
}

function append(places: Place[], next: Place): void {
  const last = places.at(-1);
  if (last === undefined || last.at + last.size !== next.at) places.push(next);
  else places[places.length - 1] = { at: last.at, size: last.size + next.size };
}

/** Throws `format` for a cluster of a snapshot, and for one that is a table as well. */
async function checkOwn(image: Disk, tables: Qcow2Tables, { at, copied, tableAt }: Cluster, where: string) {
  const { clusterSize, header } = tables;
  const refcounts = await readRefcount(image, tables, at / clusterSize);
  if (!copied || refcounts.count !== 1n) {
    throw broken(`${where} has ${refcounts.count} references: a snapshot has it too, or the counts are wrong`);
  }
  const metadata = [
    { from: Number(header.l1TableOffset), size: header.l1Size * 8 },
    { from: Number(header.refcountTableOffset), size: header.refcountTableClusters * clusterSize },
    { from: refcounts.blockAt, size: clusterSize },
    { from: tableAt, size: clusterSize },
  ];
  if (metadata.some(({ from, size }) => at < from + size && from < at + clusterSize)) {
    throw broken(`${where} is where its tables are`);
  }
}

/** Returns the number of references to a cluster of the file, and where the block is that says so. */
async function readRefcount(
  image: Disk,
  { header, refcountOrder, clusterSize }: Qcow2Tables,
  cluster: number,
): Promise<{ count: bigint; blockAt: number }> {
  if (refcountOrder > MAX_REFCOUNT_ORDER) throw broken(`its counts of references have 2^${refcountOrder} bits`);
  const bits = 2 ** refcountOrder;
  const perBlock = (clusterSize * 8) / bits;
  const i = Math.floor(cluster / perBlock);
  if (i * 8 >= header.refcountTableClusters * clusterSize) throw broken('it counts no references');
  const entry = await number(image, header.refcountTableOffset + BigInt(i * 8), 8);
  const blockAt = entry & ENTRY_OFFSET;
  if (blockAt === 0n || blockAt !== entry || blockAt % BigInt(clusterSize) !== 0n) {
    throw broken('its counts of references are not as they must be');
  }
  const bit = (cluster % perBlock) * bits;
  // Counts of less than a byte begin at its lowest bit, those of more are big-endian.
  const bytes = await number(image, blockAt + BigInt(Math.floor(bit / 8)), Math.max(1, bits / 8));
  const count = bits < 8 ? (bytes >> BigInt(bit % 8)) & BigInt(2 ** bits - 1) : bytes;
  return { count, blockAt: Number(blockAt) };
}

async function number(image: Disk, at: bigint, size: number): Promise<bigint> {
  if (at >= BigInt(image.size)) throw broken('its counts of references are beyond the end of the file');
  const bytes = await readExactly(image, Number(at), size, 'the counts of references of qcow2');
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function broken(what: string): BootsealError {
  return new BootsealError('format', `qcow2 image: ${what}`, WHOLE);
}
