import { describe, expect, it } from 'vitest';
import { possibleBoots } from '../../../src/core/identify/boots.ts';
import { firmwareCandidates, firmwareSlips } from '../../../src/core/identify/firmware-candidates.ts';
import { launchesOf, type Unit, unitsOf } from '../../../src/core/identify/units.ts';
import { firmwareOf } from '../../../src/core/measurement/measure.ts';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { fixture } from '../../fixtures.ts';

const amdSev = firmwareOf(fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
const svsm = { name: 'svsm', image: fixture('sev-snp-measure/svsm.bin'), varsSizes: [0] };
const kernel = { name: 'k', sha256: nodeHashes.sha256(Buffer.from('k')) };
const question = {
  matches: () => false,
  platforms: ['sev', 'sev-es', 'snp'] as const,
  firmware: firmwareCandidates([{ name: 'fw', ...amdSev }], [svsm]),
  boots: possibleBoots({ kernels: [kernel], initrds: [], cmdlines: [] }, nodeHashes),
  vcpus: {
    profiles: ['qemu', 'ec2'].map(findProfile),
    cpus: [{ signature: 1 }, { signature: 2 }],
    features: [0x1n, 0x0n],
    mostVcpus: 1024,
  },
};

describe('the units of a search', () => {
  it('are each launch once, those of guests with fewer slips first', () => {
    const units = unitsOf(question);
    const all = Array.from({ length: units.length }, (_, i) => units.at(i) as Unit);
    const slips = all.map(({ guest }) => guest.boot.slips.length + firmwareSlips(guest.firmware).length);
    expect(slips).toEqual([...slips].sort((a, b) => a - b));
    const launches = all.flatMap(({ guest, platform, candidates }) => {
      const { boot, firmware } = guest;
      const of = [firmware.svsm?.name, firmware.reordering?.order, boot.slips, boot.hashes, platform].join();
      return candidates.length === 0
        ? [of]
        : candidates.map(({ profile, cpu, features }) => `${of} ${profile.name} ${cpu?.signature} ${features}`);
    });
    expect(new Set(launches).size).toBe(launches.length);
    // Without an SVSM 1 of SEV, 2 of SEV-ES and 3 of SNP for each boot and order of sections; with one 2 of SNP, without a kernel.
    expect(launches).toHaveLength(2 * 7 * (1 + 2 + 3) + 2 * 1 * 2);
    const behind = all.filter(({ guest }) => guest.firmware.svsm !== undefined).map(({ guest }) => guest.boot);
    for (const { hashes, slips: some } of behind) expect([hashes, some]).toEqual([undefined, ['kernel-behind-svsm']]);
    const beside = all.filter(({ guest }) => guest.firmware.svsm === undefined).map(({ guest }) => guest.boot);
    expect(beside.filter(({ slips: some }) => some.includes('no-kernel-hashes'))).not.toEqual([]);
    expect(beside.filter(({ slips: some }) => some.includes('kernel-behind-svsm'))).toEqual([]);
    // Of guests without a kernel it is no slip.
    const plain = unitsOf({
      ...question,
      boots: possibleBoots({ kernels: [], initrds: [], cmdlines: [] }, nodeHashes),
    });
    expect(plain.guests.find(({ firmware }) => firmware.svsm !== undefined)?.boot.slips).toEqual([]);
  });

  it('are short, however long it takes to compare a digest and however many vCPUs a guest may have', () => {
    const platforms = ['sev-es'] as const;
    const units = unitsOf({ ...question, platforms, effort: 6144, boots: question.boots.slice(0, 1) });
    const all = Array.from({ length: units.length }, (_, i) => units.at(i) as Unit);
    const counts = all
      .filter(({ guest, candidates }) => guest === all[0]?.guest && candidates[0] === all[0]?.candidates[0])
      .flatMap(({ counts: { from, to } }) => {
        expect(to - from).toBeLessThan(8);
        return Array.from({ length: to - from + 1 }, (_, i) => from + i);
      });
    expect(counts).toEqual(Array.from({ length: 1024 }, (_, i) => i + 1));
    const { vcpus } = question;
    const sum = all.reduce((total, unit) => total + launchesOf(unit.guest, unit, vcpus), 0);
    expect(sum).toBe(question.firmware.filter(({ svsm: one }) => one === undefined).length * 2 * 1024);
    const [first] = all as [Unit];
    const kata = { ...first.guest, boot: { ...first.guest.boot, vcpus: 9 } };
    expect(all.slice(0, 3).map((unit) => launchesOf(kata, unit, vcpus))).toEqual([0, 1, 0]);
  });

  it.each(['sev-es', 'snp'] as const)(
    'are no more than can be looked through at the end, with thousands of guests of %s',
    (platform) => {
      const boots = Array.from({ length: 20_000 }, () => question.boots[0] as (typeof question.boots)[0]);
      const cpus = Array.from({ length: 60 }, (_, signature) => ({ signature }));
      const vcpus = { ...question.vcpus, cpus, mostVcpus: 4096 };
      const firmware = question.firmware.filter(({ svsm: one }) => one === undefined);
      const units = unitsOf({ ...question, platforms: [platform], firmware, effort: 6144, boots, vcpus });
      expect(units.length).toBeGreaterThan(2 ** 19);
      expect(units.length).toBeLessThanOrEqual(2 ** 20);
      const [guest] = units.guests as [Unit['guest']];
      const all = units.partsOf(guest).reduce((sum, part) => sum + launchesOf(guest, part, vcpus), 0);
      // One profile of them takes no CPU, and serves SNP only.
      expect(all).toBe({ 'sev-es': 60, snp: 61 }[platform] * 4096);
    },
  );

  it('are at least one for each guest and platform, however many', () => {
    const { guests, length } = unitsOf(question, 10);
    expect(length).toBe(guests.filter(({ firmware }) => firmware.svsm === undefined).length * 3 + 2);
  });

  it('end', () => {
    const units = unitsOf(question);
    expect(units.at(units.length)).toBeUndefined();
    expect(unitsOf({ ...question, boots: [] }).at(0)).toBeUndefined();
    expect(unitsOf({ ...question, platforms: [] })).toMatchObject({ length: 0 });
  });
});
