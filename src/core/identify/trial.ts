/** @module The launches of one unit, hashed and compared in their order, with a break every few milliseconds. */
import type { Platform } from '../measurement/measure.ts';
import { sevDigest } from '../measurement/sev.ts';
import type { FoundLaunch, Question } from './identify.ts';
import type { Launches } from './launches.ts';
import { type Counts, countsOf, type Guest, LAUNCHES, type Unit } from './units.ts';
import type { VcpuCandidate } from './vcpu-candidates.ts';

/** Ends with the first launch that matches. */
type Trial<T> = Generator<undefined, T | undefined>;

/** Compares the digests of one unit. */
export class Comparison {
  readonly #question: Question;
  readonly #effort: number;
  readonly #known: number;
  #tried = 0;
  #work = 0;
  #matched = new Uint8Array();

  /** `known` is the number of the first digest that can match. */
  constructor(question: Question, known: number) {
    this.#question = question;
    this.#effort = question.effort ?? 1;
    this.#known = known;
  }

  /** How many digests were compared. */
  get tried(): number {
    return this.#tried;
  }

  /** The digest that matched. */
  get matched(): Uint8Array {
    return this.#matched;
  }

  /** How many digests lie between two breaks, at most. */
  get between(): number {
    return Math.max(1, Math.floor(LAUNCHES / this.#effort));
  }

  /** Throws what the test of the question throws. */
  matches(digest: Uint8Array, platform: Platform): boolean {
    this.#work += this.#effort;
    if (++this.#tried < this.#known || !this.#question.matches(digest, platform)) return false;
    this.#matched = new Uint8Array(digest);
    return true;
  }

  /** Counts a digest that was worked out for those after it only. */
  pass(): false {
    this.#work++;
    return false;
  }

  /** Whether it is time for a break, which is then taken. */
  needsBreak(): boolean {
    if (this.#work < LAUNCHES) return false;
    this.#work = 0;
    return true;
  }
}

/** Tries the launches of a unit, all of which can be started; yields for a break. */
export function* tryLaunches(
  unit: Unit,
  question: Question,
  launches: Launches,
  comparison: Comparison,
): Trial<FoundLaunch> {
  const { guest, platform, candidates } = unit;
  if (platform === 'sev') return trySev(guest, launches, comparison);
  const counts = countsOf(guest, unit, question.vcpus);
  if (counts === undefined) return undefined;
  for (const candidate of candidates) {
    const count = yield* (platform === 'snp' ? snpCount : sevEsCount)(guest, candidate, counts, launches, comparison);
    if (count !== undefined) return { platform, digest: comparison.matched, ...guest, vcpu: { ...candidate, count } };
  }
  return undefined;
}

function trySev(guest: Guest, launches: Launches, comparison: Comparison): FoundLaunch | undefined {
  if (!comparison.matches(sevDigest(launches.sev(guest, 'sev')), 'sev')) return undefined;
  return { platform: 'sev', digest: comparison.matched, ...guest, vcpu: undefined };
}

/** Returns the number of vCPUs with which a launch of SEV-ES matches. */
function* sevEsCount(
  guest: Guest,
  candidate: VcpuCandidate,
  { from, to }: Counts,
  launches: Launches,
  comparison: Comparison,
): Trial<number> {
  const pages = launches.sevEsPages(guest.firmware, candidate);
  const hash = launches.sev(guest, 'sev-es').hash.copy();
  for (let count = 1; count <= to; count++) {
    hash.update(count === 1 ? pages.bsp : pages.ap());
    if (count < from) comparison.pass();
    else if (comparison.matches(hash.copy().digest(), 'sev-es')) return count;
    if (comparison.needsBreak()) yield;
  }
  return undefined;
}

/** Returns the number of vCPUs with which a launch of SNP matches. */
function* snpCount(
  guest: Guest,
  candidate: VcpuCandidate,
  { from, to }: Counts,
  launches: Launches,
  comparison: Comparison,
): Trial<number> {
  const { bsp, ap } = launches.pages(guest.firmware, candidate);
  const digest = launches.snp(guest, candidate.profile).fork();
  let count = 0;
  let found = false;
  const seen = (value: Uint8Array) => {
    found = ++count < from ? comparison.pass() : comparison.matches(value, 'snp');
    return found;
  };
  while (!found && count < to) {
    const page = count === 0 ? bsp : ap;
    // Without one `countsOf` ends at a single vCPU.
    if (page === undefined) return undefined;
    const most = count === 0 ? 1 : Math.min(comparison.between, to - count);
    digest.addAlike('vmsa', candidate.profile.vmsaGpa, page, most, seen);
    if (!found && comparison.needsBreak()) yield;
  }
  return found ? count : undefined;
}
