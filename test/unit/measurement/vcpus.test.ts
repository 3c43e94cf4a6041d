import { describe, expect, it } from 'vitest';
import { checkFeatures, defaultFeatures } from '../../../src/core/measurement/features.ts';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { checkVcpuCounts, MAX_VCPUS, vcpuPages } from '../../../src/core/measurement/vcpus.ts';
import { Vmsa } from '../../../src/core/measurement/vmsa.ts';
import { failure } from '../../failure.ts';

describe('vCPUs', () => {
  it('need a reset address only beyond the first', () => {
    const pages = vcpuPages(findProfile('qemu'), 1, 1n, undefined);
    expect(pages.bsp.length).toBe(4096);
    expect(failure(() => pages.ap())).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('reset block'),
    });
  });

  it('make the page of application processors once', () => {
    const pages = vcpuPages(findProfile('qemu'), 1, 1n, 0x80b004);
    expect(pages.ap()).toBe(pages.ap());
    expect(Vmsa.unpack(pages.ap())).toMatchObject({ rip: 0xb004n, cs: { base: 0x800000n } });
  });

  it('are 1 to 4096', () => {
    checkVcpuCounts([1, MAX_VCPUS]);
    for (const wrong of [0, -3, 4097, 1.5, Number.NaN]) {
      expect(failure(() => checkVcpuCounts([1, wrong]))).toEqual({
        kind: 'usage',
        message: `${wrong} is not a number of vCPUs`,
        hint: 'a guest has 1 to 4096',
      });
    }
  });
});

describe('VMSA features', () => {
  it('have defaults', () => {
    expect([defaultFeatures('snp'), defaultFeatures('sev-es')]).toEqual([1n, 0n]);
  });

  it('must fit and agree with the platform', () => {
    checkFeatures('snp', 2n ** 64n - 1n);
    checkFeatures('sev-es', 0x20n);
    expect(failure(() => checkFeatures('snp', 2n ** 64n)).message).toBe(
      'VMSA features 0x10000000000000000 do not fit in 64 bits',
    );
    expect(failure(() => checkFeatures('snp', -1n)).message).toContain('64 bits');
    expect(failure(() => checkFeatures('snp', 0x20n))).toEqual({
      kind: 'usage',
      message: 'VMSA features 0x20: bit 0 (SNP_ACTIVE) is not set, which no SNP guest has',
      hint: 'KVM always sets bit 0 for SNP: 0x1, with DebugSwap 0x21',
    });
    expect(failure(() => checkFeatures('sev-es', 0x21n))).toEqual({
      kind: 'usage',
      message: 'VMSA features 0x21: bit 0 (SNP_ACTIVE) is set, which no SEV-ES guest has',
      hint: 'SEV-ES uses 0x0, with DebugSwap 0x20',
    });
  });
});
