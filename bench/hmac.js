// `node bench/hmac.js MIB`: the least that tags of HMAC-SHA256 take, one for every 4096 bytes in memory, on two threads.
import { createHmac, randomBytes } from 'node:crypto';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const MIB = 1 << 20;
const SECTOR = 4096;
const THREADS = 2;

function tags(mebibytes) {
  const key = randomBytes(32);
  const block = randomBytes(MIB);
  const header = Buffer.alloc(24);
  for (let at = 0; at < mebibytes * MIB; at += SECTOR) {
    header.writeUInt32LE(at / 512);
    const from = at % MIB;
    createHmac('sha256', key)
      .update(header)
      .update(block.subarray(from, from + SECTOR))
      .digest();
  }
}

if (isMainThread) {
  const share = Number(process.argv[2]) / THREADS;
  for (let i = 0; i < THREADS; i++) new Worker(new URL(import.meta.url), { workerData: share });
} else tags(workerData);
