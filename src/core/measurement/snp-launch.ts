/** @module The digests of whole SNP launches, sharing the work that launches have in common. */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import type { Trace } from './plan.ts';
import type { Profile } from './profiles.ts';
import { SnpDigest } from './snp.ts';
import { addSections, type SectionInputs } from './snp-sections.ts';
import type { VcpuPages } from './vcpus.ts';

/** Returns the digest of a launch up to its vCPUs: firmware pages (`firmwareDigest`, 48 bytes), then metadata pages. */
export function startSnpLaunch(
  firmwareDigest: Uint8Array,
  inputs: SectionInputs,
  hashes: Hashes,
  trace?: Trace,
): SnpDigest {
  const digest = new SnpDigest(hashes, firmwareDigest);
  addSections(digest, inputs, trace);
  return digest;
}

/**
 * Returns the 48-byte digests of guests with each number of vCPUs in `counts`, in the same order; a guest with one vCPU more is
 * one page more, so all of them cost as much as the largest.
 */
export function snpDigests(
  launch: SnpDigest,
  profile: Pick<Profile, 'vmsaGpa'>,
  pages: VcpuPages,
  counts: readonly number[],
  trace?: Trace,
): readonly Uint8Array[] {
  const digest = launch.fork();
  const byCount = new Map<number, Uint8Array>();
  const wanted = new Set(counts);
  for (let vcpu = 0; vcpu < Math.max(...counts); vcpu++) {
    const page = vcpu === 0 ? pages.bsp : pages.ap();
    digest.add('vmsa', profile.vmsaGpa, page);
    if (wanted.has(vcpu + 1)) byCount.set(vcpu + 1, digest.value());
    trace?.({ name: `vcpu ${vcpu}`, type: 'vmsa', gpa: profile.vmsaGpa, length: page.length, digest: digest.value() });
  }
  return counts.map((count) => {
    const value = byCount.get(count);
    if (value === undefined)
      throw new BootsealError('usage', `cannot measure ${count} vCPUs`, {
        hint: 'a guest has 1 vCPU or more, in whole numbers',
      });
    return value;
  });
}
