/**
 * @module Whether QEMU works with a file: it locks single bytes of each image that it opens (QEMU, block/file-posix.c,
 * RAW_LOCK_PERM_BASE and RAW_LOCK_SHARED_BASE), which Linux lists and Node cannot ask for.
 */
import * as fs from 'node:fs/promises';

/** The bytes that are locked by who writes, and by who wants nobody else to write: 100 and 200, and the number of BLK_PERM_WRITE. */
const WRITING = [101, 201];

/** Says whether a QEMU runs that writes to this file, or relies on it; false where the kernel does not list its locks. */
export async function isLockedByQemu(handle: fs.FileHandle): Promise<boolean> {
  const { dev, ino } = await handle.stat({ bigint: true });
  const locks = await fs.readFile('/proc/locks', 'utf8').catch(() => '');
  return locks.split('\n').some((line) => {
    const [, kind, , , , file, first, last] = line.split(/ +/);
    const holds = WRITING.some((byte) => Number(first) <= byte && byte <= Number(last));
    return kind === 'OFDLCK' && holds && file === lockName(dev, ino);
  });
}

/** How a file is named in the list (Linux, fs/locks.c, lock_get_status); a device number as in glibc's sys/sysmacros.h. */
function lockName(dev: bigint, inode: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n);
  const minor = (dev & 0xffn) | ((dev >> 12n) & 0xffffff00n);
  const hex = (part: bigint) => part.toString(16).padStart(2, '0');
  return `${hex(major)}:${hex(minor)}:${inode}`;
}
