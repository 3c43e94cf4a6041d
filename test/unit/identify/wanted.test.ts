import { describe, expect, it } from 'vitest';
import { hexToBytes } from '../../../src/core/hex.ts';
import {
  effortOf,
  matcher,
  policiesOf,
  signedWith,
  type WantedMeasurement,
} from '../../../src/core/identify/wanted.ts';
import { computeLaunchMeasurement } from '../../../src/core/measurement/launch-measurement.ts';
import { vectors } from '../../fixtures.ts';

interface Entry {
  readonly id: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly expected: { readonly measure_hex: string };
}
const { groups } = vectors<{ groups: { launch_measure: readonly Entry[] } }>('measurement.json');

const tik = new Uint8Array(16).fill(1);
const nonce = new Uint8Array(16).fill(2);
const digest = new Uint8Array(32).fill(3);
const everything = { policies: [0, 1, 4, 5], majors: [0, 1], minors: [16, 17, 18], builds: [14, 15] };

const wanted = (policy: number, api: { major: number; minor: number; build: number }): WantedMeasurement => ({
  kind: 'measurement',
  tik,
  nonce,
  measure: computeLaunchMeasurement({ tik, nonce, digest, policy, api }),
  signed: everything,
});

describe('what is wanted', () => {
  it('is a digest, whatever the platform', () => {
    const matches = matcher({ kind: 'digest', digest });
    expect(matches(digest, 'snp')).toBe(true);
    expect(matches(new Uint8Array(32), 'snp')).toBe(false);
    expect(matches(digest.subarray(1), 'snp')).toBe(false);
    expect(effortOf({ kind: 'digest', digest })).toBe(1);
  });

  it('is a measurement of a digest under one of many policies and versions', () => {
    const api = { major: 1, minor: 18, build: 15 };
    expect(matcher(wanted(5, api))(digest, 'sev-es')).toBe(true);
    expect(signedWith(wanted(5, api), digest, 'sev-es')).toEqual({ policy: 5, api });
    expect(signedWith(wanted(5, api), new Uint8Array(32), 'sev-es')).toBeUndefined();
    expect(signedWith(wanted(5, { ...api, build: 16 }), digest, 'sev-es')).toBeUndefined();
    expect(effortOf(wanted(5, api))).toBe(4 * 2 * 3 * 2);
  });

  it('is looked for under policies of the platform only', () => {
    expect(policiesOf(everything.policies, 'sev')).toEqual([0, 1]);
    expect(policiesOf(everything.policies, 'sev-es')).toEqual([4, 5]);
    expect(matcher(wanted(5, { major: 1, minor: 18, build: 15 }))(digest, 'sev')).toBe(false);
  });

  it('may be of a version that signed none', () => {
    const api = { major: 0, minor: 16, build: 14 };
    expect(signedWith(wanted(1, api), digest, 'sev')).toEqual({ policy: 1, api });
  });

  it('is what sev-tool computes', () => {
    const entry = groups.launch_measure.find(({ id }) => id === 'sev-tool-calc-measurement');
    const { tik_hex = '', nonce_hex = '', launch_digest_hex = '' } = entry?.inputs ?? {};
    const one: WantedMeasurement = {
      kind: 'measurement',
      tik: hexToBytes(tik_hex),
      nonce: hexToBytes(nonce_hex),
      measure: hexToBytes(entry?.expected.measure_hex ?? ''),
      signed: everything,
    };
    const found = signedWith(one, hexToBytes(launch_digest_hex), 'sev');
    expect(found).toEqual({ policy: 0, api: { major: 0, minor: 18, build: 15 } });
  });
});
