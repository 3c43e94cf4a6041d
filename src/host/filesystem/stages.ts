/** @module Contents of files on their way into a file system: a few nameless files, used again and again. */
import * as fs from 'node:fs';
import { inheritedFile } from '../program.ts';
import { type Scratch, writeScratch } from './scratch.ts';

/** Nameless files for a program that was given {@link Stages.files} after one other. */
export interface Stages {
  readonly files: readonly number[];
  /**
   * Writes a content to a file that is free, and calls `take` with the path under which the program finds it. Does not wait
   * for `take`, but for the next file to become free; what `take` throws is thrown by a later call or by `settle`.
   */
  put(content: AsyncIterable<Uint8Array>, take: (file: string) => Promise<void>): Promise<void>;
  /** Waits until all are taken. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

/** Contents that are written and not yet taken. */
const COUNT = 16;

/** Opens them. Throws `io`. */
export async function openStages(scratch: Scratch): Promise<Stages> {
  const handles = await Promise.all(Array.from({ length: COUNT }, () => scratch.open()));
  const taken: Promise<void>[] = handles.map(() => Promise.resolve());
  let next = 0;
  return {
    files: handles.map(({ fd }) => fd),
    async put(content, take) {
      const number = next++ % COUNT;
      await taken[number];
      const fd = handles[number]?.fd ?? -1;
      let at = 0;
      for await (const piece of content) {
        writeScratch(scratch, fd, piece, at);
        at += piece.length;
      }
      const taking = take(inheritedFile(1 + number)).then(() => fs.ftruncateSync(fd, 0));
      // Whoever needs the file next is told.
      taking.catch(() => undefined);
      taken[number] = taking;
    },
    async settle() {
      await Promise.all(taken);
    },
    async close() {
      for (const handle of handles) await handle.close();
    },
  };
}
