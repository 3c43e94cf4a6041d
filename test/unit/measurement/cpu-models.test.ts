import { describe, expect, it } from 'vitest';
import {
  cpuModel,
  cpuModelNames,
  cpuSignature,
  knownSignatures,
  modelsOfSignature,
} from '../../../src/core/measurement/cpu-models.ts';
import { failure } from '../../failure.ts';
import { vectors } from '../../fixtures.ts';

describe('CPU models', () => {
  const { models } = vectors<{ models: { name: string; family: number; model: number; stepping: number }[] }>(
    'qemu-11.1.3-cpu-models.json',
  );

  it('are those of QEMU 11, all of them', () => {
    expect(models.length).toBe(186);
    for (const { name, ...identity } of models) expect(cpuModel(name), name).toEqual(identity);
    expect([...cpuModelNames()].sort()).toEqual(models.map((model) => model.name).sort());
  });

  // Signatures as AMD's family-model-stepping encoding gives them; 800f12 and a00f11 stand in sev-snp-measure and libvirt too.
  it.each([
    ['EPYC-v4', 0x800f12],
    ['EPYC-Rome', 0x830f10],
    ['EPYC-Milan', 0xa00f11],
    ['EPYC-Genoa', 0xa10f10],
    ['EPYC-Turin', 0xb00f00],
    ['Dhyana', 0x900f01],
    ['qemu64', 0x060fb1],
    ['Opteron_G3', 0x100f23],
  ])('%s has its signature', (name, signature) => {
    expect(cpuSignature(cpuModel(name)), cpuSignature(cpuModel(name)).toString(16)).toBe(signature);
  });

  it('encodes the extremes', () => {
    expect(cpuSignature({ family: 270, model: 255, stepping: 15 })).toBe(0x0fff0fff);
    expect(cpuSignature({ family: 0, model: 0, stepping: 0 })).toBe(0);
    expect(cpuSignature({ family: 15, model: 16, stepping: 0 })).toBe(0x10f00);
    expect(cpuSignature({ family: 16, model: 0, stepping: 0 })).toBe(0x100f00);
  });

  it.each([
    [{ family: 271, model: 0, stepping: 0 }, 'CPU family 271 is not in 0-270'],
    [{ family: 0, model: 256, stepping: 0 }, 'CPU model 256 is not in 0-255'],
    [{ family: 0, model: 0, stepping: 16 }, 'CPU stepping 16 is not in 0-15'],
    [{ family: -1, model: 0, stepping: 0 }, 'CPU family -1 is not in 0-270'],
    [{ family: 1.5, model: 0, stepping: 0 }, 'CPU family 1.5 is not in 0-270'],
  ])('refuses %j', (identity, message) => {
    expect(failure(() => cpuSignature(identity))).toMatchObject({ kind: 'usage', message });
  });

  it('explains names that it does not have', () => {
    expect(failure(() => cpuModel('host'))).toMatchObject({
      kind: 'usage',
      hint: expect.stringContaining('--cpu-family'),
    });
    expect(failure(() => cpuModel('base'))).toMatchObject({
      kind: 'usage',
      message: expect.stringContaining('no identity of its own'),
      hint: expect.stringContaining('--cpu-signature 0'),
    });
    expect(failure(() => cpuModel('max')).message).toBe('CPU model max is whatever the host has');
    expect(failure(() => cpuModel('epyc-v4')).hint).toBe('did you mean EPYC-v4?');
    expect(failure(() => cpuModel('Zen'))).toMatchObject({
      message: 'unknown CPU model "Zen"',
      hint: expect.stringContaining('--cpu-signature'),
    });
    expect(failure(() => cpuModel(''))).toMatchObject({ kind: 'usage' });
  });

  it('tells which models have a signature', () => {
    expect(modelsOfSignature(0xa10f10)).toEqual(['EPYC-Genoa', 'EPYC-Genoa-v1', 'EPYC-Genoa-v2', 'EPYC-Genoa-v3']);
    expect(modelsOfSignature(0xa10f11)).toEqual([]);
    const named = cpuModelNames().filter((name) => modelsOfSignature(cpuSignature(cpuModel(name))).includes(name));
    expect(named).toEqual(cpuModelNames());
  });

  it('has every signature once, those of encrypted guests first', () => {
    const all = knownSignatures();
    expect(all.slice(0, 6)).toEqual([0x800f12, 0x830f10, 0x900f01, 0xa00f11, 0xa10f10, 0xb00f00]);
    const wanted = new Set(cpuModelNames().map((name) => cpuSignature(cpuModel(name))));
    expect(new Set(all)).toEqual(wanted);
    expect(all).toHaveLength(wanted.size);
  });
});
