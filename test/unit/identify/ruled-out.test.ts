import { describe, expect, it } from 'vitest';
import { type Failure, Failures, type Ways } from '../../../src/core/identify/ruled-out.ts';
import { firmwareOf } from '../../../src/core/measurement/measure.ts';
import { fixture } from '../../fixtures.ts';

const measured = firmwareOf(fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
const failure = (boots: Failure['boots'], profile: string | undefined, reason = 'r'): Failure => ({
  firmware: { name: 'fw', measured, leftOut: 0 },
  platform: 'snp',
  reason,
  boots,
  profile,
});
const BOTH: Ways = { boots: ['with-kernel', 'without-kernel'], profiles: ['qemu', 'ec2'] };

/** What failures, each in a unit of its own, come to. */
function said(failures: readonly Failure[], ways = BOTH, last = failures.length) {
  const all = new Failures();
  for (const [unit, one] of failures.entries()) all.add(unit, one);
  return all.upTo(last, () => ways).map(({ reason, boots, profiles }) => [reason, boots, profiles]);
}

const withKernel = [failure('with-kernel', 'qemu'), failure('with-kernel', 'ec2')];
const without = [failure('without-kernel', 'qemu'), failure('without-kernel', 'ec2')];

describe('what is ruled out', () => {
  it('is a firmware in those ways in which it could not be started', () => {
    expect(said(withKernel)).toEqual([['r', 'with-kernel', undefined]]);
    expect(said([...withKernel, ...without])).toEqual([['r', 'all', undefined]]);
    expect(said(without, { ...BOTH, boots: ['without-kernel'] })).toEqual([['r', 'all', undefined]]);
    expect(said([...withKernel, ...without].slice(1))).toEqual([
      ['r', 'with-kernel', ['ec2']],
      ['r', 'without-kernel', undefined],
    ]);
    expect(said([failure('with-kernel', 'ec2'), failure('without-kernel', 'ec2')])).toEqual([['r', 'all', ['ec2']]]);
    expect(said([failure('with-kernel', undefined)])).toEqual([['r', 'with-kernel', undefined]]);
  });

  it('counts what was seen up to a unit, each once', () => {
    expect(said([...withKernel, ...without], BOTH, 1)).toEqual([['r', 'with-kernel', undefined]]);
    expect(said([...withKernel, ...withKernel])).toEqual([['r', 'with-kernel', undefined]]);
  });

  it('comes in the order of units, whoever saw them first', () => {
    const all = new Failures();
    all.add(7, failure('with-kernel', 'qemu', 'late'));
    all.add(5, failure('with-kernel', 'qemu', 'early'));
    all.add(9, failure('with-kernel', 'qemu', 'early'));
    expect(all.upTo(9, () => BOTH).map(({ reason }) => reason)).toEqual(['early', 'late']);
    expect(all.upTo(6, () => BOTH).map(({ reason }) => reason)).toEqual(['early']);
    all.add(2, failure('with-kernel', 'qemu', 'late'));
    expect(all.upTo(9, () => BOTH).map(({ reason }) => reason)).toEqual(['late', 'early']);
  });
});
