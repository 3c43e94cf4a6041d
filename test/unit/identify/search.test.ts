import { describe, expect, it } from 'vitest';
import type { Hashes } from '../../../src/core/hash.ts';
import { possibleBoots } from '../../../src/core/identify/boots.ts';
import { firmwareCandidates } from '../../../src/core/identify/firmware-candidates.ts';
import type { Question } from '../../../src/core/identify/identify.ts';
import { Search } from '../../../src/core/identify/search.ts';
import { firmwareOf, type Platform } from '../../../src/core/measurement/measure.ts';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { fixture } from '../../fixtures.ts';

const kernel = { name: 'k', sha256: nodeHashes.sha256(Buffer.from('k')) };
const cmdlines = Array.from({ length: 20 }, (_, i) => Buffer.from(`a${i}`));
const boots = possibleBoots({ kernels: [kernel], initrds: [], cmdlines }, nodeHashes);
const vcpus = {
  profiles: ['qemu', 'ec2'].map(findProfile),
  cpus: [{ signature: 1 }, { signature: 2 }],
  features: [0x1n, 0x0n],
  mostVcpus: 3,
};

function questionOf(file: string, platforms: readonly Platform[]): Question {
  const firmware = firmwareCandidates([{ name: 'fw', ...firmwareOf(fixture(file)) }]);
  return { matches: () => false, platforms, firmware, boots, vcpus };
}

/** Counts what is begun to be hashed. */
function counting() {
  const count = { begun: 0 };
  const counted =
    <A extends readonly unknown[], R>(hash: (...args: A) => R) =>
    (...args: A): R => {
      count.begun++;
      return hash(...args);
    };
  const hashes: Hashes = {
    sha256: counted(nodeHashes.sha256),
    sha384: counted(nodeHashes.sha384),
    startSha256: counted(nodeHashes.startSha256),
    startSha384: counted(nodeHashes.startSha384),
  };
  return { hashes, count };
}

const AMDSEV = 'sev-snp-measure/ovmf_AmdSev_suffix.bin';

/** It has no place for kernel hashes. */
const PLAIN = 'sev-snp-measure/ovmf_OvmfX64_suffix.bin';

describe('a firmware that cannot be started', () => {
  const withKernel = boots.filter(({ hashes }) => hashes !== undefined);

  it.each([[['sev', 'sev-es']], [['snp']]] as const)(
    'is never hashed for %j, however many launches have it',
    (platforms) => {
      const { hashes, count } = counting();
      const search = new Search({ ...questionOf(PLAIN, platforms), boots: withKernel }, hashes);
      for (let unit = 0; unit < search.units; unit++) expect(search.tryUnit(unit)).toMatchObject({ tried: 0 });
      expect(search.units).toBeGreaterThanOrEqual(withKernel.length * platforms.length);
      expect(count.begun).toBe(0);
      const boots = 'all';
      const reason = expect.stringContaining('cannot measure a kernel');
      const ruledOut = platforms.map((platform) => ({ platform, boots, profiles: undefined, reason }));
      expect(search.ruledOutUpTo(search.units)).toMatchObject(ruledOut);
    },
  );

  it('is told of by a search that tried nothing itself, without a hash', () => {
    const question = questionOf(PLAIN, ['sev', 'sev-es', 'snp']);
    const tried = new Search(question, nodeHashes);
    for (let unit = 0; unit < tried.units; unit++) tried.tryUnit(unit);
    const { hashes, count } = counting();
    const search = new Search(question, hashes);
    search.explain(search.units - 1, () => ({ done: false, tried: 0 }));
    expect(search.ruledOutUpTo(search.units)).toEqual([]);
    search.explain(1, () => ({ done: true, tried: 0 }));
    expect(search.ruledOutUpTo(search.units)).toMatchObject([{ platform: 'sev' }, { platform: 'sev-es' }]);
    search.explain(search.units - 1, () => ({ done: true, tried: 0 }));
    expect(search.ruledOutUpTo(search.units)).toEqual(tried.ruledOutUpTo(search.units));
    expect(search.ruledOutUpTo(search.units)).toHaveLength(3);
    expect(search.coverage(() => ({ done: true, tried: 0 }))).toMatchObject([
      { launches: { tried: 0 } },
      { launches: { tried: 0 } },
      { launches: { tried: 0 } },
    ]);
    expect(count.begun).toBe(0);
  });
});

describe('a unit with much to do', () => {
  const cpus = Array.from({ length: 6 }, (_, signature) => ({ signature }));
  const scope = { ...vcpus, cpus, mostVcpus: 500 };

  it.each([
    ['sev-es', 100, 20],
    ['snp', 1, 2048],
  ] as const)('of %s has a break every few milliseconds', (platform, effort, between) => {
    const search = new Search({ ...questionOf(AMDSEV, [platform]), vcpus: scope, effort }, nodeHashes, 1);
    const steps = [...search.steps(0)];
    const tried = steps.map((step) => step.tried);
    expect(steps.map(({ done }) => done)).toEqual([...steps.slice(1).map(() => false), true]);
    expect(tried.at(-1)).toBe({ 'sev-es': 6, snp: 7 }[platform] * 500);
    for (const [i, now] of tried.entries()) expect(now - (tried[i - 1] ?? 0)).toBeLessThan(between + 2048 / effort);
    expect(search.tryUnit(1)).toEqual({ finding: undefined, tried: tried.at(-1), done: true });
  });

  it('has breaks between vCPUs that are not compared', () => {
    const [boot] = boots.filter(({ hashes }) => hashes !== undefined) as [(typeof boots)[0]];
    const kata = [{ ...boot, vcpus: 400 }];
    for (const platform of ['sev-es', 'snp'] as const) {
      const search = new Search({ ...questionOf(AMDSEV, [platform]), boots: kata, vcpus: scope }, nodeHashes, 1);
      const steps = [...search.steps(0)];
      expect(steps.at(-1)).toMatchObject({ done: true, tried: { 'sev-es': 6, snp: 7 }[platform] });
      expect(steps.length).toBeGreaterThan(1);
    }
  });

  it.each(['sev-es', 'snp'] as const)('of %s that was left is covered as far as it was tried', (platform) => {
    const search = new Search({ ...questionOf(AMDSEV, [platform]), vcpus: scope }, nodeHashes, 1);
    const covered = (tried: number) => search.coverage((unit) => ({ done: false, tried: unit === 0 ? tried : 0 }))[0];
    expect(covered(0)).toMatchObject({ complete: false, launches: { tried: 0 }, cpuSignatures: [], mostVcpus: 0 });
    const part = { tried: 1, of: 2 };
    expect(covered(499)).toMatchObject({ complete: false, cpuSignatures: [0], mostVcpus: 499, firmware: part });
    expect(covered(501)).toMatchObject({ complete: false, cpuSignatures: [0, 1], mostVcpus: 500, profiles: ['qemu'] });
    expect(covered(501)?.launches.tried).toBe(501);
  });

  it('finds again what is known to be in it without comparing what is before it', () => {
    let compared = 0;
    const matches = () => ++compared === 700;
    const question = { ...questionOf(AMDSEV, ['snp']), matches, vcpus: scope };
    const { finding, tried } = new Search(question, nodeHashes, 1).tryUnit(0);
    expect([tried, finding?.vcpu?.count]).toEqual([700, 200]);
    compared = 699;
    expect(new Search(question, nodeHashes, 1).tryUnit(0, 700)).toEqual({
      finding,
      tried,
      done: true,
    });
    expect(compared).toBe(700);
  });
});

describe('a search of SEV and SEV-ES', () => {
  it('hashes each firmware once, and makes the pages of each CPU state once, for all that is booted', () => {
    const { hashes, count } = counting();
    let made = 0;
    const qemu = findProfile('qemu');
    const profile = {
      ...qemu,
      state: (...args: Parameters<typeof qemu.state>) => {
        made++;
        return qemu.state(...args);
      },
    };
    const question = { ...questionOf(AMDSEV, ['sev', 'sev-es']), vcpus: { ...vcpus, profiles: [profile] } };
    const search = new Search(question, hashes);
    let tried = 0;
    for (let unit = 0; unit < search.units; unit++) tried += search.tryUnit(unit).tried;
    expect(question.firmware).toHaveLength(2);
    expect(tried).toBe(search.launches());
    expect(count.begun).toBe(2);
    // Of the boot processor and of the others, for two CPUs.
    expect(made).toBe(4);
  });

  it('makes pages anew for firmware whose other vCPUs start elsewhere', () => {
    const [one] = questionOf(AMDSEV, ['sev-es']).firmware as [Question['firmware'][0]];
    const other = { ...one.measured, firmware: { ...one.measured.firmware, resetAddress: 0xfffff000 } };
    const firmware = [one, { ...one, name: 'other', measured: other }];
    const seen = new Set<string>();
    const matches = (digest: Uint8Array) => seen.add(Buffer.from(digest).toString('hex')) === undefined;
    const question = { ...questionOf(AMDSEV, ['sev-es']), matches, firmware, boots: boots.slice(0, 1) };
    const search = new Search(question, nodeHashes);
    for (let unit = 0; unit < search.units; unit++) search.tryUnit(unit);
    // Two CPUs: guests with one vCPU are the same, those with two and three are not.
    expect(seen.size).toBe(2 + 2 * 2 * 2);
  });
});

describe('what was not tried', () => {
  it('is not started when a search ends', () => {
    const question = questionOf(AMDSEV, ['snp']);
    const firmware = question.firmware.map((one) => ({
      ...one,
      measured: {
        ...one.measured,
        get firmware(): never {
          throw new Error('was looked at');
        },
      },
    }));
    const search = new Search({ ...question, vcpus: { ...vcpus, mostVcpus: 1 }, firmware }, nodeHashes);
    search.explain(search.units - 1, () => ({ done: false, tried: 0 }));
    expect(search.ruledOutUpTo(search.units)).toEqual([]);
  });
});
