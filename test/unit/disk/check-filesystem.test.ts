import { describe, expect, it } from 'vitest';
import { checkExt4 } from '../../../src/core/disk/check-ext4.ts';
import { crc32c } from '../../../src/core/disk/crc32.ts';
import { checkErofs } from '../../../src/core/disk/erofs-superblock.ts';
import { smallErofs } from '../../erofs-image.ts';
import { fixture } from '../../fixtures.ts';
import { memoryDisk, seededRandom } from '../../luks-image.ts';

const SUPER = 1024;
const image = (name: string): Buffer => Buffer.from(fixture(`ext4/${name}.img`));

describe('checkExt4', () => {
  const names = ['blocks-1024-ext2', 'blocks-1024-flex', 'blocks-2048-noflex', 'blocks-4096-uninit'];
  const withSums = (bytes: Buffer): boolean => (bytes.readUInt32LE(SUPER + 100) & 0x400) !== 0;
  const sealed = (bytes: Buffer): Buffer => {
    if (withSums(bytes)) bytes.writeUInt32LE(crc32c(0xffffffff, bytes.subarray(SUPER, SUPER + 0x3fc)), SUPER + 0x3fc);
    return bytes;
  };
  const check = (bytes: Uint8Array) => checkExt4(memoryDisk(bytes));

  it('has fixtures with checksums and without', () => {
    expect(new Set(names.map((name) => withSums(image(name))))).toEqual(new Set([true, false]));
  });

  it.each(names)('accepts %s, also unclean and with features that are not known', async (name) => {
    await check(image(name));
    const unclean = image(name);
    unclean.writeUInt16LE(0, SUPER + 0x3a);
    unclean.writeUInt32LE(unclean.readUInt32LE(SUPER + 96) | 0x4, SUPER + 96);
    unclean.writeUInt32LE((unclean.readUInt32LE(SUPER + 100) | 0x8000_0000) >>> 0, SUPER + 100);
    await check(sealed(unclean));
  });

  it.each(names)('finds what is wrong behind the superblock of %s', async (name) => {
    const bytes = image(name);
    const blockSize = 1024 << bytes.readUInt32LE(SUPER + 24);
    const descriptors = (bytes.readUInt32LE(SUPER + 20) + 1) * blockSize;
    bytes.set(seededRandom(2)(4096), descriptors);
    await expect(check(bytes)).rejects.toMatchObject({
      kind: 'format',
      message: withSums(bytes)
        ? 'ext4: the checksum of the descriptor of group 0 is wrong'
        : 'ext4: group 0 has tables outside of the file system',
    });
    // With its descriptors elsewhere (meta_bg), or blocks in clusters (bigalloc), nothing is said of them.
    for (const [place, bit] of [
      [96, 0x10],
      [100, 0x200],
    ] as const) {
      const other = Buffer.from(bytes);
      other.writeUInt32LE(other.readUInt32LE(SUPER + place) | bit, SUPER + place);
      await check(sealed(other));
    }
  });

  it('finds a superblock with another checksum, and one of more blocks than there are', async () => {
    const bytes = image(names.find((name) => withSums(image(name))) ?? '');
    bytes.writeUInt8(1, SUPER + 0x78);
    await expect(check(bytes)).rejects.toMatchObject({ message: 'ext4: the checksum of its superblock is wrong' });
    await expect(check(image('blocks-1024-ext2').subarray(0, -1024))).rejects.toMatchObject({
      message: 'ext4: it has 16384 blocks, which is more than the image holds',
    });
  });
});

describe('checkErofs', () => {
  /** The small image with the fields that a kernel looks at. */
  const whole = (): Buffer => {
    const bytes = smallErofs();
    bytes.writeUInt32LE(0xe0f5e1e2, SUPER);
    bytes.writeUInt32LE(1, SUPER + 8);
    bytes.writeUInt8(12, SUPER + 12);
    bytes.writeUInt32LE(2, SUPER + 36);
    return bytes;
  };
  const sealed = (bytes: Buffer): Buffer => {
    bytes.writeUInt32LE(0, SUPER + 4);
    bytes.writeUInt32LE(crc32c(0xffffffff, bytes.subarray(SUPER, 4096)), SUPER + 4);
    return bytes;
  };
  const check = (bytes: Uint8Array) => checkErofs(memoryDisk(bytes));

  it('accepts a whole one', async () => {
    await check(sealed(whole()));
  });

  it.each<[string, (bytes: Buffer) => unknown, string]>([
    ['blocks of 256 bytes', (bytes) => bytes.writeUInt8(8, SUPER + 12), 'EROFS: the size of its blocks is wrong'],
    [
      'more blocks than there are',
      (bytes) => bytes.writeUInt32LE(3, SUPER + 36),
      'EROFS: it has 3 blocks, which is more than the image holds',
    ],
    ['a root that is a file', (bytes) => bytes.writeUInt16LE(8, SUPER + 14), 'EROFS: its root is no directory'],
    ['a root that is beyond', (bytes) => bytes.writeUInt16LE(128, SUPER + 14), 'before the end of the root of EROFS'],
  ])('finds %s', async (_, change, message) => {
    const bytes = whole();
    change(bytes);
    await expect(check(sealed(bytes))).rejects.toMatchObject({
      kind: 'format',
      message: expect.stringContaining(message),
    });
  });

  it('finds a wrong checksum where there is one, and reads nothing where features are not known', async () => {
    const bytes = whole();
    await expect(check(bytes)).rejects.toMatchObject({ message: 'EROFS: the checksum of its superblock is wrong' });
    bytes.writeUInt32LE(0, SUPER + 8);
    await check(bytes);
    bytes.writeUInt16LE(8, SUPER + 14);
    bytes.writeUInt32LE(0x80, SUPER + 80);
    await check(bytes);
  });
});
