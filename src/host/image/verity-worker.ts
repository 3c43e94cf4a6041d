/**
 * @module The thread that hashes: takes pieces of 1 MiB that nobody else has taken, copies them to the disk and writes their digests.
 * Built as a file of its own, dist/verity-worker.cjs.
 */
import * as fs from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { VERITY_BLOCK } from '../../core/disk/verity.ts';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../files.ts';
import { blockHasher, DIGEST_SIZE } from './verity-hash.ts';
import { PIECE, type VerityWorkerData } from './verity-worker-data.ts';
import { SHARED, type WorkerFailure } from './worker-data.ts';

function hashPieces({ salt, source, target, shared }: VerityWorkerData): void {
  const hash = blockHasher(salt, PIECE / VERITY_BLOCK);
  const memory = Buffer.allocUnsafeSlow(PIECE);
  while (Atomics.load(shared, SHARED.stop) === 0) {
    const at = Atomics.add(shared, SHARED.next, 1) * PIECE;
    if (at >= target.dataSize) return;
    const piece = memory.subarray(0, Math.min(PIECE, target.dataSize - at));
    const present = Math.max(0, Math.min(piece.length, source.size - at));
    read(source, piece.subarray(0, present), at);
    piece.fill(0, present);
    write(target, piece, target.dataAt + at);
    write(target, hash(piece), target.digestsAt + (at / VERITY_BLOCK) * DIGEST_SIZE);
    Atomics.add(shared, SHARED.done, 1);
  }
}

function read({ file, fd }: VerityWorkerData['source'], piece: Uint8Array, at: number): void {
  try {
    for (let done = 0; done < piece.length; ) {
      const count = fs.readSync(fd, piece, done, piece.length - done, at + done);
      if (count === 0) throw new BootsealError('io', `cannot read ${file}: it became shorter while it was read`);
      done += count;
    }
  } catch (cause) {
    throw ioError(cause, file, 'read');
  }
}

function write({ file, fd }: VerityWorkerData['target'], bytes: Uint8Array, at: number): void {
  try {
    for (let done = 0; done < bytes.length; ) done += fs.writeSync(fd, bytes, done, bytes.length - done, at + done);
  } catch (cause) {
    throw ioError(cause, file, 'write');
  }
}

const data = workerData as VerityWorkerData;
try {
  hashPieces(data);
} catch (error) {
  Atomics.store(data.shared, SHARED.stop, 1);
  if (!(error instanceof BootsealError)) throw error;
  const { kind, message, hint } = error;
  parentPort?.postMessage({ kind, message, hint } satisfies WorkerFailure);
}
