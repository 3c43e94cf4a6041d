/** @module The guest that bootseal runs in: where its files are and how its programs run, so that tests have another. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { readSmallFile } from '../host/files.ts';
import { type Program, type Run, runProgram } from '../host/program.ts';

/** What a command inside the guest touches. */
export interface Guest {
  /** Folder that the kernel's files are looked for in: `/`, and another one in tests and from outside a chroot. */
  readonly root: string;
  readonly isRootUser: boolean;
  run(program: Program, run: Run, input?: Uint8Array | string): Promise<{ readonly stdout: string }>;
}

/** Returns the guest that this process runs in, with its files below `root`. */
export function thisGuest(root = '/'): Guest {
  return { root, isRootUser: process.getuid?.() === 0, run: runProgram };
}

/** Returns where a file of the guest is. */
export function inGuest({ root }: Guest, file: string): string {
  return path.join(root, file);
}

/** Bytes that a file of the kernel's may have. */
const MAX_TEXT = 1 << 22;

/** Returns a file of the kernel's as text; undefined when it is not there. Throws `io`, `format` when it is longer than any. */
export async function kernelText(guest: Guest, file: string): Promise<string | undefined> {
  try {
    return Buffer.from(await readSmallFile(inGuest(guest, file), MAX_TEXT, file)).toString('latin1');
  } catch (error) {
    if (error instanceof BootsealError && isAbsent(error.cause)) return undefined;
    throw error;
  }
}

/** Says whether a file or folder of the guest is there. */
export async function isThere(guest: Guest, file: string): Promise<boolean> {
  return fs.stat(inGuest(guest, file)).then(
    () => true,
    () => false,
  );
}

/** The system's name of an error. */
export const codeOf = (cause: unknown): string => (cause as NodeJS.ErrnoException | undefined)?.code ?? 'unknown error';

/** Says whether an error means that there is no such file. */
export const isAbsent = (cause: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(codeOf(cause));
