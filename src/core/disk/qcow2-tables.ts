/**
 * @module The tables of a qcow2 image that somebody else may have made (QEMU, docs/interop/qcow2.txt): versions 2 and 3 without a
 * backing file, encryption and compression. They say where in the file each cluster of the disk is.
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
/** What version 2 has without saying so: counts of 16 bits. */
const REFCOUNT_ORDER_2 = 4;

/** Bits of the incompatible features, which who does not know them must refuse. */
const FEATURES = ['dirty', 'corrupt', 'external data file', 'compression type', 'extended L2 entries'];

const CONVERT = { hint: 'on a machine of yours, qemu-img convert -O raw IMAGE DISK makes a disk that can be read' };

/** An image whose header is right as far as it was read. */
export interface Qcow2Tables {
  readonly header: ReturnType<typeof Qcow2Header.unpack>;
  /** Bits of features that whoever writes without knowing them makes wrong. */
  readonly autoclear: bigint;
  /** A count of references has 2^n bits. */
  readonly refcountOrder: number;
  /** Bytes. */
  readonly clusterSize: number;
  /** Bytes of the disk in it. */
  readonly size: number;
  /** Says where a cluster of the disk is; undefined for one of zeros. Throws `format` for a table that breaks a rule; `io`. */
  cluster(number: number): Promise<Cluster | undefined>;
}

/** A cluster that is there. */
export interface Cluster {
  /** Bytes from the start of the file. */
  readonly at: number;
  /** Whether the tables say that nothing else, such as a snapshot, has it too. */
  readonly copied: boolean;
  /** Where the table that names it is. */
  readonly tableAt: number;
}

/** Returns the tables of a qcow2 image, undefined when it is none. Throws `format` when it is one that cannot be read; `io`. */
export async function readQcow2Tables(image: Disk): Promise<Qcow2Tables | undefined> {
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
  const features = version === 3 ? Qcow2Features.unpack(start, Qcow2Header.size) : undefined;
  if (features !== undefined) checkFeatures(features.incompatible);
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
  return {
    ...{ header, clusterSize, size, cluster: clusterFinder(image, { clusterSize, version, l1 }) },
    ...{ autoclear: features?.autoclear ?? 0n, refcountOrder: features?.refcountOrder ?? REFCOUNT_ORDER_2 },
  };
}

function checkFeatures(incompatible: bigint): void {
  for (let bit = 0; bit < 64; bit++) {
    if (((incompatible >> BigInt(bit)) & 1n) === 0n) continue;
    const name = FEATURES[bit];
    throw broken(name === undefined ? `it has the unknown feature ${bit}` : `it has the feature "${name}"`);
  }
}

/** Where the tables are that a cluster is looked up in. */
interface Lookup {
  readonly clusterSize: number;
  readonly version: number;
  readonly l1: DataView;
}

function clusterFinder(image: Disk, { clusterSize, version, l1 }: Lookup): Qcow2Tables['cluster'] {
  const perTable = clusterSize / 8;
  const cache = new Map<number, DataView>();
  const most = Math.max(1, Math.floor(CACHE / clusterSize));
  const table = async (at: number): Promise<DataView> => {
    const known = cache.get(at);
    if (known !== undefined) return known;
    const found = view(await readExactly(image, at, clusterSize, 'a second table of qcow2'));
    const [oldest] = cache.keys();
    if (cache.size >= most && oldest !== undefined) cache.delete(oldest);
    cache.set(at, found);
    return found;
  };
  return async (number) => {
    const tableAt = offsetOf(l1, Math.floor(number / perTable), 'L1', clusterSize, image.size);
    if (tableAt === undefined) return undefined;
    const l2 = await table(tableAt);
    const i = number % perTable;
    const high = l2.getUint32(8 * i);
    const low = l2.getUint32(8 * i + 4);
    if ((high & 0x40000000) !== 0) throw broken('it has compressed clusters');
    // Version 3 has a bit for clusters that read as zeros whatever they hold.
    if (version === 3 && (low & 1) === 1) return undefined;
    const at = offsetOf(l2, i, 'L2', clusterSize, image.size);
    return at === undefined ? undefined : { at, copied: (high & 0x80000000) !== 0, tableAt };
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
