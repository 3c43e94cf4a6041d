/** @module Data with integrity tags for tests: what a Linux kernel wrote, and journals with chosen entries. */
import { COMMIT_ID_SIZE, type IntegrityLayout, TABLE_SECTORS, UNIT } from '../src/core/luks/integrity/layout.ts';
import { findTagScheme } from '../src/core/luks/integrity/schemes.ts';
import type { TaggedSegment } from '../src/core/luks/segment.ts';
import { fixture } from './fixtures.ts';

/** Bytes 1, 2, 3, …: the start of it is the volume key of data without a header. */
const KEY = Uint8Array.from({ length: 96 }, (_, i) => i + 1);

/** Data that a kernel wrote, under the volume key of all of them. */
export interface KernelData {
  readonly name: string;
  readonly segment: TaggedSegment;
  readonly image: Uint8Array;
  readonly key: Uint8Array;
}

function kernelData(
  name: string,
  encryption: string,
  integrity: string,
  sectorSize: number,
  keySize: number,
): KernelData {
  const image = fixture(`luks/kern61-data-${name}.img`);
  const tags = findTagScheme(encryption, integrity, keySize, 'test');
  const segment = { offset: 0, size: image.length, keySize, sectorSize, ivTweak: 0n, tags };
  return { name, segment, image, key: KEY.slice(0, keySize) };
}

export const KERNEL_DATA: readonly KernelData[] = [
  kernelData('hmac-4096', 'aes-xts-plain64', 'hmac(sha256)', 4096, 96),
  kernelData('hmac-512', 'aes-xts-plain64', 'hmac(sha256)', 512, 96),
  kernelData('random-4096', 'aes-xts-random', 'hmac(sha256)', 4096, 96),
  kernelData('gcm-4096', 'aes-gcm-random', 'aead', 4096, 32),
];

/** An entry of a journal: data for the sector at a place. */
export interface SampleEntry {
  readonly entry: number;
  /** Bytes, from the start of the data. */
  readonly at: number;
  readonly cipher: Uint8Array;
  readonly tag: Uint8Array;
}

/** Returns a section of a journal, written with a sequence number from 0 to 3. */
export function journalSection(
  { journal, sectorSize }: IntegrityLayout,
  section: number,
  sequence: number,
  entries: readonly SampleEntry[] = [],
): Uint8Array {
  const out = new Uint8Array(journal.sectionSize);
  const view = new DataView(out.buffer);
  const place = (entry: number) =>
    (entry % TABLE_SECTORS) * UNIT + Math.floor(entry / TABLE_SECTORS) * journal.entrySize;
  for (let entry = 0; entry < journal.entries; entry++) view.setUint32(place(entry) + 4, 0xffffffff, true);
  for (const { entry, at, cipher, tag } of entries) {
    view.setBigUint64(place(entry), BigInt(at) / 512n, true);
    const units = sectorSize / UNIT;
    for (let unit = 0; unit < units; unit++) {
      const last = cipher.subarray((unit + 1) * UNIT - COMMIT_ID_SIZE, (unit + 1) * UNIT);
      out.set(last, place(entry) + 8 + unit * COMMIT_ID_SIZE);
    }
    out.set(tag, place(entry) + 8 + units * COMMIT_ID_SIZE);
    out.set(cipher, TABLE_SECTORS * UNIT + entry * sectorSize);
  }
  for (let sector = 0; sector < out.length / UNIT; sector++) {
    const id = (0x1111111111111111n * BigInt(sequence + 1)) ^ (BigInt(section) << 32n) ^ BigInt(sector);
    view.setBigUint64((sector + 1) * UNIT - COMMIT_ID_SIZE, id, true);
  }
  return out;
}
