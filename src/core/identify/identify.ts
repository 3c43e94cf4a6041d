/** @module The search for the launch that gives a digest, among what the owner believes and its neighbours. */
import type { Hashes } from '../hash.ts';
import type { Platform } from '../measurement/measure.ts';
import type { Boot } from './boots.ts';
import type { FirmwareCandidate } from './firmware-candidates.ts';
import type { RuledOut } from './ruled-out.ts';
import { Search } from './search.ts';
import type { VcpuCandidate, VcpuScope } from './vcpu-candidates.ts';

/** What is looked for, and where. */
export interface Question {
  /** Tells whether a digest (32 bytes for SEV and SEV-ES, 48 for SNP) is the one; the bytes must not be kept. */
  matches(digest: Uint8Array, platform: Platform): boolean;
  /** How many comparisons `matches` makes, about; default: 1. */
  readonly effort?: number | undefined;
  readonly platforms: readonly Platform[];
  readonly firmware: readonly FirmwareCandidate[];
  readonly boots: readonly Boot[];
  readonly vcpus: VcpuScope;
}

/** The launch that gives the digest. */
export interface FoundLaunch {
  readonly platform: Platform;
  /** 32 bytes for SEV and SEV-ES, 48 for SNP. */
  readonly digest: Uint8Array;
  readonly firmware: FirmwareCandidate;
  readonly boot: Boot;
  /** Absent for SEV, which measures no CPU state. */
  readonly vcpu: (VcpuCandidate & { readonly count: number }) | undefined;
}

/** How the search ended, or how far it is. */
export interface SearchOutcome {
  readonly finding: FoundLaunch | undefined;
  /** Digests that were compared. */
  readonly tried: number;
  readonly ruledOut: readonly RuledOut[];
}

/**
 * Searches, launches with fewer slips first, and returns the first that matches. Yields how far it is every few milliseconds, so
 * that the caller can show it or stop. Throws what `matches` throws.
 */
export function* identify(question: Question, hashes: Hashes): Generator<SearchOutcome, SearchOutcome> {
  const search = new Search(question, hashes);
  let before = 0;
  for (let unit = 0; unit < search.units; unit++) {
    let tried = before;
    for (const outcome of search.steps(unit)) {
      tried = before + outcome.tried;
      const { finding } = outcome;
      const answer = { finding, tried, ruledOut: search.ruledOutUpTo(unit) };
      if (finding !== undefined) return answer;
      yield answer;
    }
    before = tried;
  }
  return { finding: undefined, tried: before, ruledOut: search.ruledOutUpTo(search.units) };
}
