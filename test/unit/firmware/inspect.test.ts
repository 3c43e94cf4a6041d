import { describe, expect, it } from 'vitest';
import { parseFirmware } from '../../../src/core/firmware/firmware.ts';
import { inspectFirmware } from '../../../src/core/firmware/inspect.ts';
import { servesPlatform, type Verdicts } from '../../../src/core/firmware/serves.ts';
import { failure } from '../../failure.ts';
import {
  AMDSEV,
  file,
  firmwareImage,
  join,
  lastPage,
  section,
  type Tables,
  TDVF,
  VARIABLES,
  volume,
} from '../../firmware-image.ts';
import { fixture } from '../../fixtures.ts';

const answers = (verdicts: Verdicts) =>
  Object.fromEntries(Object.entries(verdicts).map(([name, { answer }]) => [name, answer]));
const verdicts = (tables: Tables, inside = {}) => inspectFirmware(firmwareImage(tables, inside)).verdicts;
const without = <K extends keyof Tables>(key: K) => {
  const { [key]: _, ...rest } = AMDSEV;
  return rest;
};
const AMDSEV_BUILD = 'build OvmfPkg/AmdSev/AmdSevX64.dsc';
const WHOLE = 'give the full image, variable store and code in one file';

describe('an image', () => {
  it('with everything serves everything but TDX', () => {
    const inspection = inspectFirmware(firmwareImage());
    expect(answers(inspection.verdicts)).toEqual({
      sev: 'yes',
      sevEs: 'yes',
      snp: 'yes',
      kernelHashes: 'yes',
      launchSecret: 'yes',
      tdx: 'no',
    });
    expect(inspection.verdicts.sev).toEqual({ answer: 'yes' });
    expect(inspection.verdicts.tdx.reason).toBe('its footer has no TDX metadata');
    expect(inspection.lint?.class).toBe('enforcing');
    expect(inspection.lintProblem).toBeUndefined();
  });

  it('without a footer may be anything', () => {
    const image = join(volume([file(section(0x10, new Uint8Array(4)), { type: 5 })]), new Uint8Array(4096));
    const { verdicts: found } = inspectFirmware(image);
    expect(answers(found)).toMatchObject({ sev: 'unknown', sevEs: 'no', snp: 'no' });
    expect(found.sev.reason).toBe('it has no footer table, so it is OVMF of before 2021 or another firmware');
    expect(found.sev.advice).toBe('use an OVMF of 2022 or later');
    expect(found.sevEs.advice).toBe('use an OVMF of 2022 or later, and the whole image');
  });

  it('without a reset block serves SEV only', () => {
    const found = verdicts(without('reset'));
    expect(answers(found)).toMatchObject({ sev: 'yes', sevEs: 'no', snp: 'no' });
    expect(found.snp.reason).toBe('its footer does not say where further vCPUs start (no SEV-ES reset block)');
    expect(found.sevEs.advice).toBe(AMDSEV_BUILD);
    expect(answers(verdicts({ ...AMDSEV, reset: 0 }))).toMatchObject({ sev: 'yes', sevEs: 'no', snp: 'no' });
  });

  it('with broken SEV metadata is refused for SNP as measure refuses it', () => {
    const found = verdicts({ ...AMDSEV, sev: [[0x800000, 0x800, 1]] });
    expect(answers(found)).toMatchObject({ sevEs: 'yes', snp: 'no', kernelHashes: 'yes' });
    expect(found.snp.reason).toContain('is not made of whole pages');
    expect(found.snp.advice).toBe(`take the image again from where it was made, or ${AMDSEV_BUILD}`);
    const none = verdicts(without('sev'));
    expect(none.snp.reason).toContain('has no SEV metadata');
    expect(none.snp.advice).toContain('use an OVMF of 2022.05 or later');
    const unknown = verdicts({ ...AMDSEV, sev: [[0x800000, 0x1000, 7]] });
    expect(unknown.snp.reason).toContain('unknown type: 0x7');
    // An odd size besides is not the worst of it.
    const { verdicts: odd } = inspectFirmware(join(volume([]), lastPage({ ...AMDSEV, sev: [[0x800000, 0x800, 1]] })));
    expect(odd.snp.answer).toBe('no');
  });

  it('without a KERNEL_HASHES section has kernel hashes for SEV and SEV-ES only', () => {
    const found = verdicts({ ...AMDSEV, sev: [[0x800000, 0x1000, 1]] });
    expect(answers(found)).toMatchObject({ snp: 'yes', kernelHashes: 'partly' });
    expect(found.kernelHashes.reason).toMatch(/^SEV and SEV-ES only: .*has no KERNEL_HASHES section/);
  });

  it('with too small a hash area has no kernel hashes', () => {
    const found = verdicts({ ...AMDSEV, hashArea: [0x810c00, 175] }).kernelHashes;
    expect(found).toMatchObject({ answer: 'no', advice: AMDSEV_BUILD });
    expect(found.reason).toContain('has 175 bytes, the table needs 176');
  });

  it('with areas that no host can fill serves neither', () => {
    const found = verdicts({ ...AMDSEV, hashArea: [0x810c01, 0x400], secretArea: [0x810008, 0x100] });
    expect(found.kernelHashes).toMatchObject({ answer: 'no', advice: AMDSEV_BUILD });
    expect(found.kernelHashes.reason).toContain('hash area at 0x810c01 with 1024 bytes does not begin at a multiple');
    expect(found.launchSecret).toMatchObject({ answer: 'no', advice: expect.stringContaining('another build') });
    const over = verdicts({ ...AMDSEV, secretArea: [0x810000, 0x1000] }).launchSecret;
    expect(over.reason).toContain('lies over its hash area');
  });

  it('with a section over the image itself cannot start with SNP', () => {
    const found = verdicts({ ...AMDSEV, sev: [...(AMDSEV.sev ?? []), [0xfffff000, 0x1000, 1]] });
    expect(found.snp).toMatchObject({ answer: 'no', advice: expect.stringContaining('adds a page twice') });
  });

  it('without areas has neither kernel hashes nor launch secret', () => {
    expect(verdicts(without('hashArea')).kernelHashes.reason).toContain('has no area for kernel hashes');
    expect(verdicts(without('secretArea')).launchSecret).toEqual({
      answer: 'no',
      reason: 'its footer names no area for one',
      advice: AMDSEV_BUILD,
    });
  });

  it('with empty SEV sections is for TDX only', () => {
    const found = verdicts({ ...AMDSEV, sev: [...(AMDSEV.sev ?? []), [0, 0, 4]] });
    const refused = {
      answer: 'no',
      reason: 'its SEV metadata has empty sections, as builds for TDX only have',
      advice: AMDSEV_BUILD,
    };
    expect([found.sev, found.sevEs, found.snp]).toEqual([refused, refused, refused]);
  });

  it('with areas that nothing in it honours has no use for them', () => {
    const found = verdicts(AMDSEV, { code: new Uint8Array(4), secretPei: false });
    expect(found.kernelHashes).toEqual({
      answer: 'no',
      reason: 'it has room for them, but nothing in it checks them: any kernel is started',
      advice: AMDSEV_BUILD,
    });
    expect(found.launchSecret).toEqual({
      answer: 'no',
      reason: 'it has room for one, but nothing in it guards the area or tells the guest of it',
      advice: AMDSEV_BUILD,
    });
  });

  it('with unverified blobs has kernel hashes in part, whatever else is wrong', () => {
    const more = [file(Uint8Array.from(Buffer.from('etc/boot/')), { type: 0x01 })];
    for (const secretPei of [true, false]) {
      expect(verdicts(AMDSEV, { more, secretPei }).kernelHashes).toEqual({
        answer: 'partly',
        reason: 'some blobs go unverified',
        advice:
          'do not release secrets to this build; use one of OvmfPkg/AmdSev/AmdSevX64.dsc that verifies every blob',
      });
    }
  });

  it('of an odd size is not for SNP with QEMU', () => {
    const { verdicts: found } = inspectFirmware(join(volume([]), lastPage(AMDSEV)));
    expect(found.snp).toEqual({
      answer: 'partly',
      reason: 'not with QEMU, which takes it for SNP with -bios only, and there only multiples of 64 KiB',
      advice: WHOLE,
    });
  });

  it('whose content cannot be read may or may not honour its areas', () => {
    const inspection = inspectFirmware(lastPage(AMDSEV));
    expect(inspection.verdicts.kernelHashes).toEqual({
      answer: 'unknown',
      reason: 'it has room for them, but whether it checks the hashes cannot be seen in this file',
      advice: WHOLE,
    });
    expect(inspection.verdicts.launchSecret).toEqual({
      answer: 'unknown',
      reason: 'it has room for one, but whether it guards the area cannot be seen in this file',
      advice: WHOLE,
    });
    expect(inspection.lint).toBeUndefined();
    expect(inspection.lintProblem).toBe('firmware: there is no firmware volume in it');
  });

  it('that is an SVSM is no firmware', () => {
    const { contents, verdicts: found } = inspectFirmware(fixture('sev-snp-measure/svsm.bin'));
    expect(contents).toBe('svsm');
    const refused = {
      answer: 'no',
      reason: 'it is an SVSM, which runs below a firmware',
      advice: 'give OVMF here and this file to measure snp --svsm',
    };
    expect([found.sev, found.sevEs, found.snp]).toEqual([refused, refused, refused]);
  });

  it('is named after what is in it', () => {
    const of = (image: Uint8Array) => inspectFirmware(image).contents;
    const variables = volume([], { fileSystem: VARIABLES });
    expect(of(variables)).toBe('variables-only');
    expect(of(volume([]))).toBe('code-only');
    expect(of(join(volume([]), variables))).toBe('full');
    expect(of(lastPage(AMDSEV))).toBe('no-volumes');
  });

  it('with a broken volume is refused', () => {
    const image = firmwareImage();
    image[8192 + 50] = (image[8192 + 50] ?? 0) ^ 1;
    expect(failure(() => inspectFirmware(image)).message).toContain(
      'volume at 8192 has a header with a wrong checksum',
    );
  });
});

describe('TDX', () => {
  const tdx = (sections: Tables['tdx'] & object) => verdicts({ ...AMDSEV, tdx: sections }).tdx;
  const code = TDVF.bfv;

  it('needs all parts in the file', () => {
    expect(tdx(Object.values(TDVF))).toEqual({ answer: 'yes' });
    expect(tdx([{ ...code, size: 0xe001 }])).toEqual({
      answer: 'no',
      reason: 'its TDX metadata refers to parts that are not in this file',
      advice: WHOLE,
    });
  });

  it('needs code among them', () => {
    for (const sections of [[], [{ ...code, size: 0 }], [{ ...code, type: 1 }]]) {
      expect(tdx(sections)).toEqual({
        answer: 'no',
        reason: 'its TDX metadata names no firmware code',
        advice: 'build OvmfPkg/IntelTdx/IntelTdxX64.dsc',
      });
    }
    expect(verdicts(AMDSEV).tdx).toEqual({
      answer: 'no',
      reason: 'its footer has no TDX metadata',
      advice: 'build OvmfPkg/IntelTdx/IntelTdxX64.dsc',
    });
  });

  it('needs what measure tdx needs', () => {
    expect(tdx([TDVF.bfv, TDVF.cfv])).toEqual({
      answer: 'no',
      reason: 'the TDX metadata names 0 places for the TD HOB, hosts fill one',
      advice: expect.stringContaining('IntelTdxX64.dsc'),
    });
  });
});

describe('servesPlatform', () => {
  const serves = (tables: Tables, platform: 'sev' | 'sev-es' | 'snp') => {
    const image = firmwareImage(tables);
    return servesPlatform(image, parseFirmware(image), platform).answer;
  };

  it('asks for kernel hashes too', () => {
    expect((['sev', 'sev-es', 'snp'] as const).map((platform) => serves(AMDSEV, platform))).toEqual([
      'yes',
      'yes',
      'yes',
    ]);
    const noSection: Tables = { ...AMDSEV, sev: [[0x800000, 0x1000, 1]] };
    expect(serves(noSection, 'snp')).toBe('no');
    expect(serves(noSection, 'sev-es')).toBe('yes');
    expect(serves(without('reset'), 'sev-es')).toBe('no');
    expect(serves(without('reset'), 'sev')).toBe('yes');
  });
});
