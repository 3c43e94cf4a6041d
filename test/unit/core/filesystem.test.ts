import { describe, expect, it } from 'vitest';
import { detectFilesystem, SIGNATURE_BYTES } from '../../../src/core/filesystem.ts';

const start = (...parts: readonly (readonly [number, readonly number[] | string])[]) => {
  const bytes = new Uint8Array(SIGNATURE_BYTES);
  for (const [at, value] of parts) bytes.set(typeof value === 'string' ? Buffer.from(value) : value, at);
  return bytes;
};
const ext = [
  [1024, [16, 0, 0, 0]],
  [1024 + 0x18, [2, 0, 0, 0]],
  [1024 + 0x38, [0x53, 0xef, 1, 0]],
  [1024 + 0x4c, [1, 0, 0, 0]],
] as const;

describe('detectFilesystem', () => {
  it.each([
    ['xfs', start([0, 'XFSB'])],
    ['squashfs', start([0, 'hsqs'])],
    ['LUKS', start([0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]])],
    ['GPT', start([512, 'EFI PART'])],
    ['GPT', start([4096, 'EFI PART'])],
    ['LVM', start([512, 'LABELONE'])],
    ['erofs', start([1024, [0xe2, 0xe1, 0xf5, 0xe0]])],
    ['f2fs', start([1024, [0x10, 0x20, 0xf5, 0xf2]])],
    ['swap', start([4086, 'SWAPSPACE2'])],
    ['ISO 9660', start([32769, 'CD001'])],
    ['btrfs', start([65600, '_BHRfS_M'])],
    ['ext4', start(...ext)],
    ['ext4', start(...ext, [1024 + 0x18, [6]], [1024 + 0x3a, [7]])],
    [undefined, start()],
    [undefined, new Uint8Array(0)],
    [undefined, start(...ext).subarray(0, 1024 + 0x5f)],
    [undefined, start(...ext, [1024, [0]])],
    [undefined, start(...ext, [1024 + 0x18, [7]])],
    [undefined, start(...ext, [1024 + 0x39, [0xee]])],
    [undefined, start(...ext, [1024 + 0x3a, [8]])],
    [undefined, start(...ext, [1024 + 0x4c, [2]])],
    [undefined, start([0, 'XFSA'])],
  ])('%s', (name, bytes) => {
    expect(detectFilesystem(bytes)).toBe(name);
  });

  it('reads ext4 out of the middle of a buffer', () => {
    const bytes = start(...ext);
    const longer = new Uint8Array(bytes.length + 7);
    longer.set(bytes, 7);
    expect(detectFilesystem(longer.subarray(7))).toBe('ext4');
    expect(detectFilesystem(start(...ext).subarray(0, 1024 + 0x60))).toBe('ext4');
  });
});
