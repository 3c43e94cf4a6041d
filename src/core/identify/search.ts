/** @module The work of a search: the launches of one unit after the other, sharing what they have in common. */
import type { Hashes } from '../hash.ts';
import type { Platform } from '../measurement/measure.ts';
import type { Profile } from '../measurement/profiles.ts';
import { sevDigest, sevEsDigests } from '../measurement/sev.ts';
import type { SnpDigest } from '../measurement/snp.ts';
import { vcpuPages } from '../measurement/vcpus.ts';
import { type Coverage, PlatformCoverage, type UnitState } from './coverage.ts';
import type { FirmwareCandidate } from './firmware-candidates.ts';
import type { FoundLaunch, Question } from './identify.ts';
import { Launches, type PageHashes } from './launches.ts';
import { type Failure, Failures, type RuledOut, type Ways } from './ruled-out.ts';
import { type Guest, launchesOf, mostVcpusOf, type Unit, type Units, unitsOf } from './units.ts';
import { kindOf, Unstartable } from './unstartable.ts';
import type { VcpuCandidate } from './vcpu-candidates.ts';

/** What trying one unit gave. */
export interface UnitOutcome {
  readonly finding: FoundLaunch | undefined;
  /** Digests that were compared. */
  readonly tried: number;
}

/** A search; units may be tried in any order, and are quickest in theirs. */
export class Search {
  readonly #question: Question;
  readonly #units: Units;
  readonly #launches: Launches;
  readonly #unstartable: Unstartable;
  readonly #failures = new Failures();
  /** The first units in which these were seen. */
  readonly #seen = new Map<readonly Failure[], number>();
  #tried = 0;
  #matched = new Uint8Array();

  constructor(question: Question, hashes: Hashes) {
    this.#question = question;
    this.#launches = new Launches(hashes);
    this.#unstartable = new Unstartable(question.vcpus);
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

  /** Returns what cannot be started of what the units up to `last` were to start, as far as they were tried or explained, each once and in their order. */
  ruledOutUpTo(last: number): readonly RuledOut[] {
    return this.#failures.upTo(last, ({ firmware, platform }) => this.#waysOf(firmware, platform));
  }

  #waysOf({ svsm }: FirmwareCandidate, platform: Platform): Ways {
    const kinds = new Set(
      this.#question.boots.map(kindOf).filter((kind) => svsm === undefined || kind === 'without-kernel'),
    );
    const profiles = platform === 'sev' ? [] : this.#unstartable.profiles(platform, svsm !== undefined);
    return { boots: [...kinds], profiles: profiles.map(({ name }) => name) };
  }

  /** Returns what was tried on each platform that was asked for, when the units ended as `stateOf` tells. */
  coverage(stateOf: (unit: number) => UnitState): readonly Coverage[] {
    const { platforms, vcpus } = this.#question;
    const sums = new Map(platforms.map((platform) => [platform, new PlatformCoverage(platform, vcpus)]));
    let index = 0;
    for (const guest of this.#units.guests) {
      for (const part of this.#units.partsOf(guest)) {
        const candidates = this.#unstartable.startable(guest, part) ?? [];
        sums.get(part.platform)?.add(guest, part, stateOf(index++), candidates);
      }
    }
    return [...sums.values()].map((sum) => sum.value());
  }

  /** Tries the launches of a unit up to the first that matches. Throws what `matches` throws. */
  tryUnit(index: number): UnitOutcome {
    this.#tried = 0;
    const unit = this.#units.at(index);
    return { finding: unit === undefined ? undefined : this.#try(unit, index), tried: this.#tried };
  }

  #try(unit: Unit, index: number): FoundLaunch | undefined {
    const { guest, platform } = unit;
    this.#explain(index, guest, platform);
    const candidates = this.#unstartable.startable(guest, unit);
    if (candidates === undefined) return undefined;
    if (platform === 'sev') return this.#trySev(guest);
    return platform === 'snp' ? this.#trySnp(guest, candidates) : this.#trySevEs({ ...unit, candidates });
  }

  /** Remembers what cannot be started of the units up to `last`, as far as they were tried as `stateOf` tells, as if this search had tried them. */
  explain(last: number, stateOf: (unit: number) => UnitState): void {
    let index = 0;
    for (const guest of this.#units.guests) {
      for (const { platform } of this.#units.partsOf(guest)) {
        if (index > last) return;
        if (stateOf(index).done) this.#explain(index, guest, platform);
        index++;
      }
    }
  }

  #explain(unit: number, guest: Guest, platform: Platform): void {
    const failures = this.#unstartable.failures(guest, platform);
    if (failures.length === 0 || (this.#seen.get(failures) ?? Number.POSITIVE_INFINITY) <= unit) return;
    this.#seen.set(failures, unit);
    for (const failure of failures) this.#failures.add(unit, failure);
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

  #trySnp(guest: Guest, candidates: readonly VcpuCandidate[]): FoundLaunch | undefined {
    for (const candidate of candidates) {
      const launch = this.#launches.snp(guest, candidate.profile);
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
}

/** What is booted may tell with how many vCPUs. */
const isPossible = ({ boot }: Guest, count: number): boolean => boot.vcpus === undefined || boot.vcpus === count;
