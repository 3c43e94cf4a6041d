/** @module What a search has looked at on each platform, as its units tell. */
import type { Platform } from '../measurement/measure.ts';
import { countsOf, type Guest, launchesOf, type Part as UnitPart } from './units.ts';
import type { VcpuCandidate, VcpuScope } from './vcpu-candidates.ts';

/** What was tried of that which was to be tried. */
export interface Part {
  readonly tried: number;
  readonly of: number;
}

/** What was tried on one platform; names, signatures and words are those of launches that were compared, each once. */
export interface Coverage {
  readonly platform: Platform;
  /** Digests that were compared, and the most that can be: firmware that is ruled out has fewer. */
  readonly launches: Part;
  /** Whether nothing is left to try. */
  readonly complete: boolean;
  readonly firmware: Part;
  /** Ways to boot it. */
  readonly boots: Part;
  readonly profiles: readonly string[];
  readonly cpuSignatures: readonly number[];
  /** SEV_FEATURES. */
  readonly features: readonly bigint[];
  /** The most vCPUs of a guest; 0 where they are not measured. */
  readonly mostVcpus: number;
}

/** How far a unit is. */
export interface UnitState {
  /** Whether nothing is left to do in it. */
  readonly done: boolean;
  /** Digests that were compared. */
  readonly tried: number;
}

/** Adds up the units of one platform. */
export class PlatformCoverage {
  readonly #platform: Platform;
  readonly #vcpus: VcpuScope;
  readonly #all = { firmware: new Set<unknown>(), boots: new Set<unknown>() };
  readonly #tried = { firmware: new Set<unknown>(), boots: new Set<unknown>() };
  readonly #groups = new Set<readonly VcpuCandidate[]>();
  readonly #launches = { tried: 0, of: 0 };
  #last: Guest | undefined;
  #complete = true;
  #mostVcpus = 0;

  constructor(platform: Platform, vcpus: VcpuScope) {
    this.#platform = platform;
    this.#vcpus = vcpus;
  }

  /** Adds a unit of this platform; `candidates` are those of it that can be started. */
  add(guest: Guest, part: UnitPart, { done, tried }: UnitState, candidates: readonly VcpuCandidate[]): void {
    const { firmware, boot } = guest;
    this.#launches.of += launchesOf(guest, part, this.#vcpus);
    this.#complete &&= done;
    if (this.#last !== guest) {
      this.#all.firmware.add(firmware);
      this.#all.boots.add(boot);
      this.#last = guest;
    }
    if (tried === 0) return;
    this.#launches.tried += tried;
    this.#tried.firmware.add(firmware);
    this.#tried.boots.add(boot);
    const counts = part.platform === 'sev' ? undefined : countsOf(guest, part, this.#vcpus);
    if (counts === undefined) return;
    // In the order in which they are tried: each candidate with all numbers of vCPUs.
    const each = counts.to - counts.from + 1;
    this.#groups.add(done ? candidates : candidates.slice(0, Math.ceil(tried / each)));
    this.#mostVcpus = Math.max(this.#mostVcpus, counts.from + Math.min(tried, each) - 1);
  }

  /** Returns what the units that were added come to. */
  value(): Coverage {
    const candidates = [...this.#groups].flat();
    const part = (name: 'firmware' | 'boots') => ({ tried: this.#tried[name].size, of: this.#all[name].size });
    const cpuSignatures = candidates.flatMap(({ cpu }) => (cpu === undefined ? [] : [cpu.signature]));
    return {
      platform: this.#platform,
      launches: { ...this.#launches },
      complete: this.#complete,
      firmware: part('firmware'),
      boots: part('boots'),
      profiles: [...new Set(candidates.map(({ profile }) => profile.name))],
      cpuSignatures: [...new Set(cpuSignatures)],
      features: [...new Set(candidates.map(({ features }) => features))],
      mostVcpus: this.#mostVcpus,
    };
  }
}
