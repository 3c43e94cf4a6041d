import { describe, expect, it } from 'vitest';
import type { AccountStep } from '../../../src/core/explain/account.ts';
import { compareSteps, firstDivergence } from '../../../src/core/explain/compare-steps.ts';
import { outOfOrder, pairSteps } from '../../../src/core/explain/pair-steps.ts';

/** Steps of one page each, `a` at 0x1000, `b` at 0x2000…; an upper-case letter is a page of type zero, `?` one without address. */
function steps(letters: string): readonly AccountStep[] {
  return [...letters].map((letter) => {
    const place = letter.toLowerCase().charCodeAt(0) - 0x60;
    const type = letter === letter.toLowerCase() ? ('normal' as const) : ('zero' as const);
    return {
      name: letter === '?' ? undefined : letter.toLowerCase(),
      type,
      gpa: letter === '?' ? undefined : BigInt(place * 0x1000),
      length: 0x1000,
      digest: undefined,
    };
  });
}

const compared = (expected: string, found: string, cut?: 'start' | 'end' | 'both') =>
  compareSteps(steps(expected), steps(found), cut).map(({ kind, name }) => `${kind.slice(5)} ${name}`);

describe('steps out of order', () => {
  it.each([
    [[], []],
    [[0, 1, 2], []],
    [[1, 2, 0], [2]],
    [[2, 0, 1], [0]],
    [[0, 3, 1, 2, 4], [1]],
    [
      [2, 1, 0],
      [0, 1],
    ],
    [[5, 7], []],
  ])('of %j are %j', (indices, expected) => expect(outOfOrder(indices)).toEqual(expected));
});

describe('steps', () => {
  it('are paired by address, each once', () => {
    expect(pairSteps(steps('abc'), steps('cab'))).toEqual({ found: [1, 2, 0], added: [] });
    expect(pairSteps(steps('aab'), steps('abb'))).toEqual({ found: [0, undefined, 1], added: [2] });
  });

  it('are paired in turn where an address is not known', () => {
    expect(pairSteps(steps('ab'), steps('???'))).toEqual({ found: [0, 1], added: [2] });
    expect(pairSteps(steps('?b'), steps('ab'))).toEqual({ found: [0, 1], added: [] });
    expect(pairSteps(steps('?b?'), steps('ab'))).toEqual({ found: [0, 1, undefined], added: [] });
  });

  it('differ in type, order and being there', () => {
    expect(compared('abcd', 'abcd')).toEqual([]);
    expect(compared('abcd', 'abCd')).toEqual(['type c']);
    expect(compared('abcd', 'abd')).toEqual(['missing c']);
    expect(compared('abd', 'abcd')).toEqual(['added c']);
    expect(compared('abcd', 'adbc')).toEqual(['order d']);
    expect(compared('abcd', 'aDb')).toEqual(['missing c', 'type d', 'order b']);
  });

  it('that a log has cut off are not missing', () => {
    expect(compared('abcd', 'ab', 'end')).toEqual([]);
    expect(compared('abcd', 'ac', 'end')).toEqual(['missing b']);
    expect(compared('abcd', 'cd', 'start')).toEqual([]);
    expect(compared('abcd', 'bd', 'start')).toEqual(['missing c']);
    expect(compared('abcd', 'bc', 'both')).toEqual([]);
    expect(compared('abcd', 'ab', 'start')).toEqual(['missing c', 'missing d']);
  });

  it('are not missing where a log has no step that was expected', () => {
    for (const cut of ['start', 'end', 'both'] as const) expect(compared('abcd', '', cut)).toEqual([]);
    expect(compared('abcd', 'xy', 'start')).toEqual(['added x', 'added y']);
    expect(compared('ab', '')).toEqual(['missing a', 'missing b']);
  });

  it('without addresses are any where the start of a log is missing', () => {
    for (const cut of ['start', 'both'] as const) expect(compared('abcd', '??', cut)).toEqual([]);
    const zeros = steps('AB').map((step) => ({ ...step, gpa: undefined }));
    expect(compareSteps(steps('abcd'), zeros, 'start')).toEqual([]);
    expect(compareSteps(steps('abcd'), zeros, 'end').map(({ kind }) => kind)).toEqual(['step-type', 'step-type']);
  });

  it('part at the first that is not alike', () => {
    const first = (expected: string, found: string, cut?: 'start' | 'end' | 'both') =>
      firstDivergence(steps(expected), steps(found), cut)?.step;
    expect(first('abc', 'abc')).toBeUndefined();
    expect(first('abc', 'aBc')).toBe(1);
    expect(first('abc', 'ab')).toBe(2);
    expect(first('ab', 'abc')).toBe(2);
    expect(first('abc', 'ab', 'end')).toBeUndefined();
    expect(first('ab', 'abc', 'end')).toBe(2);
    expect(first('abc', 'bc', 'start')).toBeUndefined();
    expect(first('abc', 'xyz', 'both')).toBeUndefined();
    expect(first('ab', '??')).toBeUndefined();
  });
});
