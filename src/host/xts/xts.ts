/**
 * @module AES-256-XTS over runs of disk sectors, as dm-crypt's `aes-xts-plain64` (IEEE 1619-2018; Linux, drivers/md/dm-crypt.c).
 * OpenSSL through Node starts anew for every sector, which at 512 bytes costs nine tenths of the time. Here it sees only long
 * runs of AES-ECB: one for the tweaks, one for the data, which whiten.ts XORs before and after.
 */
import * as crypto from 'node:crypto';
import { wipe } from '../../core/bytes.ts';
import { BootsealError } from '../../core/errors.ts';
import { BLOCK_AT, BLOCK_SIZE, LANES, type Whiten, whitenModule } from './whiten.ts';

export { BLOCK_SIZE } from './whiten.ts';

/** Bytes that a sector can have; its number always counts units of 512 bytes (LUKS2 never uses `iv_large_sectors`). */
export type SectorSize = 512 | 4096;

/** One direction under one key. */
export interface XtsSectors {
  /** 1 MiB at the start of a memory page: what goes in and, after {@link run}, what comes out. */
  readonly block: Uint8Array<ArrayBuffer>;
  /**
   * Encrypts or decrypts the first `size` bytes of `block` in place.
   *
   * @param first number of the first sector, in units of 512 bytes; it wraps at 64 bits, as dm-crypt's does
   * @param size bytes: whole sectors
   * @throws `usage` for another size
   */
  run(first: bigint, size: number): void;
  /** Overwrites what is left of data and tweaks. */
  wipe(): void;
}

const AES_BLOCK = 16;
const UNIT = 512;
const KEY_SIZE = 64;

/**
 * Bytes for one call of OpenSSL: enough to forget what a call costs, and so few that malloc has room for what comes out. From 128 KiB
 * on every call maps new pages, for which the threads of a process wait for one another.
 */
const RUN = 1 << 15;

/**
 * Returns a run of sectors to encrypt or decrypt.
 *
 * @param key two AES-256 keys, for the data and for the tweaks; it may be wiped afterwards
 * @throws `usage` for a key of another length, and for two times the same key, under which the tweaks tell too much
 */
export function openXts(
  direction: 'encrypt' | 'decrypt',
  key: Uint8Array,
  sectorSize: SectorSize,
  module: Uint8Array<ArrayBuffer> = whitenModule(),
): XtsSectors {
  if (key.length !== KEY_SIZE) {
    throw new BootsealError('usage', `AES-256-XTS takes a key of ${KEY_SIZE} bytes`, {
      hint: 'give two AES-256 keys, one behind the other',
    });
  }
  const [dataKey, tweakKey] = [key.subarray(0, KEY_SIZE / 2), key.subarray(KEY_SIZE / 2)];
  if (crypto.timingSafeEqual(dataKey, tweakKey)) {
    throw new BootsealError('usage', 'an AES-XTS key is two times the same key', {
      hint: 'take a key from a random generator',
    });
  }
  const data = direction === 'encrypt' ? crypto.createCipheriv : crypto.createDecipheriv;
  const dataCipher = data('aes-256-ecb', dataKey, null).setAutoPadding(false);
  const tweakCipher = crypto.createCipheriv('aes-256-ecb', tweakKey, null).setAutoPadding(false);
  const { memory, whiten } = instantiate(module);
  const block = new Uint8Array(memory.buffer, BLOCK_AT, BLOCK_SIZE);
  const tweaks = new Uint8Array(memory.buffer, 0, BLOCK_AT);
  const numbers = new DataView(new ArrayBuffer((BLOCK_SIZE / sectorSize) * AES_BLOCK));

  /** Does sectors that fit into one call of OpenSSL; their tweaks are there. */
  function runShort(at: number, size: number): void {
    const firstTweak = (at / sectorSize) * AES_BLOCK;
    // Beyond `size` up to whole groups, sectors are masked twice and so stay what they are.
    const groups = Math.ceil(size / sectorSize / LANES);
    whiten(BLOCK_AT + at, firstTweak, groups, sectorSize / AES_BLOCK);
    block.set(dataCipher.update(block.subarray(at, at + size)), at);
    whiten(BLOCK_AT + at, firstTweak, groups, sectorSize / AES_BLOCK);
  }

  return {
    block,
    run(first, size) {
      if (size < 0 || size > BLOCK_SIZE || size % sectorSize !== 0) {
        throw new BootsealError('usage', `${size} bytes are not whole sectors of ${sectorSize} in a block`, {
          hint: `give whole sectors, at most ${BLOCK_SIZE} bytes of them`,
        });
      }
      tweaks.set(tweakCipher.update(sectorNumbers(numbers, first, size / sectorSize, sectorSize / UNIT)));
      for (let at = 0; at < size; at += RUN) runShort(at, Math.min(RUN, size - at));
    },
    wipe: () => wipe(block, tweaks),
  };
}

/** Writes the tweaks before encryption: the number of each sector as 64 bits, little-endian, and zeros ("plain64"). */
function sectorNumbers(out: DataView, first: bigint, sectors: number, step: number): Uint8Array {
  // Halves as integers of 32 bits, which wrap: a BigInt for each sector would take longer than its encryption.
  let low = Number(BigInt.asIntN(32, first));
  let high = Number(BigInt.asIntN(32, first >> 32n));
  for (let i = 0; i < sectors; i++) {
    out.setInt32(i * AES_BLOCK, low, true);
    out.setInt32(i * AES_BLOCK + 4, high, true);
    low = (low + step) | 0;
    if (low >= 0 && low < step) high = (high + 1) | 0;
  }
  return new Uint8Array(out.buffer, 0, sectors * AES_BLOCK);
}

/** The part of the WebAssembly interface that is used; Node's types do not have it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  Instance: new (module: object) => { readonly exports: unknown };
};

function instantiate(module: Uint8Array<ArrayBuffer>): Whiten {
  return new WebAssembly.Instance(new WebAssembly.Module(module)).exports as Whiten;
}
