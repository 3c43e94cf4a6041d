/** @module The work of a search: the launches of one unit after the other, sharing what they have in common. */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import type { Platform } from '../measurement/measure.ts';
import type { Profile } from '../measurement/profiles.ts';
import { sevDigest, sevEsDigests } from '../measurement/sev.ts';
import type { SnpDigest } from '../measurement/snp.ts';
import { vcpuPages } from '../measurement/vcpus.ts';
import type { Boot } from './boots.ts';
import { type Coverage, PlatformCoverage, type UnitState } from './coverage.ts';
import type { FirmwareCandidate } from './firmware-candidates.ts';
import type { FoundLaunch, Question } from './identify.ts';
import { Launches, type PageHashes } from './launches.ts';
import { type BootKind, Failures, type RuledOut, type Ways } from './ruled-out.ts';
import { type Guest, launchesOf, mostVcpusOf, type Part, type Unit, type Units, unitsOf } from './units.ts';
import { type VcpuCandidate, vcpuCandidates } from './vcpu-candidates.ts';

/** What trying one unit gave. */
export interface UnitOutcome {
  readonly finding: FoundLaunch | undefined;
  /** Digests that were compared. */
  readonly tried: number;
  /** Whether some of its launches could not be started. */
  readonly ruledOut: boolean;
}

/** A search; units may be tried in any order, and are quickest in theirs. */
export class Search {
  readonly #question: Question;
  readonly #units: Units;
  readonly #launches: Launches;
  readonly #failures = new Failures();
  #tried = 0;
  #matched = new Uint8Array();
  /** In the unit at hand. */
  #failed = false;

  constructor(question: Question, hashes: Hashes) {
    this.#question = question;
    this.#launches = new Launches(hashes);
    this.#units = unitsOf(question);
  }

  /** How many units there are. */
  get units(): number {
    return this.#units.length;
  }

  /** Returns how many launches there are, when all can be started. */
  launches(): number {
    const { guests, partsOf } = this.#units;
    let sum = 0;
    for (const guest of guests) {
      for (const part of partsOf(guest)) sum += launchesOf(guest, part, this.#question.vcpus);
    }
    return sum;
  }

  /** Returns what could not be tried in the units up to `last`, as far as they were tried or explained, each once and in their order. */
  ruledOutUpTo(last: number): readonly RuledOut[] {
    return this.#failures.upTo(last, ({ firmware, platform }) => this.#waysOf(firmware, platform));
  }

  #waysOf({ svsm }: FirmwareCandidate, platform: Platform): Ways {
    const { boots, vcpus } = this.#question;
    const kinds = new Set(boots.map(kindOf).filter((kind) => svsm === undefined || kind === 'without-kernel'));
    const candidates = platform === 'sev' ? [] : vcpuCandidates(platform, vcpus, svsm !== undefined);
    return { boots: [...kinds], profiles: [...new Set(candidates.map(({ profile }) => profile.name))] };
  }

  /** Returns what was tried on each platform that was asked for, when the units ended as `stateOf` tells. */
  coverage(stateOf: (unit: number) => UnitState): readonly Coverage[] {
    const { platforms, vcpus } = this.#question;
    const sums = new Map(platforms.map((platform) => [platform, new PlatformCoverage(platform, vcpus)]));
    let index = 0;
    for (const guest of this.#units.guests) {
      for (const part of this.#units.partsOf(guest)) {
        const state = stateOf(index++);
        const tried = state.ruledOut && state.tried > 0 ? this.#possible(guest, part) : part.candidates;
        sums.get(part.platform)?.add(guest, part, state, tried);
      }
    }
    return [...sums.values()].map((sum) => sum.value());
  }

  /** Returns the candidates of a unit that could be tried. */
  #possible(guest: Guest, { platform, candidates }: Part): readonly VcpuCandidate[] {
    if (platform !== 'snp') return candidates;
    return candidates.filter(({ profile }) => !(this.#launches.snp(guest, profile) instanceof BootsealError));
  }

  /** Tries the launches of a unit up to the first that matches. Throws what `matches` throws. */
  tryUnit(index: number): UnitOutcome {
    this.#tried = 0;
    this.#failed = false;
    const finding = this.#inUnit(index, (unit) => this.#try(unit, index));
    return { finding, tried: this.#tried, ruledOut: this.#failed };
  }

  /** Starts the launches of a unit and tries none, to learn which cannot be started and why. */
  explainUnit(index: number): void {
    this.#inUnit(index, (unit) => {
      if (unit.platform !== 'snp') this.#launches.sev(unit.guest, unit.platform);
      else for (const { profile } of unit.candidates) this.#launchOf(unit, index, profile);
      return undefined;
    });
  }

  #inUnit(index: number, work: (unit: Unit) => FoundLaunch | undefined): FoundLaunch | undefined {
    const unit = this.#units.at(index);
    if (unit === undefined) return undefined;
    try {
      return work(unit);
    } catch (error) {
      return this.#ruleOut(unit, index, error);
    }
  }

  #try(unit: Unit, index: number): FoundLaunch | undefined {
    if (unit.platform === 'snp') return this.#trySnp(unit, index);
    return unit.platform === 'sev' ? this.#trySev(unit.guest) : this.#trySevEs(unit);
  }

  /** Remembers why a firmware cannot have started so; throws what says something else. */
  #ruleOut({ guest: { firmware, boot }, platform }: Unit, unit: number, error: unknown, profile?: Profile): undefined {
    if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
    this.#failed = true;
    this.#failures.add(unit, {
      firmware,
      platform,
      reason: error.message,
      boots: kindOf(boot),
      profile: profile?.name,
    });
  }

  #matches(digest: Uint8Array, platform: Platform): boolean {
    this.#tried++;
    const matches = this.#question.matches(digest, platform);
    if (matches) this.#matched = new Uint8Array(digest);
    return matches;
  }

  #trySev(guest: Guest): FoundLaunch | undefined {
    const digest = sevDigest(this.#launches.sev(guest, 'sev'));
    if (!this.#matches(digest, 'sev')) return undefined;
    return { platform: 'sev', digest: this.#matched, ...guest, vcpu: undefined };
  }

  #trySevEs({ guest, candidates, counts: { from, to } }: Unit): FoundLaunch | undefined {
    const launch = this.#launches.sev(guest, 'sev-es');
    const { resetAddress } = guest.firmware.measured.firmware;
    const most = mostVcpusOf(guest.firmware, this.#question.vcpus);
    const length = Math.max(0, Math.min(to, most) - from + 1);
    const counts = Array.from({ length }, (_, i) => from + i).filter((count) => isPossible(guest, count));
    if (counts.length === 0) return undefined;
    for (const candidate of candidates) {
      const pages = vcpuPages(candidate.profile, candidate.cpu?.signature ?? 0, candidate.features, resetAddress);
      const digests = sevEsDigests(launch, pages, counts);
      const index = digests.findIndex((digest) => this.#matches(digest, 'sev-es'));
      if (index < 0) continue;
      return { platform: 'sev-es', digest: this.#matched, ...guest, vcpu: { ...candidate, count: counts[index] ?? 1 } };
    }
    return undefined;
  }

  #trySnp(unit: Unit, index: number): FoundLaunch | undefined {
    const { guest, candidates } = unit;
    for (const candidate of candidates) {
      const launch = this.#launchOf(unit, index, candidate.profile);
      if (launch === undefined) continue;
      const count = this.#tryVcpus(guest, launch, candidate.profile, this.#launches.pages(guest.firmware, candidate));
      if (count === undefined) continue;
      return { platform: 'snp', digest: this.#matched, ...guest, vcpu: { ...candidate, count } };
    }
    return undefined;
  }

  /** Returns the number of vCPUs with which the launch matches. */
  #tryVcpus(guest: Guest, launch: SnpDigest, { vmsaGpa }: Profile, { bsp, ap }: PageHashes): number | undefined {
    const digest = launch.fork();
    let found: number | undefined;
    let count = 0;
    const seen = (value: Uint8Array) => {
      count++;
      if (isPossible(guest, count) && this.#matches(value, 'snp')) found = count;
      return found !== undefined;
    };
    digest.addAlike('vmsa', vmsaGpa, bsp, 1, seen);
    if (found !== undefined || ap === undefined) return found;
    digest.addAlike('vmsa', vmsaGpa, ap, (guest.boot.vcpus ?? this.#question.vcpus.mostVcpus) - 1, seen);
    return found;
  }

  #launchOf(unit: Unit, index: number, profile: Profile): SnpDigest | undefined {
    const launch = this.#launches.snp(unit.guest, profile);
    return launch instanceof BootsealError ? this.#ruleOut(unit, index, launch, profile) : launch;
  }
}

const kindOf = ({ hashes }: Boot): BootKind => (hashes === undefined ? 'without-kernel' : 'with-kernel');

/** What is booted may tell with how many vCPUs. */
const isPossible = ({ boot }: Guest, count: number): boolean => boot.vcpus === undefined || boot.vcpus === count;
