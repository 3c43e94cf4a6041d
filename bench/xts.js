// `node bench/xts.js bootseal|openssl SECTOR-SIZE MIB`: encrypts so much in memory, on one thread.
import { createCipheriv, randomBytes } from 'node:crypto';
import { openXts } from '../dist/host/xts/xts.js';

const [what, sectorSize, mebibytes] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const MIB = 1 << 20;
const key = randomBytes(64);

function bootseal() {
  const xts = openXts('encrypt', key, sectorSize);
  for (let i = 0; i < mebibytes; i++) xts.run(BigInt(i) * 2048n, MIB);
}

function openssl() {
  const block = Buffer.alloc(MIB);
  const iv = Buffer.alloc(16);
  for (let at = 0; at < mebibytes * MIB; at += sectorSize) {
    iv.writeUInt32LE(at / 512);
    const from = at % MIB;
    createCipheriv('aes-256-xts', key, iv)
      .update(block.subarray(from, from + sectorSize))
      .copy(block, from);
  }
}

if (what === 'bootseal') bootseal();
else openssl();
