/** @module The check before every build that this machine's AES-XTS gives what OpenSSL gives: a wrong sector would be lost data. */
import * as crypto from 'node:crypto';
import { wipe } from '../../core/bytes.ts';
import { BootsealError } from '../../core/errors.ts';
import { openXts, type SectorSize } from './xts.ts';

/** The numbers, in units of 512 bytes, from which sectors are compared: the last two go over the edge of 32 and of 40 bits. */
const FIRST = [0n, 2n ** 32n - 8n, 2n ** 40n - 8n];

/** Not a multiple of the sectors that are worked on at once, so that an incomplete group is compared too. */
const SECTORS = 7;

/** Throws `tool` when some sectors, under a random key, do not come out as OpenSSL's `aes-256-xts` does them, or do not come back. */
export function checkXts(sectorSize: SectorSize, open: typeof openXts = openXts): void {
  const key = crypto.randomBytes(64);
  const plain = crypto.randomBytes(SECTORS * sectorSize);
  const encrypt = open('encrypt', key, sectorSize);
  const decrypt = open('decrypt', key, sectorSize);
  for (const first of FIRST) {
    encrypt.block.set(plain);
    encrypt.run(first, plain.length);
    const encrypted = encrypt.block.subarray(0, plain.length);
    compare(encrypted, opensslSectors(key, plain, first, sectorSize));
    decrypt.block.set(encrypted);
    decrypt.run(first, plain.length);
    compare(decrypt.block.subarray(0, plain.length), plain);
  }
  wipe(key);
}

/** Encrypts each sector by itself; slow, and nothing of this project's. */
export function opensslSectors(key: Uint8Array, plain: Uint8Array, first: bigint, sectorSize: SectorSize): Uint8Array {
  const out = Buffer.alloc(plain.length);
  for (let at = 0; at < plain.length; at += sectorSize) {
    const iv = Buffer.alloc(16);
    iv.writeBigUInt64LE(BigInt.asUintN(64, first + BigInt(at / 512)));
    crypto
      .createCipheriv('aes-256-xts', key, iv)
      .update(plain.subarray(at, at + sectorSize))
      .copy(out, at);
  }
  return out;
}

function compare(found: Uint8Array, wanted: Uint8Array): void {
  if (Buffer.compare(found, wanted) === 0) return;
  throw new BootsealError('tool', 'AES-XTS on this machine gives other bytes than OpenSSL', {
    hint: 'no image was written; run it with another version of Node, and report this',
  });
}
