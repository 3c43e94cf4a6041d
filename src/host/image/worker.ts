/**
 * @module The thread that encrypts: takes blocks of 1 MiB that nobody else has taken, reads them into WebAssembly memory, encrypts
 * them there and writes them from there. Built as a file of its own, dist/image-worker.cjs.
 */
import * as fs from 'node:fs';
import { workerData } from 'node:worker_threads';
import { wipe } from '../../core/bytes.ts';
import { runsOf } from '../../core/disk/units.ts';
import { dataPlace, tagPlace } from '../../core/luks/integrity/layout.ts';
import { ioError } from '../io-error.ts';
import { BLOCK_SIZE } from '../xts/xts.ts';
import { checkSealer } from './check-sealer.ts';
import { takeBlock } from './feed.ts';
import { doShare, readPiece, writePiece } from './in-thread.ts';
import { openSealer } from './sealer.ts';
import { SHARED, type WorkerData } from './worker-data.ts';

function encryptBlocks({ key, sectorSize, tagging, source, target, shared }: WorkerData): void {
  checkSealer(sectorSize, tagging?.tags);
  const sealer = openSealer(key, sectorSize, tagging);
  wipe(key);
  const write = blockWriter(target);
  const stopped = () => Atomics.load(shared, SHARED.stop) !== 0;
  const place = (at: number) => target.at + (tagging === undefined ? at : dataPlace(tagging.layout, at));
  try {
    while (!stopped()) {
      const at = Atomics.add(shared, SHARED.next, 1) * BLOCK_SIZE;
      if (at >= target.size) return;
      const end = Math.min(at + BLOCK_SIZE, target.size);
      const runs = target.used === undefined ? [[at, end] as const] : runsOf(target.used, at, end);
      for (const [from, to] of runs) {
        const block = sealer.block.subarray(0, to - from);
        const present = Math.max(0, Math.min(block.length, source.size - from));
        if (source.feed === undefined) readPiece(source, block.subarray(0, present), from);
        // Of a stream every block is taken whole: it is never sparse.
        else if (present > 0 && !takeBlock(source.feed, at / BLOCK_SIZE, block.subarray(0, present), stopped)) return;
        block.fill(0, present);
        const tags = sealer.seal(from, block.length);
        write(block, place(from));
        // Not past the page cache: they are neither as large nor as aligned as that takes.
        if (tagging !== undefined) writePiece(target, tags, target.at + tagPlace(tagging.layout, from));
      }
      Atomics.add(shared, SHARED.done, 1);
    }
  } finally {
    sealer.wipe();
  }
}

/** Returns how blocks are written: past the page cache, until the file system refuses that. */
function blockWriter({ file, fd, directFd }: WorkerData['target']): (block: Uint8Array, at: number) => void {
  let direct = directFd;
  const writeSome = (block: Uint8Array, done: number, at: number): number => {
    // After a short write, memory and place are aligned no more.
    if (direct !== undefined && done === 0) {
      try {
        return fs.writeSync(direct, block, 0, block.length, at);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EINVAL') throw cause;
        direct = undefined;
      }
    }
    return fs.writeSync(fd, block, done, block.length - done, at + done);
  };
  return (block, at) => {
    try {
      for (let done = 0; done < block.length; ) done += writeSome(block, done, at);
    } catch (cause) {
      throw ioError(cause, file, 'write');
    }
  };
}

const data = workerData as WorkerData;
try {
  doShare(data.shared, () => encryptBlocks(data));
} finally {
  wipe(data.key);
}
