/** @module What the first bytes of a disk are, told by the signatures of file systems and partition tables. */

/** Bytes that are looked at. */
export const SIGNATURE_BYTES = 0x10100;

interface Signature {
  readonly name: string;
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Offsets and values as in util-linux, libblkid/src/superblocks and partitions; all but ext are too long to be there by chance. */
const SIGNATURES: readonly Signature[] = [
  { name: 'xfs', at: 0, bytes: ascii('XFSB') },
  { name: 'squashfs', at: 0, bytes: ascii('hsqs') },
  { name: 'LUKS', at: 0, bytes: Uint8Array.of(0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe) },
  { name: 'GPT', at: 512, bytes: ascii('EFI PART') },
  { name: 'GPT', at: 4096, bytes: ascii('EFI PART') },
  { name: 'LVM', at: 512, bytes: ascii('LABELONE') },
  { name: 'erofs', at: 1024, bytes: Uint8Array.of(0xe2, 0xe1, 0xf5, 0xe0) },
  { name: 'f2fs', at: 1024, bytes: Uint8Array.of(0x10, 0x20, 0xf5, 0xf2) },
  { name: 'swap', at: 4086, bytes: ascii('SWAPSPACE2') },
  { name: 'ISO 9660', at: 0x8001, bytes: ascii('CD001') },
  { name: 'btrfs', at: 0x10040, bytes: ascii('_BHRfS_M') },
];

/** Where the superblock of ext2, ext3 and ext4 starts (Linux, Documentation/filesystems/ext4/super.rst). */
const EXT = 1024;

/** Returns the name of what starts here, undefined when it is nothing known: also what ciphertext looks like. */
export function detectFilesystem(start: Uint8Array): string | undefined {
  const found = SIGNATURES.find(({ at, bytes }) => bytes.every((byte, i) => start[at + i] === byte));
  return found?.name ?? (isExt(start) ? 'ext4' : undefined);
}

/** The magic number alone, two bytes, is there by chance once in 65536 ciphertexts. */
function isExt(start: Uint8Array): boolean {
  if (start.length < EXT + 0x60) return false;
  const view = new DataView(start.buffer, start.byteOffset + EXT);
  const [inodes, logBlockSize, magic, state, revision] = [
    view.getUint32(0, true),
    view.getUint32(0x18, true),
    view.getUint16(0x38, true),
    view.getUint16(0x3a, true),
    view.getUint32(0x4c, true),
  ];
  return magic === 0xef53 && inodes > 0 && logBlockSize <= 6 && state <= 7 && revision <= 1;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
