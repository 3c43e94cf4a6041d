/** @module A stream kept in a nameless file, for what must be read at many places or more than once. */
import * as fs from 'node:fs';
import { ioError } from '../files.ts';
import type { Scratch } from '../filesystem/scratch.ts';
import type { Region } from './stream.ts';

/** Bytes of room that there must be for the stream to go on. */
const STEP = 1 << 26;

/** Keeps a whole stream, which the caller closes. Throws `io` when there is no room, and what the stream throws. */
export async function spool(pieces: AsyncIterable<Uint8Array>, name: string, scratch: Scratch): Promise<Region> {
  const handle = await scratch.open();
  try {
    let [size, checked] = [0, 0];
    for await (const piece of pieces) {
      if (size + piece.length > checked) {
        const step = Math.max(STEP, piece.length);
        await scratch.checkRoom(step);
        checked = size + step;
      }
      write(handle.fd, piece, size, scratch.folder);
      size += piece.length;
    }
    return { name, handle, at: 0, size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Without giving way: it is memory. */
function write(fd: number, piece: Uint8Array, at: number, folder: string): void {
  try {
    for (let done = 0; done < piece.length; ) done += fs.writeSync(fd, piece, done, piece.length - done, at + done);
  } catch (cause) {
    throw ioError(cause, folder, 'write to');
  }
}
