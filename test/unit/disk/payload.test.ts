import { describe, expect, it } from 'vitest';
import { chooseSectorSize, identifyPayload, PAYLOAD_START } from '../../../src/core/disk/payload.ts';

/** An image with bytes at places. */
function image(...pieces: readonly (readonly [at: number, bytes: readonly number[] | string])[]): Uint8Array {
  const start = new Uint8Array(PAYLOAD_START);
  for (const [at, bytes] of pieces) start.set(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, at);
  return start;
}

const EXT_MAGIC = [1024 + 56, [0x53, 0xef]] as const;
const ext = (logBlockSize: number) => image(EXT_MAGIC, [1024 + 24, [logBlockSize]]);
const erofs = (logBlockSize: number) => image([1024, [0xe2, 0xe1, 0xf5, 0xe0]], [1024 + 12, [logBlockSize]]);
const MBR = [510, [0x55, 0xaa]] as const;
const PARTITION = [446 + 4, [0x83]] as const;

describe('identifyPayload', () => {
  it.each([
    ['ext4 of 1 KiB', ext(0), 'ext4 with blocks of 1024 bytes', 1024],
    ['ext4 of 4 KiB', ext(2), 'ext4 with blocks of 4096 bytes', 4096],
    ['ext4 of 64 KiB', ext(6), 'ext4 with blocks of 65536 bytes', 65536],
    [
      'ext4 with a boot sector in front of it',
      image(...[EXT_MAGIC, MBR, PARTITION]),
      'ext4 with blocks of 1024 bytes',
      1024,
    ],
    ['EROFS of 512', erofs(9), 'EROFS with blocks of 512 bytes', 512],
    ['EROFS of 4 KiB', erofs(12), 'EROFS with blocks of 4096 bytes', 4096],
    ['Btrfs', image([0x10040, '_BHRfS_M'], [0x10000 + 144, [0, 0x10]]), 'Btrfs with blocks of 4096 bytes', 4096],
    ['a GPT', image([512, 'EFI PART'], MBR, PARTITION), 'a GPT for sectors of 512 bytes', 512],
    ['a GPT of 4 KiB', image([4096, 'EFI PART'], MBR, PARTITION), 'a GPT for sectors of 4096 bytes', 4096],
    ['a GPT over an old ext4', image([512, 'EFI PART'], EXT_MAGIC), 'a GPT for sectors of 512 bytes', 512],
    ['an MBR', image(MBR, PARTITION, [446, [0x80]]), 'a partition table (MBR)', 512],
    ['FAT', image(MBR, [0, [0xeb, 0x3c, 0x90]], [11, [0, 2]]), 'FAT or NTFS with blocks of 512 bytes', 512],
    ['FAT of 4 KiB', image(MBR, [0, [0xe9]], [11, [0, 16]]), 'FAT or NTFS with blocks of 4096 bytes', 4096],
  ])('knows %s', (_name, start, what, largestSector) => {
    expect(identifyPayload(start)).toEqual({ what, largestSector });
  });

  it.each([
    ['zeros', image()],
    ['nothing', new Uint8Array(0)],
    ['an ext4 with impossible blocks', ext(7)],
    ['an EROFS with impossible blocks', erofs(17)],
    ['half a superblock', ext(2).slice(0, 1024 + 57)],
    ['a boot sector without partitions', image(MBR)],
    ['a boot sector with code where partitions would be', image(MBR, PARTITION, [446 + 16, [0x12]])],
    ['a boot sector without its mark', image(PARTITION)],
    ['a jump with impossible sectors', image(MBR, [0, [0xeb]], [11, [1, 2]])],
  ])('says nothing of %s', (_name, start) => {
    expect(identifyPayload(start)).toBeUndefined();
  });

  it('knows what ends right after its superblock', () => {
    expect(identifyPayload(ext(2).slice(0, 1024 + 58))?.largestSector).toBe(4096);
  });
});

describe('chooseSectorSize', () => {
  const [small, large] = [identifyPayload(ext(0)), identifyPayload(ext(2))];
  it.each([
    [large, undefined, 4096, 'ext4 with blocks of 4096 bytes works with it', false],
    [large, 4096, 4096, 'ext4 with blocks of 4096 bytes works with it', false],
    [large, 512, 512, 'asked for', false],
    [small, undefined, 512, 'ext4 with blocks of 1024 bytes does not work with sectors of 4096', false],
    [small, 4096, 512, 'ext4 with blocks of 1024 bytes does not work with sectors of 4096', true],
    [small, 512, 512, 'asked for', false],
    [undefined, undefined, 512, 'what is in the image is not known, and 512 work with everything', false],
    [undefined, 4096, 4096, 'asked for; what is in the image is not known', false],
    [undefined, 512, 512, 'asked for', false],
  ] as const)('for %j, asked %j, takes %i: %s', (payload, asked, size, why, changed) => {
    expect(chooseSectorSize(payload, asked)).toEqual({ size, why, changed });
  });
});
