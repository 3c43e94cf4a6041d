import { describe, expect, it } from 'vitest';
import { withQemuHeader } from '../../../src/core/measurement/setup-header.ts';
import { failure, HINT } from '../../failure.ts';
import { linuxKernel } from '../../linux-kernel.ts';

const MIB = 2 ** 20;
const cmdline = Uint8Array.from(Buffer.from('console=ttyS0'));
const alone = { cmdline, initrdSize: undefined, memory: undefined };
const withInitrd = (initrdSize: number, memory: number | undefined) => ({ cmdline, initrdSize, memory });

/** Bytes that differ, by offset. */
function changes(before: Uint8Array, after: Uint8Array): Readonly<Record<string, number>> {
  expect(after.length).toBe(before.length);
  const found = [...before.keys()].filter((at) => before[at] !== after[at]);
  return Object.fromEntries(found.map((at) => [at.toString(16), after[at] ?? 0]));
}
const ramdisk = (kernel: Uint8Array) => [0x218, 0x21c].map((at) => Buffer.from(kernel).readUInt32LE(at));

describe('the header as QEMU before 10.2 fills it in', () => {
  it('names the loader, the heap and the place of the command line', () => {
    const kernel = linuxKernel();
    expect(changes(kernel, withQemuHeader(kernel, alone))).toEqual({
      '210': 0xb0,
      '211': 0x81,
      '225': 0xfe,
      '22a': 0x02,
    });
  });

  it('keeps the flags that the kernel has set, and nothing else of those fields', () => {
    const kernel = linuxKernel({ loadflags: 0x63, rest: 0xee });
    const after = withQemuHeader(kernel, alone);
    expect([0x210, 0x211, 0x224, 0x225, 0x226, 0x228, 0x229, 0x22a, 0x22b].map((at) => after[at])).toEqual([
      0xb0, 0xe3, 0x00, 0xfe, 0xee, 0x00, 0x00, 0x02, 0x00,
    ]);
  });

  it('does not change what it is given', () => {
    const kernel = linuxKernel();
    const before = kernel.slice();
    withQemuHeader(kernel, withInitrd(1, 2048 * MIB));
    expect(kernel).toEqual(before);
  });

  it('names the initrd, as high as memory below 4 GiB lets it be', () => {
    const at = (size: number, memory: number) => ramdisk(withQemuHeader(linuxKernel(), withInitrd(size, memory)));
    expect(at(0x1000, 2048 * MIB)).toEqual([0x7ffd6000, 0x1000]);
    expect(at(0x0fff, 2048 * MIB)).toEqual([0x7ffd7000, 0x0fff]);
    expect(at(0, 2048 * MIB)).toEqual([0x7ffd7000, 0]);
    expect(at(0x1000, 512 * MIB)).toEqual([0x1ffd6000, 0x1000]);
    expect(at(0x1000, 2815 * MIB)).toEqual([0xafed6000, 0x1000]);
    expect(at(0x1000, 65536 * MIB)).toEqual([0x7ffd6000, 0x1000]);
  });

  it('heeds the highest address that an old kernel, or one that cannot lie above 4 GiB, takes', () => {
    const at = (over: Parameters<typeof linuxKernel>[0]) =>
      ramdisk(withQemuHeader(linuxKernel({ initrdMax: 0x37ffffff, ...over }), withInitrd(0x1000, 2048 * MIB)))[0];
    expect(at({ xloadflags: 0 })).toBe(0x37ffe000);
    expect(at({ version: 0x20b })).toBe(0x37ffe000);
    expect(at({ version: 0x20c })).toBe(0x7ffd6000);
    expect(at({ version: 0x202, initrdMax: 0x1000 })).toBe(0x37ffe000);
    expect(at({ version: 0x203, initrdMax: 0x2fffffff })).toBe(0x2fffe000);
  });

  it('leaves a program without a setup header alone', () => {
    const program = linuxKernel().fill(0, 0x202, 0x206);
    expect(withQemuHeader(program, alone)).toBe(program);
    expect(withQemuHeader(new Uint8Array(0x267), alone)).toHaveLength(0x267);
  });
});

describe('what QEMU starts otherwise, or not at all, is refused', () => {
  const program = linuxKernel().fill(0, 0x202, 0x206);
  const vga = { ...alone, cmdline: Uint8Array.from(Buffer.from('quiet novga=1')) };
  it.each([
    [
      'an initrd for another program',
      program,
      withInitrd(1, 2048 * MIB),
      'QEMU takes no initrd with a kernel that has no setup',
    ],
    ['a kernel of 1999', linuxKernel({ version: 0x201 }), alone, 'the kernel is of before Linux 2.4 or a zImage'],
    ['a zImage', linuxKernel({ loadflags: 0 }), alone, 'the kernel is of before Linux 2.4 or a zImage'],
    ['a video mode', linuxKernel(), vga, 'the command line has vga='],
    [
      'an initrd without a size of memory',
      linuxKernel(),
      withInitrd(1, undefined),
      "QEMU writes the initrd's address into",
    ],
    [
      'an initrd as large as memory',
      linuxKernel(),
      withInitrd(512 * MIB, 512 * MIB),
      'the initrd of 536870912 bytes does not fit',
    ],
    ['hardly any memory', linuxKernel(), withInitrd(1, 8192), 'the initrd of 1 bytes does not fit'],
  ])('%s', (_, kernel, inputs, message) => {
    expect(failure(() => withQemuHeader(kernel, inputs))).toEqual({
      kind: 'usage',
      message: expect.stringContaining(message),
      hint: HINT,
    });
  });

  it('an initrd that just fits is taken', () => {
    const most = 512 * MIB - 0x28000 - 2;
    expect(ramdisk(withQemuHeader(linuxKernel(), withInitrd(most, 512 * MIB)))).toEqual([0, most]);
    expect(failure(() => withQemuHeader(linuxKernel(), withInitrd(most + 1, 512 * MIB)))).toMatchObject({
      kind: 'usage',
    });
  });
});
