/**
 * @module The sectors of a new image, encrypted a block at a time, and where it is wanted with a tag for each. What comes out is what
 * cryptSectors and sealSector of the core would give, many times faster; check-sealer.ts compares them at every start.
 */
import * as crypto from 'node:crypto';
import { wipe } from '../../core/bytes.ts';
import { BLOCK_SIZE, openXts, type SectorSize } from '../xts/xts.ts';
import type { Tagging } from './worker-data.ts';

/** Encrypts under one key. */
export interface Sealer {
  /** 1 MiB: the plaintext goes in and, after {@link seal}, ciphertext comes out. */
  readonly block: Uint8Array<ArrayBuffer>;
  /**
   * Encrypts the first `size` bytes of the block, whole sectors; returns their tags one after another, none where none are wanted,
   * which stay valid until the next call.
   *
   * @param at place of the block among the data, bytes
   */
  seal(at: number, size: number): Uint8Array;
  /** Overwrites what is left of keys and data. */
  wipe(): void;
}

/** What is needed to make tags. */
export type TagMaking = Pick<Tagging, 'tags' | 'ivKey'>;

const UNIT = 512;
const NUMBER_SIZE = 8;
const IV_SIZE = { xts: 16, gcm: 12 };
const AES_BLOCK = 16;

/** Returns what encrypts; `key` may be wiped afterwards. Throws `usage` for a key that AES-XTS cannot have. */
export function openSealer(key: Uint8Array, sectorSize: SectorSize, tagging: TagMaking | undefined): Sealer {
  if (tagging === undefined) return plainSealer(key, sectorSize);
  return tagging.tags.mode === 'gcm' ? gcmSealer(key, sectorSize, tagging) : hmacSealer(key, sectorSize, tagging);
}

function plainSealer(key: Uint8Array, sectorSize: SectorSize): Sealer {
  const xts = openXts('encrypt', key, sectorSize);
  const none = new Uint8Array(0);
  return {
    block: xts.block,
    seal(at, size) {
      xts.run(BigInt(at / UNIT), size);
      return none;
    },
    wipe: xts.wipe,
  };
}

/** AES-XTS with the sector's number as its IV, and an HMAC over number, IV and ciphertext. */
function hmacSealer(key: Uint8Array, sectorSize: SectorSize, { tags: { tagSize, macKeySize } }: TagMaking): Sealer {
  const end = key.length - macKeySize;
  const xts = openXts('encrypt', key.subarray(0, end), sectorSize);
  const macKey = new Uint8Array(key.subarray(end));
  const tags = new Uint8Array((BLOCK_SIZE / sectorSize) * tagSize);
  const header = new DataView(new ArrayBuffer(NUMBER_SIZE + IV_SIZE.xts));
  const headerBytes = new Uint8Array(header.buffer);
  return {
    block: xts.block,
    seal(at, size) {
      xts.run(BigInt(at / UNIT), size);
      for (let sector = 0; sector < size / sectorSize; sector++) {
        const start = sector * sectorSize;
        writeNumber(header, 0, (at + start) / UNIT);
        writeNumber(header, NUMBER_SIZE, (at + start) / UNIT);
        const hmac = crypto.createHmac('sha256', macKey).update(headerBytes);
        tags.set(hmac.update(xts.block.subarray(start, start + sectorSize)).digest(), sector * tagSize);
      }
      return tags.subarray(0, (size / sectorSize) * tagSize);
    },
    wipe() {
      xts.wipe();
      wipe(macKey);
    },
  };
}

/** AES-GCM with a random IV, which is kept behind the code. */
function gcmSealer(key: Uint8Array, sectorSize: SectorSize, { tags: { tagSize, macSize }, ivKey }: TagMaking): Sealer {
  const ownKey = new Uint8Array(key);
  const block = new Uint8Array(BLOCK_SIZE);
  const tags = new Uint8Array((BLOCK_SIZE / sectorSize) * tagSize);
  const makeIvs = randomIvs(ivKey);
  const header = new DataView(new ArrayBuffer(NUMBER_SIZE + IV_SIZE.gcm));
  const headerBytes = new Uint8Array(header.buffer);
  return {
    block,
    seal(at, size) {
      const ivs = makeIvs(at / sectorSize, size / sectorSize);
      for (let sector = 0; sector < size / sectorSize; sector++) {
        const [start, tag] = [sector * sectorSize, sector * tagSize];
        const iv = ivs.subarray(sector * AES_BLOCK, sector * AES_BLOCK + IV_SIZE.gcm);
        writeNumber(header, 0, (at + start) / UNIT);
        headerBytes.set(iv, NUMBER_SIZE);
        const cipher = crypto.createCipheriv('aes-256-gcm', ownKey, iv).setAAD(headerBytes);
        block.set(cipher.update(block.subarray(start, start + sectorSize)), start);
        cipher.final();
        tags.set(cipher.getAuthTag(), tag);
        tags.set(iv, tag + macSize);
      }
      return tags.subarray(0, (size / sectorSize) * tagSize);
    },
    wipe: () => wipe(block, ownKey),
  };
}

/**
 * Returns what makes IVs for so many sectors from a first one, each at the start of 16 bytes: the encrypted number of the sector under
 * a random key, which nobody can tell from random numbers, and which comes out the same for the same plan.
 */
function randomIvs(ivKey: Uint8Array): (first: number, count: number) => Uint8Array {
  const cipher = crypto.createCipheriv('aes-256-ecb', ivKey, null).setAutoPadding(false);
  return (first, count) => {
    const numbers = new DataView(new ArrayBuffer(count * AES_BLOCK));
    for (let i = 0; i < count; i++) writeNumber(numbers, i * AES_BLOCK, first + i);
    return cipher.update(new Uint8Array(numbers.buffer));
  };
}

/** Writes an integer of up to 53 bits as 64, little-endian; a BigInt for each sector would take longer than its encryption. */
function writeNumber(out: DataView, at: number, value: number): void {
  out.setUint32(at, value % 2 ** 32, true);
  out.setUint32(at + 4, Math.floor(value / 2 ** 32), true);
}
