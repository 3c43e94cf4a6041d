/** @module A qcow2 image with clusters of any size, its data in reverse order and before its tables, unlike those that are built here. */
import { Qcow2Features, Qcow2Header } from '../src/core/disk/qcow2.ts';

/** An image, and where its parts are, in bytes. */
export interface OddImage {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly clusterSize: number;
  /** The disk that is in it. */
  readonly disk: Uint8Array;
  readonly tables: { readonly refcounts: number; readonly blocks: number; readonly l1: number; readonly l2: number };
  /** Where a cluster of the disk is. */
  at(cluster: number): number;
}

/** Makes an image of `count` clusters, all of them allocated; each is filled with a number of its own. */
export function oddImage(clusterBits: number, count: number): OddImage {
  const clusterSize = 2 ** clusterBits;
  const perTable = clusterSize / 8;
  const l2Count = Math.ceil(count / perTable);
  const l1Length = Math.ceil(l2Count / perTable);
  // Counts of 16 bits; a table of two clusters, of which the second has nothing.
  const blocks = Math.ceil(((count + l2Count + l1Length + 3) * 1.1 + 8) / (clusterSize / 2));
  const at = (cluster: number) => (count - cluster) * clusterSize;
  const [refcounts, first] = [(1 + count) * clusterSize, (3 + count) * clusterSize];
  const l1 = first + blocks * clusterSize;
  const l2 = l1 + l1Length * clusterSize;
  const bytes = new Uint8Array(l2 + l2Count * clusterSize);
  const view = new DataView(bytes.buffer);
  const common = {
    ...{ version: 3, backingFileOffset: 0n, backingFileSize: 0, clusterBits, size: BigInt(count * clusterSize) },
    ...{ cryptMethod: 0, l1Size: l2Count, l1TableOffset: BigInt(l1), refcountTableOffset: BigInt(refcounts) },
    ...{ refcountTableClusters: 2, snapshotCount: 0, snapshotsOffset: 0n },
  };
  bytes.set(Qcow2Header.pack(common));
  const features = { incompatible: 0n, compatible: 0n, autoclear: 0n, refcountOrder: 4, headerLength: 104 };
  bytes.set(Qcow2Features.pack(features), Qcow2Header.size);
  const disk = new Uint8Array(count * clusterSize);
  for (let i = 0; i < count; i++) {
    disk.fill(1 + (i % 251), i * clusterSize, (i + 1) * clusterSize);
    bytes.fill(1 + (i % 251), at(i), at(i) + clusterSize);
    view.setBigUint64(l2 + 8 * i, (1n << 63n) | BigInt(at(i)));
  }
  for (let i = 0; i < l2Count; i++) view.setBigUint64(l1 + 8 * i, (1n << 63n) | BigInt(l2 + i * clusterSize));
  for (let i = 0; i < blocks; i++) view.setBigUint64(refcounts + 8 * i, BigInt(first + i * clusterSize));
  for (let i = 0; i < bytes.length / clusterSize; i++) view.setUint16(first + 2 * i, 1);
  return { bytes, view, clusterSize, disk, tables: { refcounts, blocks: first, l1, l2 }, at };
}
