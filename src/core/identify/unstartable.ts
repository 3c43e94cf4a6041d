/** @module Which launches cannot be started, and why: worked out once for each firmware, platform, kind of boot and profile, without a hash. */
import { BootsealError } from '../errors.ts';
import type { Hashes, RunningHash } from '../hash.ts';
import type { Platform } from '../measurement/measure.ts';
import type { Profile } from '../measurement/profiles.ts';
import type { Boot } from './boots.ts';
import { Launches } from './launches.ts';
import type { BootKind, Failure } from './ruled-out.ts';
import type { Guest, Part } from './units.ts';
import { type VcpuCandidate, type VcpuScope, vcpuCandidates } from './vcpu-candidates.ts';

const NO_HASH: RunningHash = { update: () => undefined, copy: () => NO_HASH, digest: () => new Uint8Array(32) };

/** Most of a start is hashing, on which it does not depend whether there can be one. */
const NO_HASHES: Hashes = {
  sha256: () => new Uint8Array(32),
  sha384: () => new Uint8Array(48),
  startSha256: () => NO_HASH,
  startSha384: () => NO_HASH,
};

/** What stands against launches; all that is booted in the same way fails alike. */
export class Unstartable {
  readonly #launches = new Launches(NO_HASHES);
  readonly #vcpus: VcpuScope;
  readonly #profiles = new Map<string, readonly Profile[]>();
  readonly #failures = new Map<unknown, Map<string, readonly Failure[]>>();
  readonly #startable = new Map<readonly VcpuCandidate[], Map<string, readonly VcpuCandidate[]>>();

  constructor(vcpus: VcpuScope) {
    this.#vcpus = vcpus;
  }

  /** Returns why a guest cannot be started on a platform, for SNP under each profile in which it cannot: the same array each time. */
  failures(guest: Guest, platform: Platform): readonly Failure[] {
    const known = memo(this.#failures, guest.firmware, () => new Map<string, readonly Failure[]>());
    return memo(known, `${platform} ${kindOf(guest.boot)}`, () => this.#findFailures(guest, platform));
  }

  #findFailures(guest: Guest, platform: Platform): readonly Failure[] {
    if (platform !== 'snp') return this.#failure(guest, platform, () => this.#launches.sev(guest, platform));
    return this.profiles('snp', guest.firmware.svsm !== undefined).flatMap((profile) =>
      this.#failure(guest, platform, () => this.#launches.snp(guest, profile), profile),
    );
  }

  /** Throws what says something else than that there is no such launch. */
  #failure({ firmware, boot }: Guest, platform: Platform, start: () => unknown, profile?: Profile): readonly Failure[] {
    try {
      start();
      return [];
    } catch (error) {
      if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
      return [{ firmware, platform, reason: error.message, boots: kindOf(boot), profile: profile?.name }];
    }
  }

  /** Returns the profiles of the candidates on a platform, with an SVSM or without. */
  profiles(platform: Exclude<Platform, 'sev'>, withSvsm: boolean): readonly Profile[] {
    return memo(this.#profiles, `${platform} ${withSvsm}`, () => {
      const candidates = vcpuCandidates(platform, this.#vcpus, withSvsm);
      return [...new Set(candidates.map(({ profile }) => profile))];
    });
  }

  /** Returns the candidates of a unit that can be started; undefined when nothing of it can. */
  startable(guest: Guest, { platform, candidates }: Part): readonly VcpuCandidate[] | undefined {
    const failures = this.failures(guest, platform);
    if (failures.length === 0) return candidates;
    if (platform !== 'snp') return undefined;
    const known = memo(this.#startable, candidates, () => new Map<string, readonly VcpuCandidate[]>());
    const names = failures.map(({ profile }) => profile);
    const some = memo(known, names.join(), () => candidates.filter(({ profile }) => !names.includes(profile.name)));
    return some.length === 0 ? undefined : some;
  }
}

/** Returns the way in which a guest is booted. */
export const kindOf = ({ hashes }: Boot): BootKind => (hashes === undefined ? 'without-kernel' : 'with-kernel');

function memo<K, V>(known: Map<K, V>, key: K, make: () => V): V {
  const found = known.get(key);
  if (found !== undefined) return found;
  const made = make();
  known.set(key, made);
  return made;
}
