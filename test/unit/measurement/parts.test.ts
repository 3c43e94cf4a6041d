import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { cpuModel, cpuModelNames, cpuSignature } from '../../../src/core/measurement/cpu-models.ts';
import { checkFeatures, defaultFeatures } from '../../../src/core/measurement/features.ts';
import { HASH_TABLE_SIZE, kernelHashTable, usableHashArea } from '../../../src/core/measurement/hash-table.ts';
import { findProfile, PROFILES, profileVmsa } from '../../../src/core/measurement/profiles.ts';
import { SnpDigest, snpFirmwareDigest } from '../../../src/core/measurement/snp.ts';
import { checkVcpuCounts, MAX_VCPUS, vcpuPages } from '../../../src/core/measurement/vcpus.ts';
import { Vmsa, vmsaPage } from '../../../src/core/measurement/vmsa.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { fixture, vectors } from '../../fixtures.ts';
import { kernelHashes } from '../../measurement-vectors.ts';

interface Groups {
  readonly kernel_hash_table: readonly {
    readonly id: string;
    readonly inputs: { readonly kernel: string; readonly initrd: string | null; readonly append: string | null };
    readonly expected: { readonly hex: string };
  }[];
  readonly vmsa: readonly {
    readonly id: string;
    readonly expected: { readonly sha384: string; readonly nonzero_bytes: Record<string, number> };
  }[];
  readonly gctx: readonly { readonly id: string; readonly expected: { readonly hex: string } }[];
}

const { groups } = vectors<{ groups: Groups }>('measurement.json');

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
    expect(failure(() => cpuModel('max')).message).toBe('CPU model max is whatever the host has');
    expect(failure(() => cpuModel('epyc-v4')).hint).toBe('did you mean EPYC-v4?');
    expect(failure(() => cpuModel('Zen'))).toMatchObject({
      message: 'unknown CPU model "Zen"',
      hint: expect.stringContaining('--cpu-signature'),
    });
    expect(failure(() => cpuModel(''))).toMatchObject({ kind: 'usage' });
  });
});

describe('kernel hash table', () => {
  it.each(groups.kernel_hash_table)('$id', ({ inputs, expected }) => {
    const initrd = inputs.initrd === null ? new Uint8Array() : fixture(inputs.initrd);
    const table = kernelHashTable(kernelHashes(fixture(inputs.kernel), initrd, inputs.append ?? ''));
    expect(bytesToHex(table)).toBe(expected.hex);
    expect(table.length).toBe(HASH_TABLE_SIZE);
  });

  it('needs an area that holds it', () => {
    expect(usableHashArea({ base: 0x810c00, size: 176 })).toEqual({ base: 0x810c00, size: 176 });
    expect(failure(() => usableHashArea({ base: 0x810c00, size: 175 }))).toMatchObject({
      kind: 'format',
      message: "the firmware's hash area has 175 bytes, the table needs 176",
    });
    expect(failure(() => usableHashArea(undefined))).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('no area for kernel hashes'),
      hint: expect.stringContaining('AmdSevX64.dsc'),
    });
  });

  it('takes hashes of 32 bytes only', () => {
    const short = { kernel: new Uint8Array(31), initrd: new Uint8Array(32), cmdline: new Uint8Array(32) };
    expect(failure(() => kernelHashTable(short)).message).toBe(
      'PaddedSevHashTable.kernel.hash: needs 32 bytes, got 31',
    );
  });
});

describe('VMSA', () => {
  const milan = cpuSignature(cpuModel('EPYC-Milan'));
  const page = (profile: string, vcpu: 'bsp' | 'ap', signature: number, features: bigint) =>
    profileVmsa(findProfile(profile), vcpu, { signature, features, resetAddress: 0x80b004 });
  const pages: Record<string, Uint8Array> = {
    'qemu-bsp-milan-feat1': page('qemu', 'bsp', milan, 1n),
    'qemu-ap-milan-feat1-eip80b004': page('qemu', 'ap', milan, 1n),
    'seves-legacy-bsp-milan': page('qemu-legacy', 'bsp', milan, 0n),
    'seves-legacy-ap-milan': page('qemu-legacy', 'ap', milan, 0n),
    'ec2-bsp': page('ec2', 'bsp', milan, 1n),
    'ec2-ap-eip80b004': page('ec2', 'ap', milan, 1n),
    'gce-bsp': page('gce-milan', 'bsp', milan, 1n),
  };

  it.each(Object.entries(pages))('%s', (id, found) => {
    const expected = groups.vmsa.find((entry) => entry.id === id)?.expected;
    const nonzero = Object.fromEntries(
      [...found].flatMap((byte, at) => (byte === 0 ? [] : [[`0x${at.toString(16)}`, byte]])),
    );
    expect(nonzero).toEqual(expected?.nonzero_bytes);
    expect(bytesToHex(nodeHashes.sha384(found))).toBe(expected?.sha384);
  });

  it('has the page size and the offsets of the APM', () => {
    expect(Vmsa.size).toBe(4096);
    // AMD APM volume 2 table B-4, as collected in measurement.md 2.4.
    const offsets = {
      es: 0,
      cs: 0x10,
      ss: 0x20,
      ds: 0x30,
      fs: 0x40,
      gs: 0x50,
      gdtr: 0x60,
      ldtr: 0x70,
      idtr: 0x80,
      tr: 0x90,
      efer: 0xd0,
      cr4: 0x148,
      cr0: 0x158,
      dr7: 0x160,
      dr6: 0x168,
      rflags: 0x170,
      rip: 0x178,
      g_pat: 0x268,
      rdx: 0x310,
      sev_features: 0x3b0,
      xcr0: 0x3e8,
      mxcsr: 0x408,
      x87_fcw: 0x410,
    };
    for (const [name, at] of Object.entries(offsets)) expect(Vmsa.offset[name as keyof typeof offsets], name).toBe(at);
    expect(Vmsa.unpack(vmsaPage({ rax: 7n })).rax).toBe(7n);
  });

  it('starts libkrun vCPUs as libkrun does (virtee/sev src/vmsa/mod.rs, init_krun)', () => {
    const bsp = Vmsa.unpack(page('krun', 'bsp', milan, 1n));
    expect(bsp).toMatchObject({
      rsi: 0x7000n,
      rbp: 0x8ff0n,
      rsp: 0x8ff0n,
      rip: 0xfff0n,
      rdx: 0n,
      mxcsr: 0,
      x87_fcw: 0,
    });
    expect(bsp.cs).toEqual({ selector: 0xf000, attributes: 0x9a, limit: 0xffff, base: 0xffff0000n });
    expect(bsp.ss.attributes).toBe(0x92);
    expect(bsp.tr.attributes).toBe(0x83);
    const ap = Vmsa.unpack(page('krun', 'ap', milan, 1n));
    expect(ap).toMatchObject({ rsi: 0n, rbp: 0n, rsp: 0n, rip: 0n });
    expect(ap.cs).toEqual({ selector: 0x9100, attributes: 0x9a, limit: 0xffff, base: 0x91000n });
  });

  it('differs between EC2 profiles in RDX alone', () => {
    expect(Vmsa.unpack(page('ec2-2023', 'ap', milan, 1n))).toEqual({
      ...Vmsa.unpack(page('ec2', 'ap', milan, 1n)),
      rdx: 0n,
    });
    expect(Vmsa.unpack(page('ec2', 'ap', milan, 1n)).rdx).toBe(0x600n);
  });
});

describe('profiles', () => {
  it('are named, versioned and say what they describe and where that was read', () => {
    expect(PROFILES.map(({ name }) => name)).toEqual([
      'qemu',
      'qemu-legacy',
      'ec2',
      'ec2-2023',
      'gce-milan',
      'gce-genoa',
      'krun',
    ]);
    for (const profile of PROFILES) {
      expect(profile.version).toBeGreaterThanOrEqual(1);
      expect(profile.describes.length, profile.name).toBeGreaterThan(30);
      expect(profile.source.length, profile.name).toBeGreaterThan(30);
    }
  });

  it('are told apart by what enters a digest', () => {
    const facts = PROFILES.map((profile) => [
      profile.cpuMatters,
      profile.secMem,
      profile.cpuidLast,
      profile.vmsaGpa,
      profile.kernelHashes,
    ]);
    expect(facts).toEqual([
      [true, 'zero', false, 0xfffffffff000n, true],
      [true, 'zero', false, 0xfffffffff000n, true],
      [false, 'zero', true, 0xfffffffff000n, false],
      [false, 'zero', true, 0xfffffffff000n, false],
      [false, 'unmeasured', false, 0xfffffffff000n, false],
      [false, 'unmeasured', false, 0xffffffffff000n, false],
      [false, 'zero', false, 0xfffffffff000n, false],
    ]);
    expect(PROFILES.filter((profile) => profile.platforms.includes('sev-es')).map(({ name }) => name)).toEqual([
      'qemu',
      'qemu-legacy',
      'krun',
    ]);
  });

  it('names the known ones for an unknown one', () => {
    expect(failure(() => findProfile('xen'))).toEqual({
      kind: 'usage',
      message: 'unknown profile "xen"',
      hint: 'profiles are: qemu, qemu-legacy, ec2, ec2-2023, gce-milan, gce-genoa, krun',
    });
  });
});

describe('vCPUs', () => {
  it('need a reset address only beyond the first', () => {
    const pages = vcpuPages(findProfile('qemu'), 1, 1n, undefined);
    expect(pages.bsp.length).toBe(4096);
    expect(failure(() => pages.ap())).toMatchObject({
      kind: 'format',
      message: expect.stringContaining('reset block'),
    });
  });

  it('make the page of application processors once', () => {
    const pages = vcpuPages(findProfile('qemu'), 1, 1n, 0x80b004);
    expect(pages.ap()).toBe(pages.ap());
    expect(Vmsa.unpack(pages.ap())).toMatchObject({ rip: 0xb004n, cs: { base: 0x800000n } });
  });

  it('are 1 to 4096', () => {
    checkVcpuCounts([1, MAX_VCPUS]);
    for (const wrong of [0, -3, 4097, 1.5, Number.NaN]) {
      expect(failure(() => checkVcpuCounts([1, wrong]))).toEqual({
        kind: 'usage',
        message: `${wrong} is not a number of vCPUs`,
        hint: 'a guest has 1 to 4096',
      });
    }
  });
});

describe('VMSA features', () => {
  it('have defaults', () => {
    expect([defaultFeatures('snp'), defaultFeatures('sev-es')]).toEqual([1n, 0n]);
  });

  it('must fit and agree with the platform', () => {
    checkFeatures('snp', 2n ** 64n - 1n);
    checkFeatures('sev-es', 0x20n);
    expect(failure(() => checkFeatures('snp', 2n ** 64n)).message).toBe(
      'VMSA features 0x10000000000000000 do not fit in 64 bits',
    );
    expect(failure(() => checkFeatures('snp', -1n)).message).toContain('64 bits');
    expect(failure(() => checkFeatures('snp', 0x20n))).toEqual({
      kind: 'usage',
      message: 'VMSA features 0x20: bit 0 (SNP_ACTIVE) is not set, which no SNP guest has',
      hint: 'KVM always sets bit 0 for SNP: 0x1, with DebugSwap 0x21',
    });
    expect(failure(() => checkFeatures('sev-es', 0x21n))).toEqual({
      kind: 'usage',
      message: 'VMSA features 0x21: bit 0 (SNP_ACTIVE) is set, which no SEV-ES guest has',
      hint: 'SEV-ES uses 0x0, with DebugSwap 0x20',
    });
  });
});

describe('SNP digest chain', () => {
  const expected = (id: string) => groups.gctx.find((entry) => entry.id === id)?.expected.hex;

  it('adds normal pages', () => {
    const pages = new Uint8Array(3 * 4096);
    pages.set(Buffer.from('LGTM'.repeat(4)));
    pages.set(Buffer.from('LGTM'.repeat(4)), pages.length - 16);
    const digest = new SnpDigest(nodeHashes);
    digest.add('normal', 0n, pages);
    expect(bytesToHex(digest.value())).toBe(expected('normal-3-pages'));
  });

  it('adds pages without contents', () => {
    const digest = new SnpDigest(nodeHashes);
    digest.addWithoutContents('zero', 0x9000n, 0x3000);
    expect(bytesToHex(digest.value())).toBe(expected('zero-3-pages'));
  });

  it('forks', () => {
    const digest = new SnpDigest(nodeHashes);
    digest.addWithoutContents('cpuid', 0n, 4096);
    const before = digest.value();
    const fork = digest.fork();
    fork.addWithoutContents('secrets', 0n, 4096);
    expect(digest.value()).toEqual(before);
    expect(fork.value()).not.toEqual(before);
  });

  it('takes whole pages only', () => {
    const digest = new SnpDigest(nodeHashes);
    expect(failure(() => digest.add('normal', 1n, new Uint8Array(4096)))).toEqual({
      kind: 'format',
      message: 'normal pages at 0x1 with 0x1000 bytes: address and length must be multiples of 0x1000',
      hint: undefined,
    });
    expect(failure(() => digest.add('vmsa', 0n, new Uint8Array(4095))).message).toContain('0xfff bytes');
    expect(failure(() => digest.add('vmsa', 0n, new Uint8Array())).kind).toBe('format');
    expect(failure(() => digest.addWithoutContents('zero', 0n, 0)).kind).toBe('format');
    expect(failure(() => new SnpDigest(nodeHashes, new Uint8Array(32))).message).toBe(
      'an SNP launch digest has 48 bytes, not 32',
    );
    expect(digest.value()).toEqual(new Uint8Array(48));
  });

  it('refuses firmware that is not pages', () => {
    expect(failure(() => snpFirmwareDigest(new Uint8Array(5000), 0, nodeHashes))).toMatchObject({
      kind: 'format',
      message: 'the firmware has 5000 bytes; SNP measures whole pages of 4096',
    });
    expect(failure(() => snpFirmwareDigest(new Uint8Array(), 0, nodeHashes)).kind).toBe('format');
  });
});
