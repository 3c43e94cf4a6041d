/** @module Tells programs and modules of the kernel from other files. */
import * as fs from 'node:fs/promises';
import { ioError } from '../io-error.ts';

const ELF = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46);

/** Says whether a file begins as ELF does; throws `io`. */
export async function isElf(file: string): Promise<boolean> {
  const start = await fs
    .open(file, 'r')
    .then(async (handle) => {
      try {
        return (await handle.read(new Uint8Array(ELF.length), 0, ELF.length, 0)).buffer;
      } finally {
        await handle.close();
      }
    })
    .catch((cause: unknown) => Promise.reject(ioError(cause, file, 'read')));
  return ELF.every((byte, i) => start[i] === byte);
}
