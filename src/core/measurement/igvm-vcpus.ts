/** @module The vCPUs that QEMU and KVM start a guest of an IGVM file with. */
import type { VcpuDirective } from '../igvm/directives.ts';
import type { Loading } from './igvm-loaders.ts';
import { igvmStop } from './igvm-stop.ts';
import { asKvmHasIt, whatKvmRefuses } from './kvm-vmsa.ts';
import { Vmsa } from './vmsa.ts';

/** Returns the CPU state that QEMU hands to KVM, as it stands in the file: by vCPU, the last where one has several. */
export function vcpusOfQemu({ file, mask }: Pick<Loading, 'file' | 'mask'>): readonly VcpuDirective[] {
  const vcpus = new Map<number, VcpuDirective>();
  for (const one of file.directives) {
    if (one.kind === 'vcpu' && (one.mask & mask) !== 0) vcpus.set(one.vcpu, one);
  }
  return [...vcpus.values()].sort((a, b) => a.vcpu - b.vcpu);
}

/** Returns the same with the pages that KVM measures; takes whole VMSAs. Throws `format` for one that KVM refuses. */
export function vcpusOfKvm(loading: Loading): readonly VcpuDirective[] {
  const vcpus = vcpusOfQemu(loading);
  const features = featuresOf(vcpus, loading);
  return vcpus.map((directive) => {
    const refused = whatKvmRefuses(directive.page);
    if (refused !== undefined) throw igvmStop('qemu', `a VMSA that KVM refuses: ${refused}`);
    return { ...directive, page: asKvmHasIt(directive.page, features) };
  });
}

/** sev_common_kvm_init (QEMU target/i386/sev.c) has the features of all vCPUs from the VMSA of vCPU 0; SNP_ACTIVE is KVM's own. */
function featuresOf([first]: readonly VcpuDirective[], { platform }: Loading): bigint {
  if (first?.vcpu === 0) return Vmsa.unpack(first.page).sev_features;
  return platform === 'snp' ? 1n : 0n;
}
