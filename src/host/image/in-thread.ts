/** @module What every thread that works on a disk does alike: whole pieces read and written, and a failure told to who started it. */
import * as fs from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';
import { SHARED, type WorkerFailure } from './worker-data.ts';

/** A file of the process, and its name for messages. */
export interface OpenFile {
  readonly file: string;
  readonly fd: number;
}

/** Fills `piece` from the file; throws `io`. */
export function readPiece({ file, fd }: OpenFile, piece: Uint8Array, at: number): void {
  try {
    for (let done = 0; done < piece.length; ) {
      const count = fs.readSync(fd, piece, done, piece.length - done, at + done);
      if (count === 0) {
        throw new BootsealError('io', `cannot read ${file}: it became shorter while it was read`, {
          hint: 'let nothing write to the file, and try again',
        });
      }
      done += count;
    }
  } catch (cause) {
    throw ioError(cause, file, 'read');
  }
}

/** Writes all of `bytes`; throws `io`. */
export function writePiece({ file, fd }: OpenFile, bytes: Uint8Array, at: number): void {
  try {
    for (let done = 0; done < bytes.length; ) done += fs.writeSync(fd, bytes, done, bytes.length - done, at + done);
  } catch (cause) {
    throw ioError(cause, file, 'write');
  }
}

/** Does the thread's work; when it fails, the others are told to stop, and the starter why. */
export async function doShare(shared: Int32Array, work: () => void | Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    Atomics.store(shared, SHARED.stop, 1);
    if (!(error instanceof BootsealError)) throw error;
    const { kind, message, hint } = error;
    parentPort?.postMessage({ kind, message, hint } satisfies WorkerFailure);
  }
}
