/** @module What could not be tried, and in which ways it was to be started when it could not. */
import type { Platform } from '../measurement/measure.ts';
import type { FirmwareCandidate } from './firmware-candidates.ts';

/** With a kernel that is measured, or without one. */
export type BootKind = 'with-kernel' | 'without-kernel';

/** A firmware that could not be tried, and why. */
export interface RuledOut {
  readonly firmware: FirmwareCandidate;
  readonly platform: Platform;
  readonly reason: string;
  /** What it cannot be started with; `all` for every way in which it was to be booted. */
  readonly boots: BootKind | 'all';
  /** Under which profiles it cannot; undefined for all that are looked at. */
  readonly profiles: readonly string[] | undefined;
}

/** One launch that could not be started. */
export interface Failure {
  readonly firmware: FirmwareCandidate;
  readonly platform: Platform;
  readonly reason: string;
  readonly boots: BootKind;
  /** Undefined where it makes no difference. */
  readonly profile: string | undefined;
}

/** In which ways a firmware was to be started. */
export interface Ways {
  readonly boots: readonly BootKind[];
  readonly profiles: readonly string[];
}

/** Failures, each once, with the first unit in which it was seen: the units may come in any order. */
export class Failures {
  readonly #seen = new Map<string, { readonly unit: number; readonly failure: Failure }>();

  /** Remembers a failure. */
  add(unit: number, failure: Failure): void {
    const key = [sameReason(failure), failure.boots, failure.profile].join('\0');
    const known = this.#seen.get(key);
    if (known !== undefined && known.unit <= unit) return;
    this.#seen.delete(key);
    this.#seen.set(key, { unit, failure });
  }

  /** Returns what the failures in the units up to `last` come to, in the order of units; `waysOf` tells what was to be tried. */
  upTo(last: number, waysOf: (failure: Failure) => Ways): readonly RuledOut[] {
    const found = [...this.#seen.values()].filter(({ unit }) => unit <= last).sort((a, b) => a.unit - b.unit);
    const failures = found.map(({ failure }) => failure);
    return grouped(failures, sameReason).flatMap(([first, ...others]) => {
      const ways = waysOf(first);
      const kinds = grouped([first, ...others], ({ boots }) => boots).map((some) => ruledOut(some, ways));
      const alike = kinds.every(({ profiles }) => profiles?.join() === kinds[0]?.profiles?.join());
      return alike && kinds.length === ways.boots.length
        ? kinds.slice(0, 1).map((one) => ({ ...one, boots: 'all' as const }))
        : kinds;
    });
  }
}

type Some<T> = readonly [T, ...T[]];

function grouped<T>(values: readonly T[], keyOf: (value: T) => string): readonly Some<T>[] {
  const groups = new Map<string, [T, ...T[]]>();
  for (const value of values) {
    const group = groups.get(keyOf(value));
    if (group === undefined) groups.set(keyOf(value), [value]);
    else group.push(value);
  }
  return [...groups.values()];
}

/** Of failures with the same reason and kind of boot. */
function ruledOut(failures: Some<Failure>, ways: Ways): RuledOut {
  const { profile: _, ...first } = failures[0];
  const names = failures.flatMap(({ profile }) => (profile === undefined ? [] : [profile]));
  const all = names.length === 0 || names.length === ways.profiles.length;
  return { ...first, profiles: all ? undefined : names };
}

function sameReason({ firmware, platform, reason }: Failure): string {
  const { name, leftOut, reordering, svsm } = firmware;
  return [name, leftOut, reordering?.order, svsm?.name, svsm?.varsSize, platform, reason].join('\0');
}
