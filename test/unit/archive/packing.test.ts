import { describe, expect, it } from 'vitest';
import { packingOf } from '../../../src/core/archive/packing.ts';

const letters = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

describe('packingOf', () => {
  it('knows what is read packed, and takes the rest as it is', () => {
    expect(packingOf(letters('\x1f\x8b\x08'), 'f')).toBe('gzip');
    expect(packingOf(letters('\x28\xb5\x2f\xfd'), 'f')).toBe('zstd');
    for (const other of ['', '\x1f', 'BZ', 'VHDX', 'P', 'PK\x05\x06', '7z', '0707']) {
      expect(packingOf(letters(other), 'f')).toBe('none');
    }
    expect(packingOf(new Uint8Array(512), 'f')).toBe('none');
  });

  it.each([
    ['\xfd7zXZ\0', 'xz', 'unpack it first'],
    ['BZh9', 'bzip2', 'unpack it first'],
    ['\x04\x22\x4d\x18', 'lz4', 'unpack it first'],
    ['QFI\xfb', 'qcow2', 'qemu-img convert'],
    ['KDMV', 'VMDK', 'qemu-img convert'],
    ['# Disk DescriptorFile\n', 'VMDK', 'qemu-img convert'],
    ['vhdxfile', 'VHDX', 'qemu-img convert'],
    ['conectix', 'VHD', 'qemu-img convert'],
    [`${'<<< QEMU VM Virtual Disk Image >>>'.padEnd(64, '\0')}\x7f\x10\xda\xbe`, 'VDI', 'qemu-img convert'],
    ['070701', 'cpio', 'into a folder'],
    ['PK\x03\x04', 'zip', 'into a folder'],
    ['7z\xbc\xaf\x27\x1c', '7-Zip', 'into a folder'],
    ['!<arch>\n', 'ar or deb', 'into a folder'],
    ['\xed\xab\xee\xdb', 'RPM', 'into a folder'],
  ])('refuses what nothing in the guest could use: %j is %s', (start, name, hint) => {
    expect(() => packingOf(letters(start), 'f')).toThrow(
      expect.objectContaining({
        kind: 'usage',
        message: `f is packed as ${name}, which is not read here`,
        hint: expect.stringContaining(hint),
      }),
    );
  });
});
