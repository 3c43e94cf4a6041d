/** @module The work of a search: the launches of one unit after the other, sharing what they have in common. */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import type { Platform } from '../measurement/measure.ts';
import type { Profile } from '../measurement/profiles.ts';
import { sevDigest, sevEsDigests } from '../measurement/sev.ts';
import type { SnpDigest } from '../measurement/snp.ts';
import { vcpuPages } from '../measurement/vcpus.ts';
import type { FoundLaunch, Question, RuledOut } from './identify.ts';
import { Launches, type PageHashes } from './launches.ts';
import { type Guest, type Unit, unitsOf } from './units.ts';

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
  readonly #units: readonly Unit[];
  readonly #launches: Launches;
  readonly #ruledOut = new Map<string, { readonly unit: number; readonly ruledOut: RuledOut }>();
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

  /** Returns what could not be tried in the units up to `last`, as far as they were tried or explained, each once and in their order. */
  ruledOutUpTo(last: number): readonly RuledOut[] {
    const found = [...this.#ruledOut.values()].filter(({ unit }) => unit <= last);
    return found.sort((a, b) => a.unit - b.unit).map(({ ruledOut }) => ruledOut);
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
      if (unit.platform !== 'snp') this.#launches.sev(unit.guest);
      else for (const { profile } of unit.candidates) this.#launchOf(unit, index, profile);
      return undefined;
    });
  }

  #inUnit(index: number, work: (unit: Unit) => FoundLaunch | undefined): FoundLaunch | undefined {
    const unit = this.#units[index];
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
  #ruleOut({ guest: { firmware }, platform }: Unit, unit: number, error: unknown): undefined {
    if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
    this.#failed = true;
    const reason = error.message;
    const key = [
      firmware.name,
      firmware.leftOut,
      firmware.reordering?.order,
      firmware.svsm?.name,
      firmware.svsm?.varsSize,
      platform,
      reason,
    ].join('\0');
    const known = this.#ruledOut.get(key);
    if (known !== undefined && known.unit <= unit) return;
    this.#ruledOut.delete(key);
    this.#ruledOut.set(key, { unit, ruledOut: { firmware, platform, reason } });
  }

  #matches(digest: Uint8Array, platform: Platform): boolean {
    this.#tried++;
    const matches = this.#question.matches(digest, platform);
    if (matches) this.#matched = new Uint8Array(digest);
    return matches;
  }

  #trySev(guest: Guest): FoundLaunch | undefined {
    const digest = sevDigest(this.#launches.sev(guest));
    if (!this.#matches(digest, 'sev')) return undefined;
    return { platform: 'sev', digest: this.#matched, ...guest, vcpu: undefined };
  }

  #trySevEs({ guest, candidates }: Unit): FoundLaunch | undefined {
    const launch = this.#launches.sev(guest);
    const { resetAddress } = guest.firmware.measured.firmware;
    const most = resetAddress === undefined ? 1 : this.#question.vcpus.mostVcpus;
    const counts = Array.from({ length: most }, (_, i) => i + 1).filter((count) => isPossible(guest, count));
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
    digest.addAlike('vmsa', vmsaGpa, ap, this.#question.vcpus.mostVcpus - 1, seen);
    return found;
  }

  #launchOf(unit: Unit, index: number, profile: Profile): SnpDigest | undefined {
    const launch = this.#launches.snp(unit.guest, profile);
    return launch instanceof BootsealError ? this.#ruleOut(unit, index, launch) : launch;
  }
}

/** What is booted may tell with how many vCPUs. */
const isPossible = ({ boot }: Guest, count: number): boolean => boot.vcpus === undefined || boot.vcpus === count;
