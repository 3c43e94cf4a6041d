/** @module The launches that a search tries, up to their vCPUs, each started once for all that go on from it. */
import { BootsealError } from '../errors.ts';
import { checkStart } from '../firmware/starts.ts';
import type { Hashes } from '../hash.ts';
import { kernelHashTable } from '../measurement/hash-table.ts';
import type { Profile } from '../measurement/profiles.ts';
import { type SevLaunch, startSevLaunch, withHashTable } from '../measurement/sev.ts';
import { type SnpDigest, snpFirmwareDigest } from '../measurement/snp.ts';
import { startSnpLaunch } from '../measurement/snp-launch.ts';
import { startSvsmLaunch, svsmVcpuPages } from '../measurement/svsm.ts';
import { type VcpuPages, vcpuPages } from '../measurement/vcpus.ts';
import type { Boot } from './boots.ts';
import type { FirmwareCandidate } from './firmware-candidates.ts';
import type { Guest } from './units.ts';
import type { VcpuCandidate } from './vcpu-candidates.ts';

/** SHA-384 of the pages of the boot processor and of the others; none of the latter when the firmware cannot start them. */
export interface PageHashes {
  readonly bsp: Uint8Array;
  readonly ap: Uint8Array | undefined;
}

/** Pairs of pages that are kept, 8 KiB each. */
const MANY_PAGES = 2048;

/** Keeps what the launches of the last guest, and of all with the same firmware, have in common. */
export class Launches {
  readonly #hashes: Hashes;
  readonly #firmwareDigests = new Map<FirmwareCandidate, Uint8Array>();
  readonly #firmwareLaunches = new Map<FirmwareCandidate, SevLaunch>();
  readonly #pages = new Map<VcpuCandidate, { readonly resetAddress: number | undefined; readonly pages: VcpuPages }>();
  readonly #pageHashes = new Map<FirmwareCandidate, Map<VcpuCandidate, PageHashes>>();
  /** By what a profile adds besides CPU state. */
  #snp: { readonly guest: Guest; readonly launches: Map<string, SnpDigest> } | undefined;
  #sev: { readonly guest: Guest; readonly launch: SevLaunch } | undefined;

  constructor(hashes: Hashes) {
    this.#hashes = hashes;
  }

  /** Returns the launch of SEV and SEV-ES alike, which take the same before CPU states. Throws `format` when there is none on `platform`. */
  sev(guest: Guest, platform: 'sev' | 'sev-es'): SevLaunch {
    if (guest.firmware.measured.image !== undefined) checkStart(guest.firmware.measured.firmware, platform);
    if (this.#sev?.guest !== guest) this.#sev = { guest, launch: this.#hashSev(guest) };
    return this.#sev.launch;
  }

  #hashSev({ firmware, boot }: Guest): SevLaunch {
    const { firmware: tables } = firmware.measured;
    const launch = this.#firmwareLaunches.get(firmware) ?? this.#hashSevFirmware(firmware);
    this.#firmwareLaunches.set(firmware, launch);
    const table = hashTable(boot);
    return table === undefined ? launch : withHashTable(launch, tables, table);
  }

  #hashSevFirmware({ measured: { image, firmware } }: FirmwareCandidate): SevLaunch {
    if (image === undefined) {
      throw new BootsealError('format', 'a descriptor has only what SNP needs, not the image', {
        hint: 'give the image itself',
      });
    }
    return startSevLaunch(image, firmware, undefined, this.#hashes);
  }

  /** Returns the pages of a guest of SEV-ES with this firmware. */
  sevEsPages({ measured }: FirmwareCandidate, candidate: VcpuCandidate): VcpuPages {
    const { resetAddress } = measured.firmware;
    const known = this.#pages.get(candidate);
    if (known !== undefined && known.resetAddress === resetAddress) return known.pages;
    if (this.#pages.size >= MANY_PAGES) this.#pages.clear();
    const { profile, cpu, features } = candidate;
    const pages = vcpuPages(profile, cpu?.signature ?? 0, features, resetAddress);
    this.#pages.set(candidate, { resetAddress, pages });
    return pages;
  }

  /** Returns the launch under a profile. Throws `format` when there is none. */
  snp(guest: Guest, profile: Profile): SnpDigest {
    if (this.#snp?.guest !== guest) this.#snp = { guest, launches: new Map() };
    const { launches } = this.#snp;
    const plan = `${profile.secMem} ${profile.cpuidLast} ${profile.pcMemory}`;
    const launch = launches.get(plan) ?? this.#startSnp(guest, profile);
    launches.set(plan, launch);
    return launch;
  }

  #startSnp({ firmware, boot }: Guest, profile: Profile): SnpDigest {
    const { image, snpDigest, firmware: tables } = firmware.measured;
    checkStart(tables, 'snp');
    if (firmware.svsm?.noRoom !== undefined) {
      throw new BootsealError('format', firmware.svsm.noRoom, {
        hint: 'give the image of a firmware, whose address is known',
      });
    }
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

  /** Returns the hashes of the pages of a guest with this firmware. */
  pages(firmware: FirmwareCandidate, candidate: VcpuCandidate): PageHashes {
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
