import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KERNEL_HEAD_BYTES, unifiedKernelParts } from '../../../src/core/measurement/unified-kernel.ts';
import { join } from '../../firmware-image.ts';
import { fixture } from '../../fixtures.ts';
import { efiProgram, UKI_SECTIONS } from '../../unified-kernel.ts';

describe('the parts of a unified kernel image', () => {
  it('are those sections that a direct boot is also given by itself', () => {
    expect(unifiedKernelParts(efiProgram(UKI_SECTIONS))).toEqual(['.cmdline', '.initrd', '.linux']);
    expect(unifiedKernelParts(efiProgram(['.linux']))).toEqual(['.linux']);
    expect(unifiedKernelParts(efiProgram(['.initrd', '.linux'], { peOffset: 0x100, optionalSize: 224 }))).toEqual([
      '.initrd',
      '.linux',
    ]);
    expect(unifiedKernelParts(join(efiProgram(UKI_SECTIONS), new Uint8Array(9000)))).toHaveLength(3);
  });

  it('are none of other programs, kernels with an EFI stub among them', () => {
    for (const names of [[], ['.setup', '.compat', '.text', '.data'], ['.initrd', '.cmdline'], ['.linux2', 'linux']]) {
      expect(unifiedKernelParts(efiProgram(names)), names.join()).toEqual([]);
    }
    expect(unifiedKernelParts(fixture('synthetic/kernel.bin'))).toEqual([]);
    expect(unifiedKernelParts(new Uint8Array())).toEqual([]);
    const right = efiProgram(['.linux']);
    for (const [at, byte] of [
      [0, 0x4e],
      [0x78, 0],
      [0x7a, 1],
      [0x3f, 0xff],
    ] as const) {
      const wrong = right.slice();
      wrong[at] = byte;
      expect(unifiedKernelParts(wrong), `byte ${at}`).toEqual([]);
    }
  });

  it('are read as far as the first bytes go', () => {
    const whole = efiProgram(['.initrd', '.linux', '.cmdline']);
    expect(unifiedKernelParts(whole.subarray(0, whole.length - 1))).toEqual(['.initrd', '.linux']);
    expect(unifiedKernelParts(whole.subarray(0, whole.length - 41))).toEqual([]);
    for (let size = 0; size < whole.length; size++) unifiedKernelParts(whole.subarray(0, size));
    const far = efiProgram(['.linux'], { peOffset: KERNEL_HEAD_BYTES });
    expect(unifiedKernelParts(far.subarray(0, KERNEL_HEAD_BYTES))).toEqual([]);
  });

  it('never fail, whatever is booted', () => {
    const image = efiProgram(UKI_SECTIONS);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (head) => void unifiedKernelParts(head)));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(image.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
        const changed = image.slice();
        for (const [at, byte] of changes) changed[at] = byte;
        unifiedKernelParts(changed);
      }),
    );
  });
});
