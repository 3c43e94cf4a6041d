/**
 * @module The thread that encrypts: takes blocks of 1 MiB that nobody else has taken, reads them into WebAssembly memory, encrypts
 * them there and has them written from there while it goes on with others. Built as a file of its own, dist/image-worker.cjs.
 */
import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { workerData } from 'node:worker_threads';
import { wipe } from '../../core/bytes.ts';
import { runsOf } from '../../core/disk/units.ts';
import { dataPlace, tagPlace } from '../../core/luks/integrity/layout.ts';
import { ioError } from '../io-error.ts';
import { BLOCK_SIZE } from '../xts/xts.ts';
import { checkSealer } from './check-sealer.ts';
import { takeBlock } from './feed.ts';
import { doShare, readPiece, writePiece } from './in-thread.ts';
import { openSealer, type Sealer } from './sealer.ts';
import { SHARED, type WorkerData } from './worker-data.ts';

/** One block that is encrypted, and then on its way to the disk. */
interface Place {
  readonly sealer: Sealer;
  written: Promise<void>;
}

/** With fewer, encryption waits for the disk; more gain nothing. */
const PLACES = 3;

async function encryptBlocks({ key, sectorSize, tagging, source, target, shared }: WorkerData): Promise<void> {
  checkSealer(sectorSize, tagging?.tags);
  const places = Array.from({ length: PLACES }, (): Place => {
    return { sealer: openSealer(key, sectorSize, tagging), written: Promise.resolve() };
  });
  wipe(key);
  const write = blockWriter(target);
  const stopped = () => Atomics.load(shared, SHARED.stop) !== 0;
  const onDisk = (at: number) => target.at + (tagging === undefined ? at : dataPlace(tagging.layout, at));
  try {
    for (let turn = 0; !stopped(); ) {
      const at = Atomics.add(shared, SHARED.next, 1) * BLOCK_SIZE;
      if (at >= target.size) break;
      const end = Math.min(at + BLOCK_SIZE, target.size);
      const runs = target.used === undefined ? [[at, end] as const] : runsOf(target.used, at, end);
      for (const [from, to] of runs) {
        const place = places[turn++ % PLACES] as Place;
        await place.written;
        const { sealer } = place;
        const block = sealer.block.subarray(0, to - from);
        if (!readBlock(source, block, from, stopped)) break;
        const tags = sealer.seal(from, block.length);
        place.written = write(block, onDisk(from));
        // Waited for when the place is needed again; a failure must not end the process before.
        place.written.catch(() => undefined);
        // Not past the page cache: they are neither as large nor as aligned as that takes.
        if (tagging !== undefined) writePiece(target, tags, target.at + tagPlace(tagging.layout, from));
      }
      Atomics.add(shared, SHARED.done, 1);
    }
    await Promise.all(places.map(({ written }) => written));
  } finally {
    await Promise.allSettled(places.map(({ written }) => written));
    for (const { sealer } of places) sealer.wipe();
  }
}

/** Fills a block with the plaintext of a place; returns false when all shall stop. */
function readBlock(source: WorkerData['source'], block: Uint8Array, from: number, stopped: () => boolean): boolean {
  const present = Math.max(0, Math.min(block.length, source.size - from));
  if (source.feed === undefined) readPiece(source, block.subarray(0, present), from);
  // Of a stream every block is taken whole: it is never sparse.
  else if (present > 0 && !takeBlock(source.feed, from / BLOCK_SIZE, block.subarray(0, present), stopped)) return false;
  block.fill(0, present);
  return true;
}

const writeAt = promisify(fs.write);

/** Returns how blocks are written: past the page cache, until the file system refuses that. */
function blockWriter({ file, fd, directFd }: WorkerData['target']): (block: Uint8Array, at: number) => Promise<void> {
  let direct = directFd;
  const writeSome = async (block: Uint8Array, done: number, at: number): Promise<number> => {
    // After a short write, memory and place are aligned no more.
    if (direct !== undefined && done === 0) {
      try {
        return (await writeAt(direct, block, 0, block.length, at)).bytesWritten;
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'EINVAL') throw cause;
        direct = undefined;
      }
    }
    return (await writeAt(fd, block, done, block.length - done, at + done)).bytesWritten;
  };
  return async (block, at) => {
    try {
      for (let done = 0; done < block.length; ) done += await writeSome(block, done, at);
    } catch (cause) {
      throw ioError(cause, file, 'write');
    }
  };
}

const data = workerData as WorkerData;
void doShare(data.shared, () => encryptBlocks(data)).finally(() => wipe(data.key));
