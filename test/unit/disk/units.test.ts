import { describe, expect, it } from 'vitest';
import { holds, markUnits, noUnits, runsOf, UNIT, unusedBytes } from '../../../src/core/disk/units.ts';

const marked = (size: number, ...ranges: readonly (readonly [number, number])[]) => {
  const units = noUnits(size);
  for (const [from, to] of ranges) markUnits(units, from, to);
  return units;
};
const numbers = (units: ReturnType<typeof noUnits>) =>
  Array.from({ length: units.length * 8 }, (_, i) => i).filter((i) => holds(units, i));

describe('units', () => {
  it('have a bit each', () => {
    expect([0, 1, UNIT, 8 * UNIT, 8 * UNIT + 1].map((size) => noUnits(size).length)).toEqual([0, 1, 1, 1, 2]);
  });

  it.each([
    [0, 1, [0]],
    [0, UNIT, [0]],
    [UNIT - 1, UNIT + 1, [0, 1]],
    [UNIT, 2 * UNIT, [1]],
    [7 * UNIT, 9 * UNIT, [7, 8]],
    [UNIT, UNIT, []],
    [15 * UNIT, 2 ** 50, [15]],
    [2 ** 45, 2 ** 45 + 1, []],
  ])('from %i up to %i are marked whole', (from, to, expected) => {
    expect(numbers(marked(16 * UNIT, [from, to]))).toEqual(expected);
  });

  it('give their runs, the last one cut where the disk ends', () => {
    const units = marked(10 * UNIT, [0, 2 * UNIT], [3 * UNIT, 4 * UNIT], [8 * UNIT, 10 * UNIT]);
    expect([...runsOf(units, 0, 10 * UNIT)]).toEqual([
      [0, 2 * UNIT],
      [3 * UNIT, 4 * UNIT],
      [8 * UNIT, 10 * UNIT],
    ]);
    expect([...runsOf(units, UNIT, 9 * UNIT - 512)]).toEqual([
      [UNIT, 2 * UNIT],
      [3 * UNIT, 4 * UNIT],
      [8 * UNIT, 9 * UNIT - 512],
    ]);
    expect([...runsOf(units, 4 * UNIT, 8 * UNIT)]).toEqual([]);
    expect([...runsOf(units, 0, 0)]).toEqual([]);
  });

  it('tell how much is not used', () => {
    const units = marked(3 * UNIT, [UNIT, UNIT + 1]);
    expect(unusedBytes(units, 3 * UNIT)).toBe(2 * UNIT);
    expect(unusedBytes(units, 2 * UNIT + 512)).toBe(UNIT + 512);
    expect(unusedBytes(units, UNIT + 512)).toBe(UNIT);
  });
});
