/** @module Whether an EROFS file system begins as one that a kernel mounts: superblock and root (Linux, fs/erofs/super.c). */
import { layout, magic, reserved, u8, u16le, u32le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { type Disk, readExactly } from '../luks/disk.ts';
import { crc32c } from './crc32.ts';

/** Linux, fs/erofs/erofs_fs.h, erofs_super_block; at 1024. */
const Superblock = layout('EROFS superblock', {
  magic: magic(Uint8Array.of(0xe2, 0xe1, 0xf5, 0xe0)),
  checksum: u32le,
  compatible: u32le,
  logBlockSize: u8,
  extensions: reserved(1),
  rootNid: u16le,
  times: reserved(20),
  blocks: u32le,
  metaBlock: u32le,
  xattrBlock: reserved(4),
  names: reserved(32),
  incompatible: u32le,
});

const SUPERBLOCK_AT = 1024;
const HAS_CHECKSUM = 0x1;
/** The features of Linux 6.12; later ones move the root, and count blocks otherwise. */
const KNOWN_INCOMPATIBLE = 0x7f;
const BLOCK_SIZES = { min: 9, max: 16 };

/** Of an inode: both kinds have their mode at the same place. */
const SLOT = 32;
const MODE_AT = 4;
const TYPE = 0xf000;
const DIRECTORY = 0x4000;

/** Checks checksum and size, and that the root is a directory. Throws `format` for the first that is wrong, `io`. */
export async function checkErofs(disk: Disk): Promise<void> {
  const fields = Superblock.unpack(await readExactly(disk, SUPERBLOCK_AT, Superblock.size, 'the superblock of EROFS'));
  const { logBlockSize, compatible, incompatible, blocks, metaBlock, rootNid } = fields;
  if (logBlockSize < BLOCK_SIZES.min || logBlockSize > BLOCK_SIZES.max) throw broken('the size of its blocks is wrong');
  const blockSize = 2 ** logBlockSize;
  if ((compatible & HAS_CHECKSUM) !== 0) await checkChecksum(disk, blockSize, fields.checksum);
  if ((incompatible & ~KNOWN_INCOMPATIBLE) !== 0) return;
  if (blocks * blockSize > disk.size) throw broken(`it has ${blocks} blocks, which is more than the image holds`);
  const root = metaBlock * blockSize + rootNid * SLOT;
  const mode = u16le.decode(await readExactly(disk, root, SLOT, 'the root of EROFS'), MODE_AT, 'mode');
  if ((mode & TYPE) !== DIRECTORY) throw broken('its root is no directory');
}

/** Of the rest of the first block, with zeros in its own place (fs/erofs/super.c, erofs_superblock_csum_verify). */
async function checkChecksum(disk: Disk, blockSize: number, expected: number): Promise<void> {
  const length = blockSize > SUPERBLOCK_AT ? blockSize - SUPERBLOCK_AT : blockSize;
  const bytes = (await readExactly(disk, SUPERBLOCK_AT, length, 'the superblock of EROFS')).slice();
  u32le.encode(0, bytes, Superblock.offset.checksum, 'checksum');
  if (crc32c(0xffffffff, bytes) !== expected) throw broken('the checksum of its superblock is wrong');
}

function broken(what: string): BootsealError {
  return new BootsealError('format', `EROFS: ${what}`, { hint: 'build the file system again' });
}
