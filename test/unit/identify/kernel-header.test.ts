import { describe, expect, it } from 'vitest';
import { headerChanges, SETUP_HEADER_BYTES } from '../../../src/core/identify/kernel-header.ts';
import { withQemuHeader } from '../../../src/core/measurement/setup-header.ts';
import { linuxKernel } from '../../linux-kernel.ts';

const MIB = 2 ** 20;
const INITRD = 70001;
const kernel = linuxKernel();

/** What a kernel may be changed to. */
const changed = (image: Uint8Array, initrdBytes?: number) =>
  headerChanges(image, initrdBytes).map(({ at, bytes }) => {
    const other = Buffer.from(image);
    other.set(bytes, at);
    return other.toString('hex');
  });

/** What QEMU makes of it, which differential/qemu-fw-cfg.test.ts holds against QEMU itself. */
const byQemu = (memory?: number) => {
  const initrdSize = memory === undefined ? undefined : INITRD;
  return Buffer.from(withQemuHeader(kernel, { cmdline: new Uint8Array(), initrdSize, memory })).toString('hex');
};

describe('what a VMM may have written into a kernel', () => {
  it('is what QEMU writes, without an initrd or with one in guests of usual size', () => {
    expect(changed(kernel)).toEqual([byQemu()]);
    expect(changed(kernel, INITRD)).toEqual([2048, 1024, 512].map((size) => byQemu(size * MIB)));
    for (const size of [2048, 4096, 65536]) expect(changed(kernel, INITRD)).toContain(byQemu(size * MIB));
  });

  it('comes once where memory makes no difference, and not where the initrd has no room', () => {
    expect(changed(linuxKernel({ xloadflags: 0, initrdMax: 0x1000_0000 }), INITRD)).toHaveLength(1);
    expect(changed(kernel, 512 * MIB)).toHaveLength(2);
  });

  it('is in memory of its own', () => {
    const image = Buffer.from(kernel);
    const [change] = headerChanges(image);
    change?.bytes.fill(0);
    expect(image.equals(kernel)).toBe(true);
  });

  it('is nothing in what is no such kernel', () => {
    const broken = (at: number) => kernel.map((byte, i) => (i === at ? 0 : byte));
    expect(headerChanges(kernel.subarray(0, SETUP_HEADER_BYTES))).toHaveLength(1);
    expect(headerChanges(kernel.subarray(0, SETUP_HEADER_BYTES - 1))).toEqual([]);
    for (const bytes of [undefined, INITRD]) {
      expect(headerChanges(broken(0x202), bytes)).toEqual([]);
      expect(headerChanges(broken(0x211), bytes)).toEqual([]);
    }
  });
});
