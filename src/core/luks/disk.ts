/** @module What an image is read through: a file, a block device, or bytes in memory. */
import { BootsealError } from '../errors.ts';

/** What to do about an image that is shorter than its headers say. */
export const CUT_SHORT = {
  hint: 'it was cut short, or its header was changed: take a copy that you made yourself',
} as const;

/** Bytes that can be read at any place. */
export interface Disk {
  /** Bytes. */
  readonly size: number;
  /** Returns `size` bytes from `at`, fewer where the disk ends. Throws `io`. */
  read(at: number, size: number): Promise<Uint8Array>;
}

/** Returns exactly `size` bytes; throws `format` naming `what` when the disk ends before. */
export async function readExactly(disk: Disk, at: number, size: number, what: string): Promise<Uint8Array> {
  if (at + size > disk.size) throw endsBefore(disk, what);
  const bytes = await disk.read(at, size);
  if (bytes.length !== size) throw endsBefore(disk, what);
  return bytes;
}

function endsBefore({ size }: Disk, what: string): BootsealError {
  return new BootsealError('format', `the image ends after ${size} bytes, before the end of ${what}`, CUT_SHORT);
}

/** Returns a part of a disk as a disk of its own. */
export function slice({ read }: Disk, at: number, size: number): Disk {
  return { size, read: (from, length) => read(at + from, Math.max(0, Math.min(length, size - from))) };
}
