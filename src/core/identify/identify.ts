/** @module The search for the launch that gives a digest, among what the owner believes and its neighbours. */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import { kernelHashTable } from '../measurement/hash-table.ts';
import type { Platform } from '../measurement/measure.ts';
import type { Profile } from '../measurement/profiles.ts';
import { sevDigest, sevEsDigests, startSevLaunch } from '../measurement/sev.ts';
import { type SnpDigest, snpFirmwareDigest } from '../measurement/snp.ts';
import { startSnpLaunch } from '../measurement/snp-launch.ts';
import { vcpuPages } from '../measurement/vcpus.ts';
import type { Boot } from './boots.ts';
import type { FirmwareCandidate } from './firmware-candidates.ts';
import { type VcpuCandidate, type VcpuScope, vcpuCandidates } from './vcpu-candidates.ts';

/** What is looked for, and where. */
export interface Question {
  /** Tells whether a digest (32 bytes for SEV and SEV-ES, 48 for SNP) is the one; the bytes must not be kept. */
  matches(digest: Uint8Array): boolean;
  readonly platforms: readonly Platform[];
  readonly firmware: readonly FirmwareCandidate[];
  readonly boots: readonly Boot[];
  readonly vcpus: VcpuScope;
}

/** The launch that gives the digest. */
export interface FoundLaunch {
  readonly platform: Platform;
  readonly firmware: FirmwareCandidate;
  readonly boot: Boot;
  /** Absent for SEV, which measures no CPU state. */
  readonly vcpu: (VcpuCandidate & { readonly count: number }) | undefined;
}

/** A firmware that could not be tried, and why. */
export interface RuledOut {
  readonly firmware: FirmwareCandidate;
  readonly platform: Platform;
  readonly reason: string;
}

/** How the search ended, or how far it is. */
export interface SearchOutcome {
  readonly finding: FoundLaunch | undefined;
  /** Digests that were compared. */
  readonly tried: number;
  readonly ruledOut: readonly RuledOut[];
}

/** A firmware with what it boots. */
interface Pair {
  readonly firmware: FirmwareCandidate;
  readonly boot: Boot;
}

/**
 * Searches, launches with fewer slips first, and returns the first that matches. Yields how far it is after each CPU state, so
 * that the caller can show it or stop. Throws what `matches` throws.
 */
export function* identify(question: Question, hashes: Hashes): Generator<SearchOutcome, SearchOutcome> {
  const search = new Search(question, hashes);
  const pairs = question.boots.flatMap((boot) => question.firmware.map((firmware) => ({ boot, firmware })));
  const slips = ({ boot, firmware }: Pair) => boot.slips.length + (firmware.leftOut > 0 ? 1 : 0);
  for (const pair of pairs.sort((a, b) => slips(a) - slips(b))) {
    for (const platform of question.platforms) {
      const finding = yield* search.tryPair(pair, platform);
      if (finding !== undefined) return search.answer(finding);
    }
  }
  return search.answer(undefined);
}

/** SHA-384 of the pages of the boot processor and of the others; none of the latter when the firmware cannot start them. */
interface PageHashes {
  readonly bsp: Uint8Array;
  readonly ap: Uint8Array | undefined;
}

class Search {
  readonly #question: Question;
  readonly #hashes: Hashes;
  readonly #firmwareDigests = new Map<FirmwareCandidate, Uint8Array>();
  readonly #pageHashes = new Map<FirmwareCandidate, Map<VcpuCandidate, PageHashes>>();
  readonly #candidates: Readonly<Record<'sev-es' | 'snp', readonly VcpuCandidate[]>>;
  readonly #ruledOut = new Map<string, RuledOut>();
  #tried = 0;

  constructor(question: Question, hashes: Hashes) {
    this.#question = question;
    this.#hashes = hashes;
    this.#candidates = {
      'sev-es': vcpuCandidates('sev-es', question.vcpus),
      snp: vcpuCandidates('snp', question.vcpus),
    };
  }

  answer(finding: FoundLaunch | undefined): SearchOutcome {
    return { finding, tried: this.#tried, ruledOut: [...this.#ruledOut.values()] };
  }

  *tryPair(pair: Pair, platform: Platform): Generator<SearchOutcome, FoundLaunch | undefined> {
    try {
      if (platform === 'snp') return yield* this.#trySnp(pair);
      return platform === 'sev' ? this.#trySev(pair) : yield* this.#trySevEs(pair);
    } catch (error) {
      return this.#ruleOut(pair, platform, error);
    }
  }

  /** Remembers why a firmware cannot have started so; throws what says something else. */
  #ruleOut({ firmware }: Pair, platform: Platform, error: unknown): undefined {
    if (!(error instanceof BootsealError) || error.kind !== 'format') throw error;
    const reason = error.message;
    this.#ruledOut.set([firmware.name, firmware.leftOut, platform, reason].join('\0'), { firmware, platform, reason });
  }

  #matches(digest: Uint8Array): boolean {
    this.#tried++;
    return this.#question.matches(digest);
  }

  #trySev({ firmware, boot }: Pair): FoundLaunch | undefined {
    const digest = sevDigest(this.#startSev({ firmware, boot }));
    return this.#matches(digest) ? { platform: 'sev', firmware, boot, vcpu: undefined } : undefined;
  }

  *#trySevEs({ firmware, boot }: Pair): Generator<SearchOutcome, FoundLaunch | undefined> {
    const launch = this.#startSev({ firmware, boot });
    const { resetAddress } = firmware.measured.firmware;
    const most = resetAddress === undefined ? 1 : this.#question.vcpus.mostVcpus;
    const counts = Array.from({ length: most }, (_, i) => i + 1);
    for (const candidate of this.#candidates['sev-es']) {
      const pages = vcpuPages(candidate.profile, candidate.cpu?.signature ?? 0, candidate.features, resetAddress);
      const digests = sevEsDigests(launch, pages, counts);
      const index = digests.findIndex((digest) => this.#matches(digest));
      if (index >= 0) return { platform: 'sev-es', firmware, boot, vcpu: { ...candidate, count: index + 1 } };
      yield this.answer(undefined);
    }
    return undefined;
  }

  #startSev({ firmware, boot }: Pair): ReturnType<typeof startSevLaunch> {
    const { image, firmware: tables } = firmware.measured;
    if (image === undefined) {
      throw new BootsealError('format', 'a descriptor has only what SNP needs, not the image', {
        hint: 'give the image itself',
      });
    }
    return startSevLaunch(image, tables, hashTable(boot), this.#hashes);
  }

  *#trySnp({ firmware, boot }: Pair): Generator<SearchOutcome, FoundLaunch | undefined> {
    const launches = new Map<string, SnpDigest | undefined>();
    for (const candidate of this.#candidates.snp) {
      const { profile } = candidate;
      const plan = `${profile.secMem} ${profile.cpuidLast} ${profile.pcMemory}`;
      if (!launches.has(plan)) launches.set(plan, this.#tryStartSnp({ firmware, boot }, profile));
      const launch = launches.get(plan);
      if (launch === undefined) continue;
      const count = this.#tryVcpus(launch, profile, this.#pagesOf(firmware, candidate));
      if (count !== undefined) return { platform: 'snp', firmware, boot, vcpu: { ...candidate, count } };
      yield this.answer(undefined);
    }
    return undefined;
  }

  /** Returns the number of vCPUs with which the launch matches. */
  #tryVcpus(launch: SnpDigest, { vmsaGpa }: Profile, { bsp, ap }: PageHashes): number | undefined {
    const digest = launch.fork();
    let found: number | undefined;
    let count = 0;
    const seen = (value: Uint8Array) => {
      count++;
      if (this.#matches(value)) found = count;
      return found !== undefined;
    };
    digest.addAlike('vmsa', vmsaGpa, bsp, 1, seen);
    if (found !== undefined || ap === undefined) return found;
    digest.addAlike('vmsa', vmsaGpa, ap, this.#question.vcpus.mostVcpus - 1, seen);
    return found;
  }

  /** What one profile cannot start, another may. */
  #tryStartSnp(pair: Pair, profile: Profile): SnpDigest | undefined {
    try {
      return this.#startSnp(pair, profile);
    } catch (error) {
      return this.#ruleOut(pair, 'snp', error);
    }
  }

  #startSnp({ firmware, boot }: Pair, profile: Profile): SnpDigest {
    const { image, snpDigest, firmware: tables } = firmware.measured;
    let start = snpDigest ?? this.#firmwareDigests.get(firmware);
    if (start === undefined) {
      if (image === undefined)
        throw new BootsealError('format', 'neither the image nor its digest is known', {
          hint: 'give the image, or a descriptor that names its digest',
        });
      start = snpFirmwareDigest(image, tables.gpa, this.#hashes);
      this.#firmwareDigests.set(firmware, start);
    }
    const inputs = { firmware: tables, profile, hashTable: hashTable(boot), unknownSections: 'zero' as const };
    return startSnpLaunch(start, inputs, this.#hashes);
  }

  #pagesOf(firmware: FirmwareCandidate, candidate: VcpuCandidate): PageHashes {
    const known = this.#pageHashes.get(firmware) ?? new Map<VcpuCandidate, PageHashes>();
    this.#pageHashes.set(firmware, known);
    const found = known.get(candidate) ?? this.#hashPages(firmware, candidate);
    known.set(candidate, found);
    return found;
  }

  #hashPages(firmware: FirmwareCandidate, { profile, cpu, features }: VcpuCandidate): PageHashes {
    const { resetAddress } = firmware.measured.firmware;
    const pages = vcpuPages(profile, cpu?.signature ?? 0, features, resetAddress);
    const ap = resetAddress === undefined ? undefined : this.#hashes.sha384(pages.ap());
    return { bsp: this.#hashes.sha384(pages.bsp), ap };
  }
}

function hashTable({ hashes }: Boot): Uint8Array | undefined {
  return hashes === undefined ? undefined : kernelHashTable(hashes);
}
