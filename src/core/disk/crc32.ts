/** @module CRC-32 with reflected bits: that of IEEE 802.3, which GPT has, and Castagnoli's, which ext4 has. */

/** The polynomials, lowest power in the highest bit. */
const IEEE = 0xedb88320;
const CASTAGNOLI = 0x82f63b78;

/** Returns the remainder for each value of a byte. */
function tableOf(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let rest = byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ polynomial : rest >>> 1;
    return rest;
  });
}

const TABLES = { ieee: tableOf(IEEE), castagnoli: tableOf(CASTAGNOLI) };

function remainder(table: Uint32Array, bytes: Uint8Array, start: number): number {
  let rest = start;
  for (const byte of bytes) rest = (rest >>> 8) ^ (table[(rest ^ byte) & 0xff] ?? 0);
  return rest >>> 0;
}

/** Returns the CRC-32 of UEFI (2.10, section 5.3.2): seed and result are inverted. */
export function crc32(bytes: Uint8Array): number {
  return ~remainder(TABLES.ieee, bytes, 0xffffffff) >>> 0;
}

/** Returns the CRC-32C of ext4: `start` is what came out for the bytes before, and nothing is inverted (Linux, fs/ext4/ext4.h, ext4_chksum). */
export function crc32c(start: number, bytes: Uint8Array): number {
  return remainder(TABLES.castagnoli, bytes, start);
}
