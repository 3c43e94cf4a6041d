import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { align } from '../../src/core/rtmr/align.ts';

/** Few letters, so that most of them stand in several places; an upper-case letter is of the type of its lower-case one. */
const row = fc.array(fc.constantFrom('a', 'A', 'b', 'B', 'c'), { maxLength: 7 });

const same = (one: string, other: string) => (one === other ? 1 : 0);
/** As events are weighed: by type, and more where they are the same. */
const graded = (one: string, other: string) => (one === other ? 3 : one.toLowerCase() === other.toLowerCase() ? 2 : 0);

/** All rows that are left when some letters of one are struck out. */
function subsequences(letters: readonly string[]): readonly string[] {
  const rows = [''];
  for (const letter of letters) rows.push(...rows.map((one) => one + letter));
  return rows;
}

/** Tries every way to pair the first letters, or to leave one out. */
function heaviest(one: readonly string[], other: readonly string[]): number {
  const [[a, ...as], [b, ...bs]] = [one, other];
  if (a === undefined || b === undefined) return 0;
  const weight = graded(a, b);
  const paired = weight === 0 ? 0 : weight + heaviest(as, bs);
  return Math.max(paired, heaviest(as, other), heaviest(one, bs));
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

describe('two rows of events', () => {
  it('are paired as often as their longest common subsequence is long', () => {
    fc.assert(
      fc.property(row, row, (one, other) => {
        const others = new Set(subsequences(other));
        const longest = Math.max(...subsequences(one).map((each) => (others.has(each) ? each.length : 0)));
        const pairs = align(one, other, same).filter(([a, b]) => a !== undefined && b !== undefined);
        expect(pairs).toHaveLength(longest);
      }),
      {
        numRuns: 500,
        examples: [
          [
            ['a', 'b', 'c'],
            ['b', 'c', 'a'],
          ],
        ],
      },
    );
  });

  it('are paired with the greatest weight, nothing left out, added or moved', () => {
    fc.assert(
      fc.property(row, row, (one, other) => {
        const pairs = align(one, other, graded);
        const both = pairs.flatMap(([a, b]) => (a === undefined || b === undefined ? [] : [graded(a, b)]));
        expect(both).not.toContain(0);
        expect(sum(both)).toBe(heaviest(one, other));
        expect(pairs.flatMap(([a]) => a ?? [])).toEqual(one);
        expect(pairs.flatMap(([, b]) => b ?? [])).toEqual(other);
      }),
      {
        numRuns: 300,
        examples: [
          [
            ['a', 'A'],
            ['A', 'b', 'a'],
          ],
        ],
      },
    );
  });
});
