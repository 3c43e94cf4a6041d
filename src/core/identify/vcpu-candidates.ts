/** @module In which state vCPUs may have started: every profile with every CPU and features word that makes a difference there. */
import type { Cpu, Platform } from '../measurement/measure.ts';
import type { Profile } from '../measurement/profiles.ts';

/** What is tried. */
export interface VcpuScope {
  readonly profiles: readonly Profile[];
  /** One of each signature. */
  readonly cpus: readonly Cpu[];
  /** SEV_FEATURES of SNP guests, which have bit 0 set, and of SEV-ES guests, which do not. */
  readonly features: readonly bigint[];
  /** Guests with 1 to this many vCPUs. */
  readonly mostVcpus: number;
}

/** One candidate for the state of all vCPUs. */
export interface VcpuCandidate {
  readonly profile: Profile;
  /** Absent where it makes no difference. */
  readonly cpu: Cpu | undefined;
  readonly features: bigint;
}

const SNP_ACTIVE = 1n;

/** Returns the candidates on `platform`, with an SVSM or without, those of the first profile and features first. */
export function vcpuCandidates(
  platform: Exclude<Platform, 'sev'>,
  scope: VcpuScope,
  withSvsm = false,
): readonly VcpuCandidate[] {
  const features = scope.features.filter((word) => ((word & SNP_ACTIVE) !== 0n) === (platform === 'snp'));
  const profiles = scope.profiles.filter(
    (profile) => profile.platforms.includes(platform) && profile.svsm !== (withSvsm ? 'no' : 'always'),
  );
  return features.flatMap((word) =>
    profiles.flatMap((profile) => {
      const cpus = profile.cpuMatters ? scope.cpus : [undefined];
      return cpus.map((cpu) => ({ profile, cpu, features: word }));
    }),
  );
}
