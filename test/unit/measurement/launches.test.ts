import { describe, expect, it } from 'vitest';
import { parseFirmware, type SevSection } from '../../../src/core/firmware/firmware.ts';
import { bytesToHex } from '../../../src/core/hex.ts';
import { cpuModel, cpuSignature } from '../../../src/core/measurement/cpu-models.ts';
import { kernelHashTable } from '../../../src/core/measurement/hash-table.ts';
import { type MeasureRequest, MOST_PLAN_STEPS, measure } from '../../../src/core/measurement/measure.ts';
import { findProfile } from '../../../src/core/measurement/profiles.ts';
import { SnpDigest, snpFirmwareDigest } from '../../../src/core/measurement/snp.ts';
import { addSections, type SectionInputs } from '../../../src/core/measurement/snp-sections.ts';
import { placeSvsm, startSvsmLaunch, svsmVcpuPages } from '../../../src/core/measurement/svsm.ts';
import { Vmsa } from '../../../src/core/measurement/vmsa.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { footerEntry, join, u32, withFooter } from '../../firmware-image.ts';
import { fixture, vectors } from '../../fixtures.ts';
import { kernelHashes, requestOf, type VectorInputs } from '../../measurement-vectors.ts';

const amdsev = 'sev-snp-measure/ovmf_AmdSev_suffix.bin';
const none = new Uint8Array();
const request = (inputs: Partial<VectorInputs> = {}, mode = 'snp'): MeasureRequest =>
  requestOf(mode, { ovmf: amdsev, vcpus: 1, vcpu_type: 'EPYC-v4', ...inputs });
const hex = (of: MeasureRequest) => measure(of, nodeHashes).map((result) => bytesToHex(result.digest));

describe('measure', () => {
  it('gives a matrix in the order CPU, then vCPUs, equal to single runs', () => {
    const cpus = ['EPYC', 'EPYC-Milan'].map((name) => ({ name, signature: cpuSignature(cpuModel(name)) }));
    for (const mode of ['snp', 'seves']) {
      const matrix = measure({ ...request({}, mode), cpus, vcpus: [3, 1, 2] }, nodeHashes);
      expect(matrix.map((one) => [one.cpu?.name, one.vcpus])).toEqual([
        ['EPYC', 3],
        ['EPYC', 1],
        ['EPYC', 2],
        ['EPYC-Milan', 3],
        ['EPYC-Milan', 1],
        ['EPYC-Milan', 2],
      ]);
      for (const one of matrix) {
        const single = measure(
          { ...request({}, mode), cpus: [one.cpu ?? cpus[0]].flatMap((cpu) => cpu ?? []), vcpus: [one.vcpus ?? 0] },
          nodeHashes,
        );
        expect(single[0]?.digest).toEqual(one.digest);
        expect(one.plan).toBeUndefined();
      }
      expect(new Set(matrix.map((one) => bytesToHex(one.digest))).size).toBe(6);
    }
  });

  it('says what each digest is of', () => {
    const [snp] = measure(request(), nodeHashes);
    expect(snp).toMatchObject({
      platform: 'snp',
      vcpus: 1,
      features: 1n,
      cpu: { name: 'EPYC-v4', signature: 0x800f12 },
    });
    expect(snp?.profile?.name).toBe('qemu');
    const [ec2] = measure(request({ vmm: 'ec2' }), nodeHashes);
    expect(ec2?.cpu).toBeUndefined();
    const [sev] = measure(request({}, 'sev'), nodeHashes);
    expect(sev).toMatchObject({ platform: 'sev' });
    expect([sev?.profile, sev?.vcpus, sev?.cpu, sev?.features]).toEqual([undefined, undefined, undefined, undefined]);
    expect(sev?.digest).toEqual(nodeHashes.sha256(fixture(amdsev)));
  });

  it('keeps a plan whose last digest is the result and whose lengths add up', () => {
    const [one, two] = measure(
      { ...request({ kernel: 'synthetic/kernel.bin' }), vcpus: [1, 2], plan: true },
      nodeHashes,
    );
    expect(one?.plan?.map((step) => [step.name, step.type, step.gpa?.toString(16), step.length])).toEqual([
      ['firmware', 'normal', 'fffff000', 0x1000],
      ['SNP_SEC_MEM', 'zero', '800000', 0x9000],
      ['SNP_SEC_MEM', 'zero', '80a000', 0x3000],
      ['SNP_SECRETS', 'secrets', '80d000', 0x1000],
      ['CPUID', 'cpuid', '80e000', 0x1000],
      ['SVSM_CAA', 'zero', '80f000', 0x1000],
      ['KERNEL_HASHES', 'normal', '810000', 0x1000],
      ['SNP_SEC_MEM', 'zero', '811000', 0xf000],
      ['vcpu 0', 'vmsa', 'fffffffff000', 0x1000],
    ]);
    expect(one?.plan?.at(-1)?.digest).toEqual(one?.digest);
    expect(two?.plan?.length).toBe(10);
    expect(two?.plan?.at(-1)).toMatchObject({ name: 'vcpu 1', digest: two?.digest });
    const es = measure(
      { ...request({ kernel: 'synthetic/kernel.bin' }, 'seves'), vcpus: [2], plan: true },
      nodeHashes,
    )[0];
    expect(es?.plan?.map((step) => [step.name, step.type, step.gpa?.toString(16), step.length])).toEqual([
      ['firmware', 'data', 'fffff000', 0x1000],
      ['kernel hashes', 'data', '810c00', 176],
      ['vcpu 0', 'vmsa', undefined, 4096],
      ['vcpu 1', 'vmsa', undefined, 4096],
    ]);
    expect(es?.plan?.at(-1)?.digest).toEqual(es?.digest);
    const sev = measure({ ...request({ kernel: 'synthetic/kernel.bin' }, 'sev'), plan: true }, nodeHashes)[0];
    expect(sev?.plan?.length).toBe(2);
    expect(sev?.plan?.[0]?.digest).toEqual(nodeHashes.sha256(fixture(amdsev)));
    expect(sev?.plan?.[1]?.digest).toEqual(sev?.digest);
  });

  it('measures the CPUID page last under EC2', () => {
    const plan = measure({ ...request({ vmm: 'ec2' }), plan: true }, nodeHashes)[0]?.plan;
    expect(plan?.map((step) => step.type)).toEqual([
      'normal',
      'zero',
      'zero',
      'secrets',
      'zero',
      'zero',
      'zero',
      'cpuid',
      'vmsa',
    ]);
  });

  it('does without the image where a descriptor has its SNP digest', () => {
    const whole = request();
    const firmware = {
      ...whole.firmware,
      image: undefined,
      snpDigest: snpFirmwareDigest(fixture(amdsev), 0xfffff000, nodeHashes),
    };
    expect(hex({ ...whole, firmware })).toEqual(hex(whole));
    expect(failure(() => measure({ ...request({}, 'sev'), firmware }, nodeHashes))).toMatchObject({
      kind: 'usage',
      message: 'sev needs the firmware image itself, not its descriptor',
      hint: expect.stringContaining('whole image'),
    });
    expect(failure(() => measure({ ...request({}, 'seves'), firmware }, nodeHashes)).message).toContain('sev-es needs');
  });

  it('refuses plans that nobody could read, and only those', () => {
    const cpu = { signature: 0xa00f11 };
    const most: MeasureRequest = {
      ...request({}, 'seves'),
      cpus: [cpu, cpu],
      vcpus: Array.from({ length: MOST_PLAN_STEPS / 2 / 4096 }, () => 4096),
      plan: true,
    };
    expect(measure(most, nodeHashes)).toHaveLength(16);
    const more = { ...most, vcpus: [...most.vcpus, 1] };
    expect(failure(() => measure(more, nodeHashes))).toEqual({
      kind: 'usage',
      message: 'the plans of 18 guests have 65538 steps, more than 65536',
      hint: 'ask for the plan of the largest guest alone: it has the digest of every smaller one after its last vCPU',
    });
    expect(measure({ ...more, plan: false }, nodeHashes)).toHaveLength(18);
  });

  it('refuses guests that no host can start', () => {
    expect(failure(() => measure({ ...request({}, 'seves'), profile: findProfile('ec2') }, nodeHashes))).toMatchObject({
      kind: 'usage',
      message: 'profile ec2 does not describe sev-es guests',
      hint: 'take a profile that does: qemu, qemu-legacy, krun',
    });
    for (const empty of [{ vcpus: [] }, { cpus: [] }]) {
      expect(failure(() => measure({ ...request(), ...empty }, nodeHashes)).kind).toBe('usage');
    }
    const image = fixture(amdsev);
    const noReset = { image, snpDigest: undefined, firmware: { ...parseFirmware(image), resetAddress: undefined } };
    expect(failure(() => measure({ ...request({ vcpus: 2 }), firmware: noReset }, nodeHashes)).message).toContain(
      'reset block',
    );
    expect(
      failure(() => measure({ ...request({ vcpus: 2 }, 'seves'), firmware: noReset }, nodeHashes)).message,
    ).toContain('reset block');
    expect(hex({ ...request({ vcpus: 1 }), firmware: noReset })).toEqual(hex(request()));
  });
});

/** An image of 64 KiB below the last MiB of 4 GiB. */
const IMAGE = { gpa: 0xffef0000, size: 0x10000 };

describe('metadata sections', () => {
  const table = kernelHashTable(kernelHashes(none, none, ''));
  const add = (sections: readonly SevSection[] | undefined, over: Partial<SectionInputs> = {}) => {
    const digest = new SnpDigest(nodeHashes);
    addSections(digest, {
      firmware: { ...IMAGE, sevSections: sections, hashArea: { base: 0x810c00, size: 0x400 } },
      profile: findProfile('qemu'),
      hashTable: undefined,
      unknownSections: 'refuse',
      ...over,
    });
    return bytesToHex(digest.value());
  };
  const section = (type: number, gpa = 0x800000, size = 0x1000): SevSection => ({ type, gpa, size });

  it.each([
    [undefined, 'no SEV metadata'],
    [[], 'no SEV metadata'],
    [[section(1, 0x800000, 0)], 'section SNP_SEC_MEM at 0x800000 has no size'],
    [[section(1, 0x800001)], 'is not made of whole pages'],
    [[section(1, 0x800000, 0x1001)], 'with 0x1001 bytes is not made of whole pages'],
    [[section(1, 0xfffff000, 0x2000)], 'reaches beyond 4 GiB'],
    [[section(2, 0x800000, 0x2000)], 'section SNP_SECRETS at 0x800000 must be one page'],
    [[section(3, 0x800000, 0x2000)], 'section CPUID at 0x800000 must be one page'],
    [[section(1, 0x802000), section(1, 0x800000, 0x3000)], 'two sections of the SEV metadata overlap at 0x802000'],
    [[section(1), section(3)], 'overlap'],
    [[section(1, 0, 0x40001000)], 'asks for 262145 pages'],
    [[section(7), section(0x11, 0x801000), section(1, 0x802000)], 'unknown type: 0x7 at 0x800000, 0x11 at 0x801000'],
  ])('refuses %j', (sections, message) => {
    expect(failure(() => add(sections))).toMatchObject({ kind: 'format', message: expect.stringContaining(message) });
  });

  it('accepts sections that touch each other and the image', () => {
    expect(add([section(1, 0x801000), section(1, 0x800000)])).toHaveLength(96);
    const beside = [section(1, IMAGE.gpa - 0x1000), section(1, IMAGE.gpa + IMAGE.size)];
    expect(add(beside, { profile: findProfile('gce-milan') })).toHaveLength(96);
  });

  it.each([
    [0xa0000, 0x1000],
    [0x9f000, 0x2000],
    [0xbf000, 0x2000],
    [0xdffff000, 0x2000],
    [0xe0000000, 0x1000],
    [0xfffff000, 0x1000],
  ])('refuses a section where QEMU has no memory, and only QEMU’s: %i with %i bytes', (gpa, size) => {
    for (const name of ['qemu', 'qemu-legacy']) {
      expect(failure(() => add([section(1, gpa, size)], { profile: findProfile(name) }))).toMatchObject({
        kind: 'format',
        message: `SEV metadata section SNP_SEC_MEM at 0x${gpa.toString(16)} lies where the machines of QEMU have no memory`,
        hint: expect.stringContaining('QEMU ends'),
      });
    }
    for (const name of ['ec2', 'gce-genoa', 'krun']) {
      expect(add([section(1, gpa, size)], { profile: findProfile(name) })).toHaveLength(96);
    }
  });

  it('accepts sections that touch memory’s ends', () => {
    for (const [gpa, size] of [
      [0x9f000, 0x1000],
      [0xc0000, 0x1000],
      [0xdffff000, 0x1000],
    ] as const) {
      expect(add([section(1, gpa, size)])).toHaveLength(96);
    }
  });

  it.each([
    [IMAGE.gpa - 0x1000, 0x2000],
    [IMAGE.gpa, 0x1000],
    [IMAGE.gpa + IMAGE.size - 0x1000, 0x2000],
    [IMAGE.gpa - 0x1000, IMAGE.size + 0x2000],
  ])('refuses a section over the image: 0x%i with %i bytes', (gpa, size) => {
    expect(failure(() => add([section(1, gpa, size)]))).toMatchObject({
      kind: 'format',
      message: `SEV metadata section SNP_SEC_MEM at 0x${gpa.toString(16)} lies over the firmware image itself`,
      hint: expect.stringContaining('adds a page twice'),
    });
  });

  it('knows nothing of an image where a descriptor does not say how large it is', () => {
    expect(
      add([section(1, 0xfffff000)], {
        profile: findProfile('ec2'),
        firmware: { gpa: 0, size: 0, sevSections: [section(1, 0xfffff000)], hashArea: undefined },
      }),
    ).toHaveLength(96);
  });

  it('measures unknown types as zero only when asked to', () => {
    expect(add([section(7)], { unknownSections: 'zero' })).toBe(add([section(1)]));
    expect(failure(() => add([section(7, 0x800000, 0)], { unknownSections: 'zero' })).message).toContain('type 0x7 at');
    expect(failure(() => add([section(7)])).hint).toContain('--unknown-sections zero');
  });

  it('tells page types apart', () => {
    const all = [1, 2, 3, 4, 0x10].map((type) => add([section(type)]));
    expect(new Set(all).size).toBe(3);
    expect(all[0]).toBe(all[3]);
    expect(all[0]).toBe(all[4]);
    expect(add([section(1)], { profile: findProfile('gce-milan') })).not.toBe(all[0]);
    expect(add([section(4)], { profile: findProfile('gce-milan') })).toBe(all[0]);
  });

  it('needs the hash area inside the one page of the section', () => {
    const at = (base: number, size = 0x400, hashes: SevSection = section(0x10, 0x810000)) =>
      add([hashes], { hashTable: table, firmware: { ...IMAGE, sevSections: [hashes], hashArea: { base, size } } });
    expect(at(0x810000)).not.toBe(at(0x810c00));
    expect(at(0x811000 - 176, 176)).toHaveLength(96);
    for (const wrong of [
      () => at(0x80ff00),
      () => at(0x811000 - 160),
      () => at(0x810c00, 0x400, section(0x10, 0x810000, 0x2000)),
    ]) {
      expect(failure(wrong)).toMatchObject({
        kind: 'format',
        message: expect.stringContaining('is not one page that holds the hash area'),
      });
    }
    const hashes = [section(0x10, 0x810000)];
    expect(
      failure(() => add(hashes, { hashTable: table, firmware: { ...IMAGE, sevSections: hashes, hashArea: undefined } }))
        .message,
    ).toContain('no area');
    expect(failure(() => add([section(1)], { hashTable: table }))).toMatchObject({
      message: expect.stringContaining('no KERNEL_HASHES section'),
      hint: expect.stringContaining('AmdSevX64.dsc'),
    });
  });
});

describe('SVSM', () => {
  const image = fixture('sev-snp-measure/svsm.bin');
  const ovmf = parseFirmware(fixture('sev-snp-measure/svsm_ovmf.fd'));
  const vars = 540672;

  it('lies below the variables, which lie below the firmware', () => {
    const svsm = placeSvsm(image, ovmf, vars);
    expect(svsm.gpa).toBe(2 ** 32 - 3653632 - vars - image.length);
    expect(svsm.entry).toBe(svsm.gpa + (svsm.firmware.svsmEntry ?? Number.NaN));
  });

  it('starts vCPUs as the known page (vector svsm-epycv4-eip-from-fixture)', () => {
    const { groups: all } = vectors<{ groups: { vmsa: { id: string; expected: { sha384: string } }[] } }>(
      'measurement.json',
    );
    const svsm = placeSvsm(image, ovmf, vars);
    const pages = svsmVcpuPages(findProfile('qemu'), svsm, cpuSignature(cpuModel('EPYC-v4')), 1n);
    expect(bytesToHex(nodeHashes.sha384(pages.bsp))).toBe(
      all.vmsa.find((entry) => entry.id === 'svsm-epycv4-eip-from-fixture')?.expected.sha384,
    );
    expect(pages.ap()).toBe(pages.bsp);
    const legacy = Vmsa.unpack(svsmVcpuPages(findProfile('qemu-legacy'), svsm, 1, 1n).bsp);
    expect([legacy.mxcsr, legacy.x87_fcw]).toEqual([0, 0]);
  });

  /** An SVSM of `size` bytes that starts at `entry`. */
  const made = (size: number, entry: number) => {
    const tail = withFooter(new Uint8Array(), footerEntry('a789a612-0597-4c4b-a49f-cbb1fe9d1ddd', u32(entry)));
    return join(new Uint8Array(size - tail.length), tail);
  };

  it('starts inside of it', () => {
    expect(placeSvsm(made(8192, 0x1234), ovmf, 4096)).toMatchObject({
      gpa: ovmf.gpa - 4096 - 8192,
      entry: ovmf.gpa - 4096 - 8192 + 0x1234,
    });
    expect(placeSvsm(made(8192, 8191), ovmf, 0).entry).toBe(ovmf.gpa - 1);
    expect(failure(() => placeSvsm(made(8192, 8192), ovmf, 0))).toEqual({
      kind: 'format',
      message: 'the SVSM’s entry point lies outside of it',
      hint: expect.any(String),
    });
    expect(failure(() => placeSvsm(made(8192 + 16, 0), ovmf, 0))).toEqual({
      kind: 'usage',
      message: 'SVSM of 8208 bytes and variables of 0 bytes are not whole pages below the firmware',
      hint: expect.any(String),
    });
  });

  it('has its own step in the plan, after the firmware and before its metadata', () => {
    const inputs = { ovmf: 'sev-snp-measure/svsm_ovmf.fd', svsm: 'sev-snp-measure/svsm.bin', vars_size: vars };
    const [one] = measure({ ...request(inputs), plan: true }, nodeHashes);
    const digest = new SnpDigest(nodeHashes, one?.plan?.[0]?.digest);
    const gpa = BigInt(placeSvsm(image, ovmf, vars).gpa);
    digest.add('normal', gpa, image);
    expect(one?.plan?.[1]).toEqual({ name: 'svsm', type: 'normal', gpa, length: image.length, digest: digest.value() });
    expect(one?.plan?.at(-1)).toMatchObject({ name: 'vcpu 0', digest: one?.digest });
  });

  it('is refused where it cannot be', () => {
    expect(failure(() => placeSvsm(fixture(amdsev), ovmf, vars))).toEqual({
      kind: 'format',
      message: 'the SVSM file has no SVSM entry in its footer table',
      hint: 'give the svsm.bin of COCONUT SVSM from before its IGVM builds',
    });
    expect(failure(() => placeSvsm(image, ovmf, 1))).toMatchObject({ kind: 'usage' });
    expect(failure(() => placeSvsm(image, { gpa: image.length }, 4096))).toMatchObject({ kind: 'usage' });
    expect(placeSvsm(image, { gpa: image.length }, 0).gpa).toBe(0);
    const svsm = placeSvsm(image, ovmf, vars);
    expect(failure(() => svsmVcpuPages(findProfile('ec2'), svsm, 1, 1n))).toEqual({
      kind: 'usage',
      message: 'profile ec2 cannot start an SVSM',
      hint: 'use qemu or qemu-legacy',
    });
    const es = request({ svsm: 'sev-snp-measure/svsm.bin', vars_size: vars }, 'seves');
    for (const kernel of [undefined, kernelHashes(none, none, '')]) {
      expect(failure(() => measure({ ...es, kernel }, nodeHashes))).toEqual({
        kind: 'usage',
        message: 'an SVSM goes with snp guests only, not with sev-es',
        hint: 'leave the SVSM out, or measure an snp guest',
      });
    }
  });

  it('is named by what is said of its file', () => {
    const damaged = new Uint8Array(image);
    const footer = image.length - 48 - 2;
    damaged.set([0xff, 0xff], footer);
    const cut = { ...parseFirmware(image), gpa: 2 ** 31, svsmEntry: 0, sevSections: [{ gpa: 1, size: 4096, type: 2 }] };
    const svsm = { image, firmware: cut, gpa: 2 ** 31, entry: 0 };
    for (const [work, message] of [
      [() => placeSvsm(new Uint8Array(), ovmf, vars), 'the SVSM file: the image is empty'],
      [() => placeSvsm(damaged, ovmf, vars), 'the SVSM file: firmware footer: entry'],
      [() => startSvsmLaunch(new Uint8Array(48), svsm, 'refuse', nodeHashes), 'the SVSM file: SEV metadata section'],
    ] as const) {
      expect(failure(work)).toMatchObject({
        kind: 'format',
        message: expect.stringContaining(message),
        hint: 'give the svsm.bin of COCONUT SVSM from before its IGVM builds',
      });
    }
    const unknown = { ...svsm, firmware: { ...cut, sevSections: [{ gpa: 0, size: 4096, type: 9 }] } };
    expect(failure(() => startSvsmLaunch(new Uint8Array(48), unknown, 'refuse', nodeHashes)).hint).toContain(
      '--unknown-sections zero',
    );
  });
});
