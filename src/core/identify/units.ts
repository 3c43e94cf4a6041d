/** @module The search cut into units, in the order in which their launches are looked at: whoever does them, the first that matches is the answer. */
import type { Platform } from '../measurement/measure.ts';
import type { Boot } from './boots.ts';
import { type FirmwareCandidate, firmwareSlips } from './firmware-candidates.ts';
import type { Question } from './identify.ts';
import { type VcpuCandidate, type VcpuScope, vcpuCandidates } from './vcpu-candidates.ts';

/** A firmware with what it boots. */
export interface Guest {
  readonly firmware: FirmwareCandidate;
  readonly boot: Boot;
}

/** Launches of one guest on one platform, with some of the states in which its vCPUs may start. */
export interface Unit {
  readonly guest: Guest;
  readonly platform: Platform;
  /** None for SEV, which measures no CPU state. */
  readonly candidates: readonly VcpuCandidate[];
}

/** Launches of a unit, about: a few milliseconds of work. */
const LAUNCHES = 2048;

/** Returns the units of a search, guests with fewer slips first. */
export function unitsOf(question: Question): readonly Unit[] {
  const perUnit = Math.max(1, Math.floor(LAUNCHES / (question.vcpus.mostVcpus * (question.effort ?? 1))));
  const chunk = (withSvsm: boolean) =>
    question.platforms.map((platform) => ({ platform, groups: chunks(platform, question, perUnit, withSvsm) }));
  const states = { plain: chunk(false), svsm: chunk(true) };
  const guests = question.boots.flatMap((boot) => question.firmware.map((firmware) => ({ boot, firmware })));
  const slips = ({ boot, firmware }: Guest) => boot.slips.length + firmwareSlips(firmware).length;
  return guests
    .filter(isPossible)
    .sort((a, b) => slips(a) - slips(b))
    .flatMap((guest) =>
      (guest.firmware.svsm === undefined ? states.plain : states.svsm).flatMap(({ platform, groups }) =>
        groups.map((candidates) => ({ guest, platform, candidates })),
      ),
    );
}

/** Returns the most vCPUs of a guest with this firmware: one where it cannot start others. */
export function mostVcpusOf({ svsm, measured }: FirmwareCandidate, { mostVcpus }: VcpuScope): number {
  return (svsm?.entry ?? measured.firmware.resetAddress) === undefined ? 1 : mostVcpus;
}

/** Returns how many launches a unit has, when all can be started. */
export function launchesOf({ guest: { firmware, boot }, platform, candidates }: Unit, vcpus: VcpuScope): number {
  if (platform === 'sev') return 1;
  const most = mostVcpusOf(firmware, vcpus);
  if (boot.vcpus === undefined) return candidates.length * most;
  return boot.vcpus <= most ? candidates.length : 0;
}

/** Nothing measures a kernel behind an SVSM. */
const isPossible = ({ firmware, boot }: Guest) => firmware.svsm === undefined || boot.hashes === undefined;

function chunks(
  platform: Platform,
  { vcpus }: Question,
  size: number,
  withSvsm: boolean,
): readonly (readonly VcpuCandidate[])[] {
  if (withSvsm && platform !== 'snp') return [];
  if (platform === 'sev') return [[]];
  const all = vcpuCandidates(platform, vcpus, withSvsm);
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}
