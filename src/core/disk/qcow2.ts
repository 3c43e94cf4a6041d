/**
 * @module A disk as a new qcow2 image of version 3 (QEMU, docs/interop/qcow2.txt). Its tables stand in front of a disk that is
 * otherwise as it was: each cluster of the guest is at its own place behind them, so that whoever writes it need not know.
 */
import { layout, magic, u32be, u64be } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type DiskExtent, type DiskPlan, moved } from './shape.ts';
import { holds, markUnits, noUnits, runsOf, UNIT, type Units } from './units.ts';

/** The part that versions 2 and 3 have in common. */
export const Qcow2Header = layout('qcow2 header', {
  magic: magic(Uint8Array.of(0x51, 0x46, 0x49, 0xfb)),
  version: u32be,
  backingFileOffset: u64be,
  backingFileSize: u32be,
  clusterBits: u32be,
  size: u64be,
  cryptMethod: u32be,
  l1Size: u32be,
  l1TableOffset: u64be,
  refcountTableOffset: u64be,
  refcountTableClusters: u32be,
  snapshotCount: u32be,
  snapshotsOffset: u64be,
});

/** What version 3 has behind it. */
export const Qcow2Features = layout('qcow2 header, version 3', {
  incompatible: u64be,
  compatible: u64be,
  autoclear: u64be,
  refcountOrder: u32be,
  headerLength: u32be,
});

const CLUSTER_BITS = 16;
const CLUSTER = UNIT;
/** 16 bits for each cluster. */
const REFCOUNT_ORDER = 4;
const REFCOUNTS_PER_BLOCK = CLUSTER / 2;
const ENTRIES_PER_TABLE = CLUSTER / 8;
/** Bit 63: the one reference there is, so that the cluster may be written to. */
const COPIED = 0x80000000;
/** The tables of a larger disk would not fit into the memory that a build may take. */
const MAX_SIZE = 2 ** 40;

/** Where everything is, in clusters. */
interface Places {
  readonly refcountTable: number;
  readonly refcountTableLength: number;
  readonly refcountBlocks: number;
  readonly refcountBlockCount: number;
  readonly l1: number;
  readonly l1Entries: number;
  readonly l2: number;
  readonly data: number;
  readonly end: number;
}

/**
 * Puts a disk into a qcow2 image. Clusters that nothing is written to are not allocated: the guest reads zeros there.
 *
 * @throws `usage` for a disk of more than 1 TiB
 */
export function qcow2Image(disk: DiskPlan): DiskPlan {
  const { imageSize: size } = disk;
  if (size > MAX_SIZE) {
    throw new BootsealError(
      'usage',
      `a disk of ${size} bytes is too large for --format qcow2, which takes 1 TiB here`,
      {
        hint: 'make a raw one; qemu-img convert -O qcow2 makes a qcow2 of it',
      },
    );
  }
  const places = placesOf(Math.ceil(size / CLUSTER));
  const held = heldUnits(disk.extents, size);
  const tables = [
    { at: places.refcountTable, bytes: refcountTable(places) },
    { at: places.refcountBlocks, bytes: refcountBlocks(places, held) },
    { at: places.l1, bytes: l1Table(places) },
    { at: places.l2, bytes: l2Tables(places, held) },
    // Without it the rest is nothing.
    { at: 0, bytes: header(places, size) },
  ];
  return {
    ...disk,
    format: 'qcow2',
    imageSize: places.end * CLUSTER,
    extents: [
      ...disk.extents.map((extent) => moved(extent, places.data * CLUSTER)),
      ...tables.map(({ at, bytes }): DiskExtent => ({ kind: 'bytes', file: 'image', at: at * CLUSTER, bytes })),
    ],
  };
}

function placesOf(clusters: number): Places {
  const l2Count = Math.ceil(clusters / ENTRIES_PER_TABLE);
  const l1Length = Math.ceil(l2Count / ENTRIES_PER_TABLE);
  // Reference counts count themselves as well: as many more blocks as it takes.
  let blocks = 1;
  for (;;) {
    const tableLength = Math.ceil(blocks / ENTRIES_PER_TABLE);
    const end = 1 + tableLength + blocks + l1Length + l2Count + clusters;
    if (blocks * REFCOUNTS_PER_BLOCK >= end) {
      const l1 = 1 + tableLength + blocks;
      return {
        ...{ refcountTable: 1, refcountTableLength: tableLength },
        ...{ refcountBlocks: 1 + tableLength, refcountBlockCount: blocks },
        ...{ l1, l1Entries: l2Count, l2: l1 + l1Length, data: l1 + l1Length + l2Count, end },
      };
    }
    blocks++;
  }
}

/** Returns the clusters of the guest that something is written to. */
function heldUnits(extents: readonly DiskExtent[], size: number): Units {
  const units = noUnits(size);
  for (const extent of extents) {
    if (extent.file !== 'image') continue;
    const length = lengthOf(extent);
    const used = extent.kind === 'data' ? extent.used : undefined;
    const runs = used === undefined ? [[0, length] as const] : runsOf(used, 0, length);
    for (const [from, to] of runs) markUnits(units, extent.at + from, extent.at + to);
  }
  return units;
}

/** Data with tags are spread over all that their start lays out. */
function lengthOf(extent: DiskExtent): number {
  if (extent.kind === 'bytes') return extent.bytes.length;
  return extent.kind === 'integrity' ? extent.layout.size : extent.size;
}

function header({ l1, l1Entries, refcountTable: table, refcountTableLength }: Places, size: number): Uint8Array {
  const bytes = new Uint8Array(CLUSTER);
  const common = Qcow2Header.pack({
    version: 3,
    backingFileOffset: 0n,
    backingFileSize: 0,
    clusterBits: CLUSTER_BITS,
    size: BigInt(size),
    cryptMethod: 0,
    l1Size: l1Entries,
    l1TableOffset: BigInt(l1 * CLUSTER),
    refcountTableOffset: BigInt(table * CLUSTER),
    refcountTableClusters: refcountTableLength,
    snapshotCount: 0,
    snapshotsOffset: 0n,
  });
  bytes.set(common);
  const headerLength = Qcow2Header.size + Qcow2Features.size;
  const none = { incompatible: 0n, compatible: 0n, autoclear: 0n };
  bytes.set(Qcow2Features.pack({ ...none, refcountOrder: REFCOUNT_ORDER, headerLength }), common.length);
  return bytes;
}

function refcountTable({ refcountBlocks: first, refcountBlockCount, refcountTableLength }: Places): Uint8Array {
  const table = new DataView(new ArrayBuffer(refcountTableLength * CLUSTER));
  for (let i = 0; i < refcountBlockCount; i++) setOffset(table, i, first + i, 0);
  return new Uint8Array(table.buffer);
}

/** Counts one reference to everything that is there. */
function refcountBlocks({ refcountBlockCount, data, end }: Places, held: Units): Uint8Array {
  const counts = new DataView(new ArrayBuffer(refcountBlockCount * CLUSTER));
  for (let cluster = 0; cluster < end; cluster++) {
    if (cluster < data || holds(held, cluster - data)) counts.setUint16(2 * cluster, 1);
  }
  return new Uint8Array(counts.buffer);
}

function l1Table({ l1, l2, l1Entries }: Places): Uint8Array {
  const table = new DataView(new ArrayBuffer((l2 - l1) * CLUSTER));
  for (let i = 0; i < l1Entries; i++) setOffset(table, i, l2 + i, COPIED);
  return new Uint8Array(table.buffer);
}

function l2Tables({ l1Entries, data, end }: Places, held: Units): Uint8Array {
  const table = new DataView(new ArrayBuffer(l1Entries * CLUSTER));
  for (let i = 0; i < end - data; i++) if (holds(held, i)) setOffset(table, i, data + i, COPIED);
  return new Uint8Array(table.buffer);
}

/** Writes an entry of 64 bits as two numbers: a BigInt for each cluster would take longer than everything else. */
function setOffset(table: DataView, i: number, cluster: number, flags: number): void {
  const at = cluster * CLUSTER;
  table.setUint32(8 * i, (Math.floor(at / 2 ** 32) | flags) >>> 0);
  table.setUint32(8 * i + 4, at >>> 0);
}
