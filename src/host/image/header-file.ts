/** @module The file that holds a header, open for a change that nobody else makes at the same time. */
import * as fs from 'node:fs';
import { open } from 'node:fs/promises';
import { findImage } from '../../core/disk/find-image.ts';
import { filePlaces, placeStages } from '../../core/disk/in-place.ts';
import type { Wanted } from '../../core/disk/luks-partition.ts';
import { BootsealError } from '../../core/errors.ts';
import type { Disk } from '../../core/luks/disk.ts';
import type { Stage } from '../../core/luks/header-change.ts';
import { reader } from '../disk.ts';
import { ioError } from '../io-error.ts';
import { FailedProgram, runProgram } from '../program.ts';
import { isLockedByQemu } from './qemu-lock.ts';

/** A header's file. */
export interface HeaderFile {
  readonly file: string;
  /** Reads the image that starts with the header. */
  readonly disk: Disk;
  /**
   * Finds out where the stages go, all of them, before anything is written; what it returns writes them, each on the disk before the
   * next begins, and throws `io`. Throws `format` when they cannot be written in place.
   */
  prepare(stages: readonly Stage[]): Promise<() => void>;
}

/** Exit status of flock(1) when somebody else has the lock for too long. */
const TIMED_OUT = 1;
const FLOCK = { name: 'flock', package: 'util-linux' };
/** cryptsetup holds the lock no longer than it takes to read or write a header. */
const PATIENCE_SECONDS = 5;

/**
 * Opens the file of a header for as long as `use` runs, under the lock that cryptsetup takes for images in files: flock(2) on the
 * file itself (lib/utils_device_locking.c). The kernel gives it up when this process ends, however it ends.
 *
 * @param wanted which image of the disk in the file; left out for a detached header, which is all of the file
 * @throws `io` when it cannot be opened, `usage` for a device, `tool` when somebody else has the lock, a QEMU works with it, or flock(1) is missing; as
 * findImage
 */
export async function withHeaderFile<T>(
  file: string,
  wanted: Wanted | undefined,
  use: (header: HeaderFile) => Promise<T>,
): Promise<T> {
  const handle = await open(file, 'r+').catch((cause: unknown) => Promise.reject(ioError(cause, file, 'change')));
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) {
      throw new BootsealError('usage', `${file} is no regular file`, {
        hint: 'keys of a block device are changed with cryptsetup, which locks devices in its own way',
      });
    }
    await lock(handle.fd, file);
    if (await isLockedByQemu(handle)) {
      throw new BootsealError('tool', `cannot change ${file}: QEMU works with it`, {
        hint: 'stop the machine that has this disk',
      });
    }
    const whole = { size: stat.size, read: reader(handle, file) };
    const { disk, places } =
      wanted === undefined ? { disk: whole, places: filePlaces } : await findImage(whole, wanted);
    const prepare = async (stages: readonly Stage[]) => {
      const placed = await placeStages(stages, places);
      return () => apply(handle.fd, file, placed);
    };
    return await use({ file, disk, prepare });
  } finally {
    await handle.close();
  }
}

/** Node has no flock(2). A lock belongs to the open file, not to a process: the one of a child that ends stays ours. */
async function lock(fd: number, file: string): Promise<void> {
  try {
    await runProgram(FLOCK, { args: ['--exclusive', '--timeout', `${PATIENCE_SECONDS}`, '3'], files: [fd] });
  } catch (cause) {
    if (!(cause instanceof FailedProgram) || cause.status !== TIMED_OUT) throw cause;
    throw new BootsealError('tool', `cannot change ${file}: another program has it locked`, {
      hint: 'wait until that program is done',
      cause,
    });
  }
}

/** Without giving way: a signal waits until the header is whole. */
function apply(fd: number, file: string, stages: readonly Stage[]): void {
  try {
    for (const stage of stages) {
      for (const { at, bytes } of stage) {
        for (let done = 0; done < bytes.length; ) {
          done += fs.writeSync(fd, bytes, done, bytes.length - done, at + done);
        }
      }
      fs.fsyncSync(fd);
    }
  } catch (cause) {
    throw ioError(cause, file, 'write');
  }
}
