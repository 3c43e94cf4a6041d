/** @module The work of a search: the launches of one unit after the other, sharing what they have in common. */
import type { Hashes } from '../hash.ts';
import type { Platform } from '../measurement/measure.ts';
import { type Coverage, PlatformCoverage, type UnitState } from './coverage.ts';
import type { FirmwareCandidate } from './firmware-candidates.ts';
import type { FoundLaunch, Question } from './identify.ts';
import { Launches } from './launches.ts';
import { type Failure, Failures, type RuledOut, type Ways } from './ruled-out.ts';
import { Comparison, tryLaunches } from './trial.ts';
import { type Guest, launchesOf, type Units, unitsOf } from './units.ts';
import { kindOf, Unstartable } from './unstartable.ts';

/** What trying one unit gave. */
export interface UnitOutcome {
  readonly finding: FoundLaunch | undefined;
  /** Digests that were compared. */
  readonly tried: number;
  /** Whether nothing is left to do in it. */
  readonly done: boolean;
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

  /** `mostUnits` has a default with which a search ends quickly. */
  constructor(question: Question, hashes: Hashes, mostUnits?: number) {
    this.#question = question;
    this.#launches = new Launches(hashes);
    this.#unstartable = new Unstartable(question.vcpus);
    this.#units = unitsOf(question, mostUnits);
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
        const state = stateOf(index++);
        // What was not tried is not asked for: that takes time.
        const candidates = state.tried === 0 ? [] : this.#unstartable.startable(guest, part);
        sums.get(part.platform)?.add(guest, part, state, candidates ?? []);
      }
    }
    return [...sums.values()].map((sum) => sum.value());
  }

  /** Does what `steps` does, to its end. */
  tryUnit(index: number, known = 0): UnitOutcome {
    let outcome: UnitOutcome = { finding: undefined, tried: 0, done: false };
    for (const step of this.steps(index, known)) outcome = step;
    return outcome;
  }

  /**
   * Tries the launches of a unit up to the first that matches, of which it is known that it is none of the first `known - 1`. Yields
   * how far it is every few milliseconds, at last with `done`. Throws what `matches` throws.
   */
  *steps(index: number, known = 0): Generator<UnitOutcome, void> {
    const comparison = new Comparison(this.#question, known);
    const work = this.#try(index, comparison);
    for (;;) {
      const { value: finding, done = false } = work.next();
      yield { finding, tried: comparison.tried, done };
      if (done) return;
    }
  }

  *#try(index: number, comparison: Comparison): Generator<undefined, FoundLaunch | undefined> {
    const unit = this.#units.at(index);
    if (unit === undefined) return undefined;
    this.#explain(index, unit.guest, unit.platform);
    const candidates = this.#unstartable.startable(unit.guest, unit);
    if (candidates === undefined) return undefined;
    return yield* tryLaunches({ ...unit, candidates }, this.#question, this.#launches, comparison);
  }

  /** Remembers what cannot be started of the units up to `last`, as far as they were tried as `stateOf` tells, as if this search had tried them. */
  explain(last: number, stateOf: (unit: number) => UnitState): void {
    let index = 0;
    for (const guest of this.#units.guests) {
      for (const { platform } of this.#units.partsOf(guest)) {
        if (index > last) return;
        const { done, tried } = stateOf(index);
        if (done || tried > 0) this.#explain(index, guest, platform);
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
}
