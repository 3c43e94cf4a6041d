/** @module Firmware that a search leaves out on a platform, with an SVSM below it or without, because nothing that is looked at starts it so. */
import type { Platform } from '../measurement/measure.ts';
import type { Question } from './identify.ts';
import { vcpuCandidates } from './vcpu-candidates.ts';

/** What is left out, and why. */
export interface LeftOut {
  readonly platform: Platform;
  /** How many firmware candidates. */
  readonly firmware: number;
  /** Whether with an SVSM below them. */
  readonly svsm: boolean;
  readonly reason: 'platform' | 'profiles';
}

/** What each reason means, for people. */
export const LEFT_OUT_TEXTS: Readonly<Record<LeftOut['reason'], string>> = {
  platform: 'an SVSM runs in guests of SNP only',
  profiles: 'none of the profiles and features that were given starts such guests',
};

/** Returns what is left out of a search with SVSMs; of others nothing is, but whole platforms. */
export function leftOutOf({
  platforms,
  firmware,
  vcpus,
}: Pick<Question, 'platforms' | 'firmware' | 'vcpus'>): readonly LeftOut[] {
  const below = firmware.filter(({ svsm }) => svsm !== undefined).length;
  if (below === 0) return [];
  return platforms.flatMap((platform): readonly LeftOut[] => {
    if (platform !== 'snp') return [{ platform, firmware: below, svsm: true, reason: 'platform' }];
    return [true, false]
      .filter((svsm) => vcpuCandidates(platform, vcpus, svsm).length === 0)
      .map((svsm) => ({
        platform,
        firmware: svsm ? below : firmware.length - below,
        svsm,
        reason: 'profiles' as const,
      }));
  });
}
