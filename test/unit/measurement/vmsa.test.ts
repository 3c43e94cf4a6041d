import { describe, expect, it } from 'vitest';
import { bytesToHex } from '../../../src/core/hex.ts';
import { cpuModel, cpuSignature } from '../../../src/core/measurement/cpu-models.ts';
import { findProfile, PROFILES, profileVmsa } from '../../../src/core/measurement/profiles.ts';
import { Vmsa, vmsaPage } from '../../../src/core/measurement/vmsa.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { failure } from '../../failure.ts';
import { vectors } from '../../fixtures.ts';

interface Groups {
  readonly vmsa: readonly {
    readonly id: string;
    readonly expected: { readonly sha384: string; readonly nonzero_bytes: Record<string, number> };
  }[];
}

const { groups } = vectors<{ groups: Groups }>('measurement.json');

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
    expect(PROFILES.filter((profile) => profile.pcMemory).map(({ name }) => name)).toEqual(['qemu', 'qemu-legacy']);
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
