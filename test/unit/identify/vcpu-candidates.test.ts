import { describe, expect, it } from 'vitest';
import { type VcpuScope, vcpuCandidates } from '../../../src/core/identify/vcpu-candidates.ts';
import { findProfile, SNP_MEASURE_SVSM } from '../../../src/core/measurement/profiles.ts';

const cpus = [{ signature: 1 }, { signature: 2 }];
const scope: VcpuScope = {
  profiles: ['qemu', 'ec2', 'krun'].map(findProfile),
  cpus,
  features: [0x21n, 0x0n, 0x1n],
  mostVcpus: 4,
};

const names = (platform: 'sev-es' | 'snp', withSvsm = false) =>
  vcpuCandidates(platform, { ...scope, profiles: [...scope.profiles, SNP_MEASURE_SVSM] }, withSvsm).map(
    ({ profile, cpu, features }) => `${profile.name} ${cpu?.signature} ${features}`,
  );

describe('candidates for the state of vCPUs', () => {
  it('have bit 0 of their features on SNP, and each CPU where it matters', () => {
    expect(names('snp')).toEqual([
      'qemu 1 33',
      'qemu 2 33',
      'ec2 undefined 33',
      'krun undefined 33',
      'qemu 1 1',
      'qemu 2 1',
      'ec2 undefined 1',
      'krun undefined 1',
    ]);
  });

  it('are those of profiles that start an SVSM, where there is one', () => {
    expect(names('snp', true)).toEqual([
      'qemu 1 33',
      'qemu 2 33',
      'snp-measure-svsm 1 33',
      'snp-measure-svsm 2 33',
      'qemu 1 1',
      'qemu 2 1',
      'snp-measure-svsm 1 1',
      'snp-measure-svsm 2 1',
    ]);
  });

  it('have not on SEV-ES, where some profiles have no guests', () => {
    expect(names('sev-es')).toEqual(['qemu 1 0', 'qemu 2 0', 'krun undefined 0']);
  });
});
