/**
 * @module A qcow2 image that somebody else may have made, read as the disk that is in it (QEMU, docs/interop/qcow2.txt): versions 2
 * and 3 without a backing file, encryption and compression. No file but the image itself is ever opened, whatever it names.
 */
import { BootsealError } from '../errors.ts';
import { type Disk, readExactly } from '../luks/disk.ts';
import { Qcow2Features, Qcow2Header } from './qcow2.ts';

const MAGIC = Uint8Array.of(0x51, 0x46, 0x49, 0xfb);
const MIN_CLUSTER_BITS = 9;
const MAX_CLUSTER_BITS = 21;
/** Bytes; QEMU's own limit (block/qcow2.h, QCOW_MAX_L1_SIZE). */
const MAX_L1 = 32 << 20;
/** Bytes of second tables that are kept. */
const CACHE = 16 << 20;

/** Bits of the incompatible features, which who does not know them must refuse. */
const FEATURES = ['dirty', 'corrupt', 'external data file', 'compression type', 'extended L2 entries'];

const CONVERT = { hint: 'on a machine of yours, qemu-img convert -O raw IMAGE DISK makes a disk that can be read' };

/** Where the clusters of the guest are. */
interface Tables {
  readonly clusterSize: number;
  readonly version: number;
  readonly l1: DataView;
}

/** Returns the disk in a qcow2 image, undefined when it is none. Throws `format` when it is one that cannot be read; `io`. */
export async function openQcow2(image: Disk): Promise<Disk | undefined> {
  const start = await image.read(0, Qcow2Header.size + Qcow2Features.size);
  if (!MAGIC.every((byte, i) => start[i] === byte)) return undefined;
  if (start.length < Qcow2Header.size + Qcow2Features.size) throw broken('it ends within its header');
  const header = Qcow2Header.unpack(start);
  const { version, clusterBits, l1Size } = header;
  if (version !== 2 && version !== 3) throw broken(`version ${version} is not known`);
  if (header.backingFileOffset !== 0n) {
    throw broken('it is a difference to another file, and no file that an image names is opened');
  }
  if (header.cryptMethod !== 0) throw broken('it has the encryption of qcow2 itself');
  if (version === 3) checkFeatures(Qcow2Features.unpack(start, Qcow2Header.size).incompatible);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS)
    throw broken(`clusters of 2^${clusterBits} bytes`);
  const clusterSize = 2 ** clusterBits;
  const size = Number(header.size);
  if (!Number.isSafeInteger(size)) throw broken(`a disk of ${header.size} bytes`);
  const l1Needed = Math.ceil(size / (clusterSize * (clusterSize / 8)));
  if (l1Size < l1Needed) throw broken(`its first table has ${l1Size} entries, and the disk needs ${l1Needed}`);
  if (l1Needed * 8 > MAX_L1) throw broken(`its first table would need ${l1Needed} entries`);
  if (header.l1TableOffset >= BigInt(image.size)) throw broken('its first table is not there');
  const l1 = view(await readExactly(image, Number(header.l1TableOffset), l1Needed * 8, 'the first table of qcow2'));
  return { size, read: reader(image, size, { clusterSize, version, l1 }) };
}

function checkFeatures(incompatible: bigint): void {
  for (let bit = 0; bit < 64; bit++) {
    if (((incompatible >> BigInt(bit)) & 1n) === 0n) continue;
    const name = FEATURES[bit];
    throw broken(name === undefined ? `it has the unknown feature ${bit}` : `it has the feature "${name}"`);
  }
}

function reader(image: Disk, size: number, tables: Tables): Disk['read'] {
  const { clusterSize } = tables;
  const find = clusterFinder(image, tables);
  return async (at, length) => {
    const out = new Uint8Array(Math.max(0, Math.min(length, size - at)));
    for (let done = 0; done < out.length; ) {
      const first = Math.floor((at + done) / clusterSize);
      const within = (at + done) % clusterSize;
      const found = await find(first);
      // Clusters that lie behind each other are read at once.
      let count = clusterSize - within;
      for (let next = first + 1; done + count < out.length; next++, count += clusterSize) {
        const place = await find(next);
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

/** Returns a function that says where a cluster of the guest is in the image, undefined for one of zeros. */
function clusterFinder(
  image: Disk,
  { clusterSize, version, l1 }: Tables,
): (cluster: number) => Promise<number | undefined> {
  const perTable = clusterSize / 8;
  const cache = new Map<number, DataView>();
  const most = Math.max(1, Math.floor(CACHE / clusterSize));
  const table = async (i: number): Promise<DataView | undefined> => {
    const known = cache.get(i);
    if (known !== undefined) return known;
    const at = offsetOf(l1, i, 'L1', clusterSize, image.size);
    if (at === undefined) return undefined;
    const found = view(await readExactly(image, at, clusterSize, 'a second table of qcow2'));
    const [oldest] = cache.keys();
    if (cache.size >= most && oldest !== undefined) cache.delete(oldest);
    cache.set(i, found);
    return found;
  };
  return async (cluster) => {
    const l2 = await table(Math.floor(cluster / perTable));
    if (l2 === undefined) return undefined;
    const i = cluster % perTable;
    const high = l2.getUint32(8 * i);
    const low = l2.getUint32(8 * i + 4);
    if ((high & 0x40000000) !== 0) throw broken('it has compressed clusters');
    // Version 3 has a bit for clusters that read as zeros whatever they hold.
    if (version === 3 && (low & 1) === 1) return undefined;
    return offsetOf(l2, i, 'L2', clusterSize, image.size);
  };
}

/** Reads an entry; undefined for none. */
function offsetOf(table: DataView, i: number, name: string, clusterSize: number, fileSize: number): number | undefined {
  const high = table.getUint32(8 * i);
  const low = table.getUint32(8 * i + 4);
  const at = (high & 0x00ffffff) * 2 ** 32 + low;
  if ((high & 0x7f000000) !== 0 || at % clusterSize !== 0)
    throw broken(`entry ${i} of a table (${name}) is not as it must be`);
  if (at >= fileSize) throw broken(`entry ${i} of a table (${name}) is beyond the end of the file`);
  return at === 0 ? undefined : at;
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function broken(what: string): BootsealError {
  return new BootsealError('format', `qcow2 image: ${what}`, CONVERT);
}
