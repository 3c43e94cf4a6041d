/**
 * @module Standard output and standard error, written at once. Node's own streams do so too for files and pipes, but loading them takes
 * longer than a measurement.
 */
import { writeSync } from 'node:fs';
import type { Out } from './io.ts';

/** Returns the stream of file descriptor 1 or 2; what cannot be written is dropped, and told to `lost` where the writer does not want to know. */
export function standardStream(descriptor: 1 | 2, lost: (error: NodeJS.ErrnoException) => void = () => undefined): Out {
  let node: NodeJS.WriteStream | undefined;
  const nodeStream = () => {
    node ??= (descriptor === 1 ? process.stdout : process.stderr).on('error', lost);
    return node;
  };
  return {
    write(text, failed = lost) {
      let rest = typeof text === 'string' ? Buffer.from(text) : text;
      try {
        while (node === undefined && rest.length > 0) rest = rest.subarray(writeSync(descriptor, rest));
      } catch (error) {
        // EAGAIN: a full pipe that does not wait. Node's stream waits in its place, for this and all that follows.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return failed(error as NodeJS.ErrnoException);
      }
      if (rest.length > 0) nodeStream().write(rest);
    },
    get isTTY() {
      return nodeStream().isTTY === true;
    },
  };
}
