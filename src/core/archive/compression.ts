/**
 * @module Compressed segments of an initrd: how Linux recognises them (linux lib/decompress.c), and where they end, which the
 * formats of blocks tell without decompressing anything.
 */

import { u16be, u32be, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { INITRD_AGAIN } from './cpio.ts';
import { pass, type Source, take } from './source.ts';

/** A compression that Linux may be built with. */
export type Compression = 'gzip' | 'bzip2' | 'lzma' | 'xz' | 'lzo' | 'lz4' | 'zstd';

/** The two bytes that Linux looks at. */
const MAGIC: readonly (readonly [Compression, number, number])[] = [
  ['gzip', 0x1f, 0x8b],
  ['gzip', 0x1f, 0x9e],
  ['bzip2', 0x42, 0x5a],
  ['lzma', 0x5d, 0x00],
  ['xz', 0xfd, 0x37],
  ['lzo', 0x89, 0x4c],
  ['lz4', 0x02, 0x21],
  ['zstd', 0x28, 0xb5],
];

/** Returns what begins with these bytes, as Linux takes it; undefined when it would not. */
export function compressionOf(start: Uint8Array): Compression | undefined {
  return MAGIC.find(([, first, second]) => start[0] === first && start[1] === second)?.[0];
}

/** Passes one compressed segment. Throws `format` where it is broken. */
export type PassSegment = (source: Source) => Promise<void>;

/** The compressions whose end can be found here; those of gzip, bzip2 and lzma can be told only by decompressing. */
export const PASS: Readonly<Partial<Record<Compression, PassSegment>>> = {
  xz: passXz,
  lzo: passLzop,
  lz4: passLz4,
  zstd: passZstd,
};

async function byte(source: Source, what: string): Promise<number> {
  return (await take(source, 1, what))[0] ?? 0;
}

async function number32(source: Source, order: typeof u32le, what: string): Promise<number> {
  return order.decode(await take(source, 4, what), 0, what);
}

const LZ4_MAGIC = 0x184c2102;

/** Blocks up to the end of the data, or up to a size of zero, which Linux 5.13 and later take for the end (lib/decompress_unlz4.c). */
async function passLz4(source: Source): Promise<void> {
  if ((await number32(source, u32le, 'lz4')) !== LZ4_MAGIC)
    throw new BootsealError('format', 'lz4: wrong magic number', INITRD_AGAIN);
  for (;;) {
    const next = await source.peek(4);
    if (next.length < 4) return;
    const size = u32le.decode(next, 0, 'lz4');
    if (size === 0) return;
    await source.skip(4);
    if (size !== LZ4_MAGIC) await pass(source, size, 'lz4 block');
  }
}

/** RFC 8878, section 3.1.1: one frame. */
async function passZstd(source: Source): Promise<void> {
  if ((await number32(source, u32le, 'zstd')) !== 0xfd2fb528)
    throw new BootsealError('format', 'zstd: wrong magic number', INITRD_AGAIN);
  const descriptor = await byte(source, 'zstd frame');
  const singleSegment = (descriptor >> 5) & 1;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const contentSize = [singleSegment, 2, 4, 8][descriptor >> 6] ?? 0;
  await pass(source, 1 - singleSegment + dictionary + contentSize, 'zstd frame header');
  for (;;) {
    const head = await take(source, 3, 'zstd block');
    const bits = (head[0] ?? 0) | ((head[1] ?? 0) << 8) | ((head[2] ?? 0) << 16);
    const type = (bits >> 1) & 3;
    if (type === 3) throw new BootsealError('format', 'zstd: a block of the reserved type', INITRD_AGAIN);
    // A block of type 1 repeats one byte.
    await pass(source, type === 1 ? 1 : bits >> 3, 'zstd block');
    if ((bits & 1) === 1) break;
  }
  await pass(source, descriptor & 4, 'zstd checksum');
}

const LZOP_MAGIC = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];

/** The file of lzop(1) as Linux reads it (lib/decompress_unlzo.c): a header, blocks, and a size of zero. */
async function passLzop(source: Source): Promise<void> {
  const magic = await take(source, LZOP_MAGIC.length, 'lzop');
  if (!LZOP_MAGIC.every((value, i) => magic[i] === value))
    throw new BootsealError('format', 'lzop: wrong magic number', INITRD_AGAIN);
  const what = 'lzop header';
  // Versions of the writer, of its library and of the reader needed; only from 0.94 on there are a level and a longer time.
  const isRecent = u16be.decode(await take(source, 6, what), 0, what) >= 0x0940;
  await pass(source, isRecent ? 2 : 1, what);
  const hasFilter = ((await number32(source, u32be, what)) & 0x800) !== 0;
  await pass(source, (hasFilter ? 4 : 0) + (isRecent ? 12 : 8), what);
  await pass(source, (await byte(source, what)) + 4, what);
  while ((await number32(source, u32be, 'lzop block')) !== 0) {
    const compressed = await number32(source, u32be, 'lzop block');
    await pass(source, 4 + compressed, 'lzop block');
  }
}

const XZ_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
/** Bytes of the check behind each block, by its number (The .xz File Format 1.2.1, section 2.1.1.2). */
const XZ_CHECK = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

/** The .xz File Format 1.2.1: one stream. Its blocks hold LZMA2, whose chunks say how long they are. */
async function passXz(source: Source): Promise<void> {
  const start = source.position;
  const header = await take(source, 12, 'xz header');
  if (!XZ_MAGIC.every((value, i) => header[i] === value))
    throw new BootsealError('format', 'xz: wrong magic number', INITRD_AGAIN);
  const check = XZ_CHECK[(header[7] ?? 0) & 15] ?? 0;
  const align = () => pass(source, (4 - ((source.position - start) % 4)) % 4, 'xz padding');
  for (;;) {
    const size = await byte(source, 'xz block');
    if (size === 0) break;
    await pass(source, size * 4 + 3, 'xz block header');
    await passLzma2(source);
    await align();
    await pass(source, check, 'xz check');
  }
  const records = await xzNumber(source);
  for (let left = 2 * records; left > 0; left--) await xzNumber(source);
  await align();
  await pass(source, 4 + 12, 'xz footer');
}

/** A number of the index: seven bits a byte, at most nine bytes (section 1.2). */
async function xzNumber(source: Source): Promise<number> {
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const next = await byte(source, 'xz index');
    value += (next & 127) * 2 ** (7 * i);
    if (next < 128) return value;
  }
  throw new BootsealError('format', 'xz index: a number of more than nine bytes', INITRD_AGAIN);
}

/** Chunks: a control byte, sizes, data (linux lib/xz/xz_dec_lzma2.c). */
async function passLzma2(source: Source): Promise<void> {
  const what = 'xz chunk';
  for (;;) {
    const control = await byte(source, what);
    if (control === 0) return;
    if (control < 0x80) {
      if (control > 2) throw new BootsealError('format', `${what}: control byte ${control}`, INITRD_AGAIN);
      await pass(source, u16be.decode(await take(source, 2, what), 0, what) + 1, what);
    } else {
      await pass(source, 2, what);
      const size = u16be.decode(await take(source, 2, what), 0, what) + 1;
      await pass(source, size + (control >= 0xc0 ? 1 : 0), what);
    }
  }
}
