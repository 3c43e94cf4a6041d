/**
 * @module Which parts of a disk hold something, in units of 64 KiB: a bit for each, the lowest bit of a byte first. A unit is a
 * cluster of qcow2, and a whole number of blocks of every file system.
 */

/** Bytes. */
export const UNIT = 1 << 16;

/** One bit for each unit; 1 for those that hold something. */
export type Units = Uint8Array<ArrayBuffer>;

/** Returns the units of so many bytes, none of which holds anything. */
export function noUnits(size: number): Units {
  return new Uint8Array(Math.ceil(Math.ceil(size / UNIT) / 8));
}

/** Says that the bytes from `from` up to `to` hold something. */
export function markUnits(units: Units, from: number, to: number): void {
  const end = Math.min(Math.ceil(to / UNIT), units.length * 8);
  for (let unit = Math.floor(from / UNIT); unit < end; unit++) {
    units[unit >> 3] = (units[unit >> 3] ?? 0) | (1 << (unit & 7));
  }
}

/** Says whether a unit, by its number, holds something. */
export function holds(units: Units, unit: number): boolean {
  return (((units[unit >> 3] ?? 0) >> (unit & 7)) & 1) === 1;
}

/** Yields the longest runs of bytes from `from` (where a unit begins) up to `to` that hold something. */
export function* runsOf(units: Units, from: number, to: number): Generator<readonly [from: number, to: number]> {
  let start: number | undefined;
  for (let at = from; at < to; at += UNIT) {
    const held = holds(units, at / UNIT);
    if (held) start ??= at;
    else if (start !== undefined) {
      yield [start, at];
      start = undefined;
    }
  }
  if (start !== undefined) yield [start, to];
}

/** Returns how many of the first `size` bytes are in units that hold nothing. */
export function unusedBytes(units: Units, size: number): number {
  let used = 0;
  for (const [from, to] of runsOf(units, 0, size)) used += to - from;
  return size - used;
}
