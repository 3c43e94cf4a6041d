/** @module The search cut into units, in the order in which their launches are looked at: whoever does them, the first that matches is the answer. */
import type { Platform } from '../measurement/measure.ts';
import { type Boot, isBootOf } from './boots.ts';
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
  /** The numbers of vCPUs that the guest may have. */
  readonly counts: Counts;
}

/** From one number to another, both included. */
export interface Counts {
  readonly from: number;
  readonly to: number;
}

/** Launches of a unit, about, and between two breaks of a longer one: a few milliseconds of work. */
export const LAUNCHES = 2048;

/** With fewer in a unit, hashing the CPU states of those before them would take longer than the search. */
const LEAST_COUNTS = 8;

/** What a search looks through when it ends, in less than a second; units are larger before there are so many. */
const MANY_UNITS = 2 ** 20;

/** The units of a search; each is made when it is asked for, since there may be millions. */
export interface Units {
  readonly length: number;
  /** Undefined behind the last. */
  at(index: number): Unit | undefined;
  /** In order; the units of one follow each other as `partsOf` tells. */
  readonly guests: readonly Guest[];
  partsOf(guest: Guest): readonly Part[];
}

/** A unit of any guest: guests share them. */
export type Part = Omit<Unit, 'guest'>;

/** Returns the units of a search, guests with fewer slips first; about `most` at the most, unless there are more guests. */
export function unitsOf(question: Question, most = MANY_UNITS): Units {
  const all = question.boots.flatMap((boot) => question.firmware.map((firmware) => ({ boot, firmware })));
  const guests = all.filter(isPossible);
  const parts = Math.max(1, Math.floor(most / (guests.length * question.platforms.length)));
  const chunk = (withSvsm: boolean) =>
    question.platforms.flatMap((platform) => chunks(platform, question, parts, withSvsm));
  const states = { plain: chunk(false), svsm: chunk(true) };
  const slips = ({ boot, firmware }: Guest) => boot.slips.length + firmwareSlips(firmware).length;
  guests.sort((a, b) => slips(a) - slips(b));
  return unitsOfGuests(guests, ({ firmware }) => (firmware.svsm === undefined ? states.plain : states.svsm));
}

function unitsOfGuests(guests: readonly Guest[], partsOf: Units['partsOf']): Units {
  const ends = new Uint32Array(guests.length);
  let length = 0;
  for (const [i, guest] of guests.entries()) {
    length += partsOf(guest).length;
    ends[i] = length;
  }
  return {
    length,
    guests,
    partsOf,
    at(index) {
      const of = firstAbove(ends, index);
      const guest = guests[of];
      if (guest === undefined) return undefined;
      const part = partsOf(guest)[index - (ends[of - 1] ?? 0)];
      return part === undefined ? undefined : { guest, ...part };
    },
  };
}

/** Returns the index of the first number that is larger; of ascending ones. */
function firstAbove(numbers: Uint32Array, value: number): number {
  let [from, to] = [0, numbers.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((numbers[middle] ?? 0) > value) to = middle;
    else from = middle + 1;
  }
  return from;
}

/** Returns the most vCPUs of a guest with this firmware: one where it cannot start others. */
export function mostVcpusOf({ svsm, measured }: FirmwareCandidate, { mostVcpus }: VcpuScope): number {
  return (svsm?.entry ?? measured.firmware.resetAddress) === undefined ? 1 : mostVcpus;
}

/** Returns the numbers of vCPUs that the guest may have in a unit; undefined for none. */
export function countsOf({ firmware, boot }: Guest, { counts }: Part, vcpus: VcpuScope): Counts | undefined {
  const from = Math.max(counts.from, boot.vcpus ?? 1);
  const to = Math.min(counts.to, boot.vcpus ?? counts.to, mostVcpusOf(firmware, vcpus));
  return from <= to ? { from, to } : undefined;
}

/** Returns how many launches a unit has, when all can be started. */
export function launchesOf(guest: Guest, part: Part, vcpus: VcpuScope): number {
  if (part.platform === 'sev') return 1;
  const counts = countsOf(guest, part, vcpus);
  return counts === undefined ? 0 : part.candidates.length * (counts.to - counts.from + 1);
}

const isPossible = ({ firmware, boot }: Guest) => isBootOf(boot, firmware.svsm !== undefined);

/** Cuts the launches of one guest into at most `most` parts. */
function chunks(
  platform: Platform,
  { vcpus: scope, effort = 1 }: Question,
  most: number,
  withSvsm: boolean,
): readonly Part[] {
  if (withSvsm && platform !== 'snp') return [];
  if (platform === 'sev') return [{ platform, candidates: [], counts: { from: 1, to: 1 } }];
  const { mostVcpus } = scope;
  const all = vcpuCandidates(platform, scope, withSvsm);
  const size = Math.max(1, Math.floor(LAUNCHES / (mostVcpus * effort)), Math.ceil(all.length / most));
  const groups = Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
  const few = Math.ceil(mostVcpus / Math.floor(most / groups.length));
  const length = platform === 'snp' ? mostVcpus : Math.max(LEAST_COUNTS, Math.floor(LAUNCHES / effort), few);
  return groups.flatMap((candidates) => ranges(mostVcpus, length).map((counts) => ({ platform, candidates, counts })));
}

/** Cuts the numbers from 1 to `last` into runs of at most `size`. */
function ranges(last: number, size: number): readonly Counts[] {
  return Array.from({ length: Math.ceil(last / size) }, (_, i) => ({
    from: i * size + 1,
    to: Math.min(last, (i + 1) * size),
  }));
}
