/** @module Whole images of distributions: slow to take apart, so they are not among what every mutant is tried against. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { walkFirmware } from '../../src/core/firmware/contents.ts';
import { type Inspection, inspectFirmware } from '../../src/core/firmware/inspect.ts';
import { lintFirmware } from '../../src/core/firmware/lint.ts';
import type { Verdicts } from '../../src/core/firmware/serves.ts';
import { failure, typedOrValue } from '../failure.ts';
import { fixture } from '../fixtures.ts';

const known = new Map<string, Inspection>();
/** Real images take a while. */
function inspected(name: string): Inspection {
  const found = known.get(name) ?? inspectFirmware(fixture(name));
  known.set(name, found);
  return found;
}

const classOf = (image: Uint8Array) => lintFirmware(image).class;
const answers = (verdicts: Verdicts) =>
  Object.fromEntries(Object.entries(verdicts).map(([name, { answer }]) => [name, answer]));
const AMDSEV_BUILD = 'build OvmfPkg/AmdSev/AmdSevX64.dsc';
const WHOLE = 'give the full image, variable store and code in one file';

describe('lint', () => {
  it.each([
    ['debian-ovmf/OVMF.amdsev_2026.08.fd', 'enforcing-some-unverified'],
    ['debian-ovmf/OVMF_2026.08.fd', 'advertises-only'],
    ['debian-ovmf/OVMF_2025.02-8+deb13u1.fd', 'none'],
    ['debian-ovmf/OVMF_CODE_4M_2022.11-6+deb12u2.fd', 'none'],
    ['debian-ovmf/OVMF_2022.11-6+deb12u2.fd', 'none'],
    ['debian-ovmf/OVMF.inteltdx.ms_2026.08.fd', 'none'],
  ])('%s is "%s"', (name, expected) => expect(classOf(fixture(name))).toBe(expected));

  it.each([
    'sev-snp-measure/ovmf_AmdSev_suffix.bin',
    'sevctl/OVMF.amdsev.fd_trimmed_edk2-ovmf-20220126gitbb1bba3d77-4.el9',
    'sev-snp-measure/svsm.bin',
    'gce-tcb-verifier/fake_sev_tdx.fd',
  ])('%s cannot be judged', (name) => {
    expect(failure(() => lintFirmware(fixture(name)))).toMatchObject({
      kind: 'format',
      message: 'firmware: there is no firmware volume in it',
    });
  });

  it('cannot be judged in parts', () => {
    const image = fixture('debian-ovmf/OVMF.amdsev_2026.08.fd');
    const missing = { kind: 'format', message: 'firmware: its main part is missing: no DXE core is in it' };
    const hint = 'give the full image, not only its variable store or its last part';
    expect(failure(() => lintFirmware(image.subarray(0, 0x84000)))).toEqual({ ...missing, hint });
    expect(failure(() => lintFirmware(image.subarray(0x3cc000)))).toEqual({ ...missing, hint });
    expect(failure(() => lintFirmware(image.subarray(0, 0x100000))).kind).toBe('format');
  });
});

describe('inspect', () => {
  const yes = { sev: 'yes', sevEs: 'yes', snp: 'yes' };
  it.each([
    ['debian-ovmf/OVMF.amdsev_2026.08.fd', 'full', { ...yes, kernelHashes: 'partly', launchSecret: 'yes', tdx: 'yes' }],
    ['debian-ovmf/OVMF_2026.08.fd', 'full', { ...yes, kernelHashes: 'no', launchSecret: 'no', tdx: 'yes' }],
    ['debian-ovmf/OVMF_2025.02-8+deb13u1.fd', 'full', { ...yes, kernelHashes: 'no', launchSecret: 'no', tdx: 'yes' }],
    [
      'debian-ovmf/OVMF_CODE_4M_2025.02-8+deb13u1.fd',
      'code-only',
      { ...yes, snp: 'partly', kernelHashes: 'no', launchSecret: 'no', tdx: 'no' },
    ],
    [
      'debian-ovmf/OVMF_CODE_4M_2022.11-6+deb12u2.fd',
      'code-only',
      { ...yes, snp: 'no', kernelHashes: 'no', launchSecret: 'no', tdx: 'no' },
    ],
    [
      'debian-ovmf/OVMF.inteltdx.ms_2026.08.fd',
      'full',
      { sev: 'no', sevEs: 'no', snp: 'no', kernelHashes: 'no', launchSecret: 'no', tdx: 'yes' },
    ],
    [
      'sev-snp-measure/svsm.bin',
      'svsm',
      { sev: 'no', sevEs: 'no', snp: 'no', kernelHashes: 'no', launchSecret: 'no', tdx: 'no' },
    ],
    [
      'sev-snp-measure/ovmf_AmdSev_suffix.bin',
      'no-volumes',
      { ...yes, snp: 'partly', kernelHashes: 'unknown', launchSecret: 'unknown', tdx: 'no' },
    ],
  ])('%s is %s', (name, contents, expected) => {
    const inspection = inspected(name);
    expect(inspection.contents).toBe(contents);
    expect(answers(inspection.verdicts)).toEqual(expected);
  });

  it('say why not', () => {
    const amdsev = inspected('debian-ovmf/OVMF.amdsev_2026.08.fd');
    expect(amdsev.verdicts.kernelHashes.reason).toBe('some blobs go unverified');
    expect(amdsev.verdicts.kernelHashes.advice).toBe(amdsev.lint?.advice);
    expect(amdsev.volumes.map(({ at }) => at)).toEqual([0, 0x84000, 0x3cc000]);
    const generic = inspected('debian-ovmf/OVMF_2026.08.fd').verdicts;
    expect(generic.kernelHashes).toEqual({
      answer: 'no',
      reason: 'it has room for them, but nothing in it checks them: any kernel is started',
      advice: AMDSEV_BUILD,
    });
    expect(generic.launchSecret).toEqual({
      answer: 'no',
      reason: 'it has room for one, but nothing in it guards the area or tells the guest of it',
      advice: AMDSEV_BUILD,
    });
    const tdx = inspected('debian-ovmf/OVMF.inteltdx.ms_2026.08.fd').verdicts;
    expect(tdx.snp).toEqual({
      answer: 'no',
      reason: 'its SEV metadata has empty sections, as builds for TDX only have',
      advice: AMDSEV_BUILD,
    });
    const code = inspected('debian-ovmf/OVMF_CODE_4M_2025.02-8+deb13u1.fd').verdicts;
    expect(code.tdx).toEqual({
      answer: 'no',
      reason: 'its TDX metadata refers to parts that are not in this file',
      advice: WHOLE,
    });
    expect(code.snp).toEqual({
      answer: 'partly',
      reason: 'not with QEMU, which takes it for SNP with -bios only, and there only multiples of 64 KiB',
      advice: WHOLE,
    });
    const old = inspected('debian-ovmf/OVMF_CODE_4M_2022.11-6+deb12u2.fd').verdicts;
    expect(old.snp.reason).toContain('has no SEV metadata');
    const svsm = inspected('sev-snp-measure/svsm.bin').verdicts;
    expect(svsm.sev).toEqual({
      answer: 'no',
      reason: 'it is an SVSM, which runs below a firmware',
      advice: 'give OVMF here and this file to measure snp --svsm',
    });
    const end = inspected('sev-snp-measure/ovmf_AmdSev_suffix.bin');
    expect(end.verdicts.kernelHashes).toEqual({
      answer: 'unknown',
      reason: 'it has room for them, but whether it checks the hashes cannot be seen in this file',
      advice: WHOLE,
    });
    expect(end.verdicts.launchSecret.reason).toContain('whether it guards the area cannot be seen');
    expect(end.lint).toBeUndefined();
    expect(end.lintProblem).toBe('firmware: there is no firmware volume in it');
  });
});

describe('a walk', () => {
  it('reads real images whole', () => {
    const told: string[] = [];
    walkFirmware(fixture('debian-ovmf/OVMF.amdsev_2026.08.fd'), {
      volume: () => void told.push('volume'),
      file: () => void told.push('file'),
      leaf: () => void told.push('leaf'),
      plain: (bytes) => void told.push(`plain ${bytes.length}`),
    });
    const count = (what: string) => told.filter((line) => line.startsWith(what)).length;
    // Counts of an independent walk with Python's lzma.
    expect(told.filter((line) => line.startsWith('plain'))).toEqual(['plain 4194304', 'plain 16056464']);
    expect([count('volume'), count('file'), count('leaf')]).toEqual([5, 106, 392]);
  });
});

describe('a damaged image', () => {
  it('is read or refused with a typed error', () => {
    const image = fixture('debian-ovmf/OVMF.amdsev_2026.08.fd');
    const place = fc.integer({ min: 0x84000, max: 0x84000 + 0xa5000 });
    fc.assert(
      fc.property(place, fc.uint8Array({ minLength: 1, maxLength: 4 }), (at, bytes) => {
        const damaged = image.slice();
        damaged.set(bytes, at);
        typedOrValue(() => inspectFirmware(damaged));
      }),
      { numRuns: 10 },
    );
  });
});
