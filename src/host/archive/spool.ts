/** @module A stream kept in a nameless file, for what must be read at many places or more than once. */
import { type Scratch, writeScratch } from '../filesystem/scratch.ts';
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
      writeScratch(scratch, handle.fd, piece, size);
      size += piece.length;
    }
    return { name, handle, at: 0, size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}
