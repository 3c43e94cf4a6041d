/** @module The work of a search: the launches of one unit after the other, sharing what they have in common. */
import { BootsealError } from '../errors.ts';
import type { Hashes } from '../hash.ts';
import { kernelHashTable } from '../measurement/hash-table.ts';
import type { Platform } from '../measurement/measure.ts';
import type { Profile } from '../measurement/profiles.ts';
import { type SevLaunch, sevDigest, sevEsDigests, startSevLaunch } from '../measurement/sev.ts';
import { type SnpDigest, snpFirmwareDigest } from '../measurement/snp.ts';
import { startSnpLaunch } from '../measurement/snp-launch.ts';
import { startSvsmLaunch, svsmVcpuPages } from '../measurement/svsm.ts';
import { vcpuPages } from '../measurement/vcpus.ts';
import type { Boot } from './boots.ts';
import type { FirmwareCandidate } from './firmware-candidates.ts';
import type { FoundLaunch, Question, RuledOut } from './identify.ts';
import { type Guest, type Unit, unitsOf } from './units.ts';
import type { VcpuCandidate } from './vcpu-candidates.ts';

/** What trying one unit gave. */
export interface UnitOutcome {
  readonly finding: FoundLaunch | undefined;
  /** Digests that were compared. */
  readonly tried: number;
  /** Whether some of its launches could not be started. */
  readonly ruledOut: boolean;
}

/** SHA-384 of the pages of the boot processor and of the others; none of the latter when the firmware cannot start them. */
interface PageHashes {
  readonly bsp: Uint8Array;
  readonly ap: Uint8Array | undefined;
}

/** A search; units may be tried in any order, and are quickest in theirs. */
export class Search {
  readonly #question: Question;
  readonly #hashes: Hashes;
  readonly #units: readonly Unit[];
  readonly #firmwareDigests = new Map<FirmwareCandidate, Uint8Array>();
  readonly #pageHashes = new Map<FirmwareCandidate, Map<VcpuCandidate, PageHashes>>();
  readonly #ruledOut = new Map<string, { readonly unit: number; readonly ruledOut: RuledOut }>();
  /** Launches of the guest of the last unit, by what its profile adds besides CPU state; or why there is none. */
  #started: { readonly guest: Guest; readonly launches: Map<string, SnpDigest | BootsealError> } | undefined;
  #startedSev: { readonly guest: Guest; readonly launch: SevLaunch } | undefined;
  #tried = 0;
  #matched = new Uint8Array();
  /** In the unit at hand. */
  #failed = false;

  constructor(question: Question, hashes: Hashes) {
    this.#question = question;
    this.#hashes = hashes;
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
      if (unit.platform !== 'snp') this.#startSev(unit.guest);
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
    const digest = sevDigest(this.#startSev(guest));
    if (!this.#matches(digest, 'sev')) return undefined;
    return { platform: 'sev', digest: this.#matched, ...guest, vcpu: undefined };
  }

  #trySevEs({ guest, candidates }: Unit): FoundLaunch | undefined {
    const launch = this.#startSev(guest);
    const { resetAddress } = guest.firmware.measured.firmware;
    const most = resetAddress === undefined ? 1 : this.#question.vcpus.mostVcpus;
    const counts = Array.from({ length: most }, (_, i) => i + 1);
    for (const candidate of candidates) {
      const pages = vcpuPages(candidate.profile, candidate.cpu?.signature ?? 0, candidate.features, resetAddress);
      const digests = sevEsDigests(launch, pages, counts);
      const index = digests.findIndex((digest) => this.#matches(digest, 'sev-es'));
      if (index < 0) continue;
      return { platform: 'sev-es', digest: this.#matched, ...guest, vcpu: { ...candidate, count: index + 1 } };
    }
    return undefined;
  }

  /** Returns the launch of SEV and SEV-ES alike, which take the same before CPU states. */
  #startSev(guest: Guest): SevLaunch {
    if (this.#startedSev?.guest !== guest) this.#startedSev = { guest, launch: this.#hashSev(guest) };
    return this.#startedSev.launch;
  }

  #hashSev({ firmware, boot }: Guest): SevLaunch {
    const { image, firmware: tables } = firmware.measured;
    if (image === undefined) {
      throw new BootsealError('format', 'a descriptor has only what SNP needs, not the image', {
        hint: 'give the image itself',
      });
    }
    return startSevLaunch(image, tables, hashTable(boot), this.#hashes);
  }

  #trySnp(unit: Unit, index: number): FoundLaunch | undefined {
    const { guest, candidates } = unit;
    for (const candidate of candidates) {
      const launch = this.#launchOf(unit, index, candidate.profile);
      if (launch === undefined) continue;
      const count = this.#tryVcpus(launch, candidate.profile, this.#pagesOf(guest.firmware, candidate));
      if (count === undefined) continue;
      return { platform: 'snp', digest: this.#matched, ...guest, vcpu: { ...candidate, count } };
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
      if (this.#matches(value, 'snp')) found = count;
      return found !== undefined;
    };
    digest.addAlike('vmsa', vmsaGpa, bsp, 1, seen);
    if (found !== undefined || ap === undefined) return found;
    digest.addAlike('vmsa', vmsaGpa, ap, this.#question.vcpus.mostVcpus - 1, seen);
    return found;
  }

  /** What one profile cannot start, another may. */
  #launchOf(unit: Unit, index: number, profile: Profile): SnpDigest | undefined {
    if (this.#started?.guest !== unit.guest) this.#started = { guest: unit.guest, launches: new Map() };
    const { launches } = this.#started;
    const plan = `${profile.secMem} ${profile.cpuidLast} ${profile.pcMemory}`;
    const launch = launches.get(plan) ?? this.#tryStartSnp(unit.guest, profile);
    launches.set(plan, launch);
    return launch instanceof BootsealError ? this.#ruleOut(unit, index, launch) : launch;
  }

  #tryStartSnp(guest: Guest, profile: Profile): SnpDigest | BootsealError {
    try {
      return this.#startSnp(guest, profile);
    } catch (error) {
      if (error instanceof BootsealError) return error;
      throw error;
    }
  }

  #startSnp({ firmware, boot }: Guest, profile: Profile): SnpDigest {
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
    if (firmware.svsm !== undefined) return startSvsmLaunch(start, firmware.svsm, 'zero', this.#hashes);
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
    const { svsm } = firmware;
    const resetAddress = svsm?.entry ?? firmware.measured.firmware.resetAddress;
    const signature = cpu?.signature ?? 0;
    const pages =
      svsm === undefined
        ? vcpuPages(profile, signature, features, resetAddress)
        : svsmVcpuPages(profile, svsm, signature, features);
    const ap = resetAddress === undefined ? undefined : this.#hashes.sha384(pages.ap());
    return { bsp: this.#hashes.sha384(pages.bsp), ap };
  }
}

function hashTable({ hashes }: Boot): Uint8Array | undefined {
  return hashes === undefined ? undefined : kernelHashTable(hashes);
}
