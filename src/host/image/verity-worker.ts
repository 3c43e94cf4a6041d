/**
 * @module The thread that hashes: takes pieces of 1 MiB that nobody else has taken, copies them to the disk and writes their digests.
 * Built as a file of its own, dist/verity-worker.cjs.
 */
import { workerData } from 'node:worker_threads';
import { VERITY_BLOCK } from '../../core/disk/verity.ts';
import { doShare, readPiece, writePiece } from './in-thread.ts';
import { blockHasher, DIGEST_SIZE } from './verity-hash.ts';
import { PIECE, type VerityWorkerData } from './verity-worker-data.ts';
import { SHARED } from './worker-data.ts';

function hashPieces({ salt, source, target, shared }: VerityWorkerData): void {
  const hash = blockHasher(salt, PIECE / VERITY_BLOCK);
  const memory = Buffer.allocUnsafeSlow(PIECE);
  while (Atomics.load(shared, SHARED.stop) === 0) {
    const at = Atomics.add(shared, SHARED.next, 1) * PIECE;
    if (at >= target.dataSize) return;
    const piece = memory.subarray(0, Math.min(PIECE, target.dataSize - at));
    const present = Math.max(0, Math.min(piece.length, source.size - at));
    readPiece(source, piece.subarray(0, present), at);
    piece.fill(0, present);
    writePiece(target, piece, target.dataAt + at);
    writePiece(target, hash(piece), target.digestsAt + (at / VERITY_BLOCK) * DIGEST_SIZE);
    Atomics.add(shared, SHARED.done, 1);
  }
}

const data = workerData as VerityWorkerData;
void doShare(data.shared, () => hashPieces(data));
