/** @module Room for a large file before it is written: file systems take writes to it side by side only where it has blocks already. */
import type { FileHandle } from 'node:fs/promises';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../io-error.ts';
import { FailedProgram, inheritedFile, type Program, runProgram } from '../program.ts';

const FALLOCATE: Program = { name: 'fallocate', package: 'util-linux' };

/** Below this the start of the program takes longer than it saves; bytes. */
const LARGE = 256 * 2 ** 20;

/** A run of a file that is going to be written whole; bytes. */
export interface Run {
  readonly at: number;
  readonly size: number;
}

/**
 * Gives a run of a file its blocks, when it is large. A program or file system that cannot is no failure: then the blocks come with
 * what is written.
 *
 * @throws `io` when there is no room for so many; what `stop` was aborted with
 */
export async function allocate(handle: FileHandle, file: string, { at, size }: Run, stop?: AbortSignal): Promise<void> {
  if (size < LARGE) return;
  try {
    const args = ['-o', `${at}`, '-l', `${size}`, inheritedFile(0)];
    await runProgram(FALLOCATE, { args, files: [handle.fd], stop });
  } catch (error) {
    if (!(error instanceof BootsealError)) throw error;
    if (error instanceof FailedProgram && /No space left/.test(error.words)) {
      throw ioError({ code: 'ENOSPC' }, file, 'write');
    }
  }
}
