/** Each row of docs/mismatch.md stands here: a launch of another kind is explained by its cause's name, and by nothing else. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LaunchAccount } from '../../../src/core/explain/account.ts';
import { CAUSES, type Cause, type CauseName } from '../../../src/core/explain/cause.ts';
import { parsePlanDocument } from '../../../src/core/explain/plan-document.ts';
import { parseTraceLog } from '../../../src/core/explain/trace-log.ts';
import { parseVmsaDump } from '../../../src/core/explain/vmsa-dump.ts';
import { commandLineSlips } from '../../../src/core/identify/command-lines.ts';
import { firmwareOf, type MeasureRequest } from '../../../src/core/measurement/measure.ts';
import { findProfile, PROFILES } from '../../../src/core/measurement/profiles.ts';
import { Vmsa } from '../../../src/core/measurement/vmsa.ts';
import { VMSA_FIELDS, type VmsaField } from '../../../src/core/measurement/vmsa-fields.ts';
import { nodeHashes } from '../../../src/host/node-hashes.ts';
import { tableLoader } from '../../acpi-files.ts';
import {
  accountWith,
  dmesgOf,
  explained as explainedLaunch,
  firmwareWith,
  GENOA,
  igvmAccountOf,
  kernel,
  MILAN,
  TDVF,
  type TdxRecipe,
  tdxAccountOf,
  tdxDocument,
  traceOf,
} from '../../explain-launches.ts';
import { AMDSEV, type Tables } from '../../firmware-image.ts';
import { fixture, vectors } from '../../fixtures.ts';
import type { DirectiveRecipe, IgvmRecipe } from '../../igvm-image.ts';
import { linuxKernel } from '../../linux-kernel.ts';
import { kernelHashes } from '../../measurement-vectors.ts';
import { AMDSEV_195, QEMU_DEVEL_SEV } from '../../trace-logs.ts';

type Over = Partial<MeasureRequest>;

const firmware = (tables: Tables, size?: number, filling?: number) => ({
  firmware: firmwareOf(firmwareWith(tables, size, filling)),
});
const [secMem, secrets, cpuid, hashes] = AMDSEV.sev ?? [];
const sections = (...all: readonly (typeof secMem)[]): Tables => ({
  ...AMDSEV,
  sev: all.flatMap((one) => (one === undefined ? [] : [one])),
});
const boot = (k: string, initrd: string, cmdline: string) => ({
  kernel: kernelHashes(Buffer.from(k), Buffer.from(initrd), cmdline),
});
const none = { kernel: undefined };
const profile = (name: string) => ({ profile: findProfile(name) });
const es = { platform: 'sev-es' } as const;
const sev = { platform: 'sev' } as const;

/** What a plan of another machine, and the logs of a host, have of a launch. */
const asTrace = (account: LaunchAccount) => parseTraceLog(traceOf(account)).account;
const asDump = ({ vmsas }: LaunchAccount) => parseVmsaDump(Buffer.from(dmesgOf(vmsas?.pages ?? []))).account;

/** What the launches of this file were really explained by. */
const produced: Cause[] = [];
const explained: typeof explainedLaunch = (expected, found) => {
  const explanation = explainedLaunch(expected, found);
  produced.push(...explanation.causes);
  return explanation;
};

interface Row {
  readonly name: string;
  readonly expected: Over;
  readonly found: Over;
  readonly plan: readonly CauseName[];
  /** What a trace alone shows. */
  readonly trace?: readonly CauseName[];
  /** What a dump alone shows. */
  readonly dump?: readonly CauseName[];
}

const ROWS: readonly Row[] = [
  { name: 'nothing', expected: {}, found: {}, plan: [], trace: [], dump: [] },
  { name: 'nothing, under SEV-ES', expected: es, found: es, plan: [], trace: [], dump: [] },
  { name: 'nothing, under SEV', expected: sev, found: sev, plan: [], trace: [] },
  // The host.
  ...['qemu-legacy', 'ec2', 'ec2-2023', 'gce-milan', 'gce-genoa', 'krun'].flatMap((name) => [
    {
      name: `a host of profile ${name}`,
      expected: none,
      found: { ...none, ...profile(name) },
      plan: ['profile'] as const,
      dump: ['profile'] as const,
    },
    {
      name: `no host of profile ${name}`,
      expected: { ...none, ...profile(name) },
      found: none,
      plan: ['profile'] as const,
      dump: ['profile'] as const,
    },
  ]),
  {
    name: 'a SEV-ES host of profile qemu-legacy',
    expected: es,
    found: { ...es, ...profile('qemu-legacy') },
    plan: ['profile'],
    trace: [],
    dump: ['profile'],
  },
  {
    name: 'CPUID at the end as on EC2',
    expected: none,
    found: { ...none, ...profile('ec2') },
    plan: ['profile'],
    trace: ['profile'],
  },
  {
    name: 'unmeasured pages as on GCE',
    expected: none,
    found: { ...none, ...profile('gce-milan') },
    plan: ['profile'],
    trace: ['profile'],
  },
  {
    name: 'DebugSwap',
    expected: {},
    found: { features: 0x21n },
    plan: ['vmsa-features'],
    trace: [],
    dump: ['vmsa-features'],
  },
  {
    name: 'DebugSwap under SEV-ES',
    expected: es,
    found: { ...es, features: 0x20n },
    plan: ['vmsa-features'],
    dump: ['vmsa-features'],
  },
  { name: 'SecureTSC', expected: { features: 0x201n }, found: {}, plan: ['vmsa-features'], dump: ['vmsa-features'] },
  {
    name: 'another CPU model',
    expected: {},
    found: { cpus: [{ signature: GENOA }] },
    plan: ['cpu-model'],
    trace: [],
    dump: ['cpu-model'],
  },
  { name: 'more vCPUs', expected: {}, found: { vcpus: [3] }, plan: ['vcpus'], trace: [], dump: ['vcpus'] },
  { name: 'fewer vCPUs', expected: { vcpus: [4] }, found: { vcpus: [1] }, plan: ['vcpus'], dump: ['vcpus'] },
  {
    name: 'an old host with DebugSwap, other CPUs and more of them',
    expected: {},
    found: { ...profile('qemu-legacy'), features: 0x21n, cpus: [{ signature: GENOA }], vcpus: [5] },
    plan: ['profile', 'vcpus', 'cpu-model', 'vmsa-features'],
    dump: ['profile', 'vcpus', 'cpu-model', 'vmsa-features'],
  },
  // What is booted.
  { name: 'no kernel hashes', expected: {}, found: none, plan: ['kernel-hashes-off'], trace: ['kernel-hashes-off'] },
  {
    name: 'no kernel hashes under SEV',
    expected: sev,
    found: { ...sev, ...none },
    plan: ['kernel-hashes-off'],
    trace: ['kernel-hashes-off'],
  },
  { name: 'kernel hashes', expected: none, found: {}, plan: ['kernel-hashes-on'], trace: ['kernel-hashes-on'] },
  {
    name: 'kernel hashes under SEV-ES',
    expected: { ...es, ...none },
    found: es,
    plan: ['kernel-hashes-on'],
    trace: ['kernel-hashes-on'],
  },
  { name: 'another kernel', expected: {}, found: boot('other', 'initrd', 'quiet'), plan: ['kernel'], trace: [] },
  { name: 'another initrd', expected: {}, found: boot('kernel', 'other', 'quiet'), plan: ['initrd'] },
  { name: 'no initrd', expected: {}, found: boot('kernel', '', 'quiet'), plan: ['initrd-missing'] },
  { name: 'an initrd', expected: boot('kernel', '', 'quiet'), found: {}, plan: ['initrd-missing'] },
  {
    name: 'kernel and initrd that are swapped',
    expected: {},
    found: boot('initrd', 'kernel', 'quiet'),
    plan: ['kernel-and-initrd-swapped'],
    trace: [],
  },
  {
    name: 'kernel and initrd that are swapped, with another command line',
    expected: sev,
    found: { ...sev, ...boot('initrd', 'kernel', 'quiet\n') },
    plan: ['kernel-and-initrd-swapped', 'cmdline'],
  },
  {
    name: 'the kernel in both places',
    expected: {},
    found: boot('kernel', 'kernel', 'quiet'),
    plan: ['initrd'],
  },
  {
    name: 'the initrd as the kernel, with another initrd',
    expected: {},
    found: boot('initrd', 'other', 'quiet'),
    plan: ['kernel', 'initrd'],
  },
  {
    name: 'the kernel as the initrd, with another kernel',
    expected: {},
    found: boot('other', 'kernel', 'quiet'),
    plan: ['kernel', 'initrd'],
  },
  { name: 'another command line', expected: {}, found: boot('kernel', 'initrd', 'quiet\n'), plan: ['cmdline'] },
  { name: 'an empty command line', expected: {}, found: boot('kernel', 'initrd', ''), plan: ['cmdline-empty'] },
  {
    name: 'a command line',
    expected: { ...sev, ...boot('kernel', 'initrd', '') },
    found: sev,
    plan: ['cmdline-empty'],
  },
  // The firmware.
  {
    name: 'firmware of other contents',
    expected: {},
    found: firmware(AMDSEV, 0x10000, 1),
    plan: ['firmware-contents'],
    trace: [],
  },
  {
    name: 'SEV firmware of other contents',
    expected: sev,
    found: { ...sev, ...firmware(AMDSEV, 0x10000, 1) },
    plan: ['firmware-contents'],
  },
  {
    name: 'firmware of another size',
    expected: {},
    found: firmware(AMDSEV, 0x20000),
    plan: ['firmware-size'],
    trace: ['firmware-size'],
  },
  {
    name: 'the code part of a firmware of 2 MiB',
    expected: firmware(AMDSEV, 0x200000),
    found: firmware(AMDSEV, 0x1e0000),
    plan: ['firmware-code-only'],
    trace: ['firmware-code-only'],
  },
  {
    name: 'the code part of a firmware of 4 MiB',
    expected: { ...sev, ...firmware(AMDSEV, 0x400000) },
    found: { ...sev, ...firmware(AMDSEV, 0x37c000) },
    plan: ['firmware-code-only'],
    trace: ['firmware-code-only'],
  },
  {
    name: 'a whole image in place of its code part',
    expected: firmware(AMDSEV, 0x37c000),
    found: firmware(AMDSEV, 0x400000),
    plan: ['firmware-code-only'],
    trace: ['firmware-code-only'],
  },
  {
    name: 'a shorter firmware with another section, which is no code part',
    expected: firmware(AMDSEV, 0x200000),
    found: firmware(sections(secMem, secrets, cpuid, [0x80f000, 0x1000, 4], hashes), 0x1e0000),
    plan: ['firmware-size', 'sections'],
    trace: ['firmware-size', 'sections'],
  },
  {
    name: 'a longer firmware with its sections in another order, which is no whole image',
    expected: firmware(AMDSEV, 0x1e0000),
    found: firmware(sections(secMem, hashes, secrets, cpuid), 0x200000),
    plan: ['firmware-size', 'section-order'],
    trace: ['firmware-size', 'section-order'],
  },
  {
    name: 'a shorter firmware with another reset address, which is no code part',
    expected: firmware(AMDSEV, 0x200000),
    found: firmware({ ...AMDSEV, reset: 0x80c0a0 }, 0x1e0000),
    plan: ['firmware-size', 'reset-address'],
    trace: ['firmware-code-only'],
  },
  {
    name: 'kernel hashes in the middle of the metadata',
    expected: {},
    found: firmware(sections(secMem, hashes, secrets, cpuid)),
    plan: ['firmware-contents', 'section-order'],
    trace: ['section-order'],
  },
  {
    name: 'a section more',
    expected: {},
    found: firmware(sections(secMem, secrets, cpuid, [0x80f000, 0x1000, 4], hashes)),
    plan: ['firmware-contents', 'sections'],
    trace: ['sections'],
  },
  {
    name: 'a section less',
    expected: {},
    found: firmware(sections(secMem, secrets, hashes)),
    plan: ['firmware-contents', 'sections'],
    trace: ['sections'],
  },
  {
    name: 'no section for kernel hashes, of which there are none',
    expected: none,
    found: { ...none, ...firmware(sections(secMem, secrets, cpuid)) },
    plan: ['firmware-contents', 'sections'],
    trace: ['sections'],
  },
  {
    name: 'a section for kernel hashes, of which there are none',
    expected: { ...none, ...firmware(sections(secMem, secrets, cpuid)) },
    found: none,
    plan: ['firmware-contents', 'sections'],
    trace: ['sections'],
  },
  {
    name: 'a larger section',
    expected: {},
    found: firmware(sections([0x800000, 0xa000, 1], secrets, cpuid, hashes)),
    plan: ['firmware-contents', 'sections'],
    trace: ['sections'],
  },
  {
    name: 'another reset address',
    expected: {},
    found: firmware({ ...AMDSEV, reset: 0x80c0a0 }),
    plan: ['firmware-contents', 'reset-address'],
    dump: ['reset-address'],
  },
  // The platform.
  {
    name: 'SEV-ES in place of SEV',
    expected: { ...sev, vcpus: [1] },
    found: es,
    plan: ['platform'],
    trace: ['platform'],
  },
  {
    name: 'SEV-ES in place of SNP',
    expected: {},
    found: es,
    plan: ['platform'],
    trace: ['platform'],
    dump: ['platform'],
  },
  {
    name: 'SEV-ES without a kernel in place of SNP with one',
    expected: {},
    found: { ...es, ...none },
    plan: ['kernel-hashes-off', 'platform'],
    trace: ['kernel-hashes-off', 'platform'],
    dump: ['platform'],
  },
  {
    name: 'SNP without a kernel in place of SEV with one',
    expected: sev,
    found: none,
    plan: ['kernel-hashes-off', 'platform'],
    trace: ['kernel-hashes-off', 'platform'],
  },
  {
    name: 'SNP with a kernel in place of SEV without one',
    expected: { ...sev, ...none },
    found: {},
    plan: ['platform', 'kernel-hashes-on'],
    trace: ['platform', 'kernel-hashes-on'],
  },
  {
    name: 'SEV with a kernel in place of SNP without one',
    expected: none,
    found: sev,
    plan: ['platform', 'kernel-hashes-on'],
    trace: ['platform', 'kernel-hashes-on'],
  },
  {
    name: 'SNP with DebugSwap in place of SEV-ES',
    expected: es,
    found: { features: 0x21n },
    plan: ['platform', 'vmsa-features'],
    dump: ['platform', 'vmsa-features'],
  },
];

describe('causes', () => {
  it.each(ROWS)('of $name', ({ expected: owner, found: host, plan, trace, dump }) => {
    const [expected, found] = [accountWith(owner), accountWith(host)];
    const all = explained(expected, found);
    expect(all.names).toEqual(plan);
    expect(all.unexplained).toEqual([]);
    expect(all.differences.length > 0).toBe(
      Buffer.compare(expected.digest ?? Buffer.of(), found.digest ?? Buffer.of()) !== 0,
    );
    if (trace !== undefined)
      expect(explained(expected, asTrace(found))).toMatchObject({ names: trace, unexplained: [] });
    if (dump !== undefined) expect(explained(expected, asDump(found))).toMatchObject({ names: dump, unexplained: [] });
  });

  it('of a host’s profile name it, for every pair of profiles that differ', () => {
    for (const own of PROFILES) {
      for (const other of PROFILES) {
        const [expected, found] = [accountWith({ ...none, profile: own }), accountWith({ ...none, profile: other })];
        const { names, unexplained, causes } = explained(expected, found);
        expect(names, `${own.name} ${other.name}`).toEqual(own === other ? [] : ['profile']);
        expect(unexplained).toEqual([]);
        if (own !== other) expect(causes[0]?.attempt).toBe(`--profile ${other.name}`);
      }
    }
  });

  it('say what to try', () => {
    const { causes } = explained(
      accountWith(),
      accountWith({ features: 0x221n, vcpus: [5], cpus: [{ signature: GENOA }] }),
    );
    expect(causes.map(({ attempt }) => attempt)).toEqual([
      '--vcpus 5',
      '--cpu-signature 0xa10f10',
      '--vmsa-features 0x221; on the host: modprobe kvm_amd debug_swap=0 or 1',
    ]);
    expect(causes[1]?.because).toContain('EPYC-Genoa (0xa10f10), and EPYC-Milan (0xa00f11) was expected');
    expect(causes[2]?.because).toBe('SEV_FEATURES is 0x221 in place of 0x1: the host has DebugSwap, SecureTSC on');
    const off = explained(accountWith({ features: 0x4001n }), accountWith()).causes[0];
    expect(off?.because).toBe('SEV_FEATURES is 0x1 in place of 0x4001: the host has VmsaRegProt off');
    const strange = explained(accountWith(), accountWith({ cpus: [{ signature: 0xffffffff }] })).causes[0];
    expect(strange?.because).toContain('of signature 0xffffffff');
  });

  it('have one vCPU in the singular', () => {
    const [one, many] = [accountWith({ vcpus: [1] }), accountWith({ vcpus: [4] })];
    expect(explained(one, many).causes[0]?.because).toContain('has 4 vCPUs at launch, and 1 was expected (');
    expect(explained(many, one).causes[0]?.because).toContain('has 1 vCPU at launch, and 4 were expected (');
  });

  it('of sev-snp-measure’s SVSM state: MXCSR without FCW, which no KVM produces', () => {
    const own = accountWith();
    const pages = own.vmsas?.pages.map((page) => Uint8Array.from(page).fill(0, 0x410, 0x412)) ?? [];
    expect(explained(own, parseVmsaDump(Buffer.concat(pages)).account)).toMatchObject({
      names: ['fpu-half'],
      unexplained: [],
    });
  });

  it('of sev-snp-measure’s SVSM state in place of an old host’s', () => {
    const own = accountWith(profile('qemu-legacy'));
    const half = accountWith().vmsas?.pages.map((page) => Uint8Array.from(page).fill(0, 0x410, 0x412)) ?? [];
    expect(explained(own, parseVmsaDump(Buffer.concat(half)).account)).toMatchObject({
      names: ['fpu-half'],
      unexplained: [],
    });
  });

  describe('of a host whose vCPUs differ in something else too', () => {
    const field = (name: string) => VMSA_FIELDS.find((one) => one.name === name) as VmsaField;
    const withOther = (account: LaunchAccount, name: string) => {
      const { at } = field(name);
      const pages = account.vmsas?.pages.map((page) => page.map((byte, i) => (i === at ? byte ^ 1 : byte))) ?? [];
      return { ...account, vmsas: { pages, told: 4096, cut: false } };
    };
    const OTHERS = ['xss', 'cr4', 'dr6', 'pkru', 'xcr0', 'cs.limit', 'star', 'rflags', 'tlb_id'];
    const hosts = ['qemu-legacy', 'ec2', 'ec2-2023', 'gce-milan', 'gce-genoa', 'krun'];

    it.each(hosts)('%s: the profile is named, and the other field has no cause', (name) => {
      for (const [own, other] of [
        [accountWith(none), accountWith({ ...none, ...profile(name) })],
        [accountWith({ ...none, ...profile(name) }), accountWith(none)],
      ] as const) {
        for (const one of OTHERS) {
          const changed = withOther(other, one);
          for (const found of [changed, asDump(changed)]) {
            const { names, unexplained, causes } = explained(own, found);
            expect(names, one).toEqual(['profile']);
            expect([...new Set(unexplained.map((difference) => difference.name))]).toEqual([one]);
            expect(causes[0]?.because).toMatch(/^what was found is in these fields what a host of profile /);
          }
        }
      }
    });

    it('and one whose fields are not all found is not named', () => {
      const own = accountWith(none);
      // MXCSR alone of the two that qemu-legacy has otherwise.
      const half = own.vmsas?.pages.map((page) => Uint8Array.from(page).fill(0, 0x408, 0x40c)) ?? [];
      const { names, unexplained } = explained(own, parseVmsaDump(Buffer.concat(half)).account);
      expect(names).toEqual([]);
      expect(unexplained.map(({ name }) => name)).toEqual(['mxcsr', 'mxcsr']);
      const fcw =
        own.vmsas?.pages.map((page) => Uint8Array.from(page).fill(0, 0x408, 0x412).fill(1, 0x408, 0x409)) ?? [];
      expect(explained(own, parseVmsaDump(Buffer.concat(fcw)).account).names).toEqual([]);
    });

    it('and a section in another place does not hide it', () => {
      const own = accountWith(none);
      const last = firmware(sections(secMem, secrets, hashes, cpuid));
      const found = accountWith({ ...none, ...last, ...profile('qemu-legacy') });
      expect(explained(own, found)).toMatchObject({
        names: ['firmware-contents', 'profile', 'section-order'],
        unexplained: [],
      });
    });
  });

  it.each([undefined, 'qemu-next'])('of a host’s profile name it when the expected one is called %s', (name) => {
    for (const own of PROFILES) {
      for (const other of PROFILES) {
        const expected = { ...accountWith({ ...none, profile: own }), profile: name };
        const found = accountWith({ ...none, profile: other });
        const { names, unexplained, causes } = explained(expected, found);
        expect(names, `${own.name} ${other.name}`).toEqual(own === other ? [] : ['profile']);
        expect(unexplained).toEqual([]);
        if (own !== other) expect(causes[0]?.because).toContain(`, and ${own.name} was expected`);
      }
    }
  });

  it('are none of RDX that is no signature, or of more than 32 bits', () => {
    const own = accountWith();
    for (const rdx of [0n, 0x600n, 0x1_00a0_0f12n]) {
      const pages = own.vmsas?.pages.map((page) => Vmsa.pack({ ...Vmsa.unpack(page), rdx })) ?? [];
      const { names, unexplained } = explained(own, parseVmsaDump(Buffer.concat(pages)).account);
      expect(names).toEqual([]);
      expect(unexplained.map((one) => one.name)).toEqual(['rdx', 'rdx']);
    }
    // An EC2 that has another value there.
    const ec2 = accountWith({ ...none, ...profile('ec2') });
    const other = ec2.vmsas?.pages.map((page) => Vmsa.pack({ ...Vmsa.unpack(page), rdx: 0x601n })) ?? [];
    expect(explained(ec2, parseVmsaDump(Buffer.concat(other)).account).names).toEqual([]);
  });

  describe('of an SVSM below the firmware', () => {
    const image = fixture('sev-snp-measure/svsm.bin');
    const svsm = { image, varsSize: 540672 };
    const over = { ...none, firmware: firmwareOf(fixture('sev-snp-measure/svsm_ovmf.fd')) };
    const [without, below] = [accountWith(over), accountWith({ ...over, svsm })];

    it.each([
      ['found', without, below],
      ['expected', below, without],
      ['another one', below, accountWith({ ...over, svsm: { image, varsSize: 0x20000 } })],
    ] as const)('%s', (_name, expected, found) => {
      for (const host of [found, asTrace(found), asDump(found), { ...asTrace(found), vmsas: found.vmsas }]) {
        expect(explained(expected, host)).toMatchObject({ names: ['svsm'], unexplained: [] });
      }
    });

    it('and of none when both have the same', () => {
      for (const one of [without, below]) {
        for (const host of [one, asTrace(one), asDump(one)]) expect(explained(one, host).differences).toEqual([]);
      }
    });

    it('leaves what else differs to its own causes', () => {
      const other = accountWith({ ...over, svsm, vcpus: [3], cpus: [{ signature: GENOA }], features: 0x21n });
      expect(explained(without, other).names).toEqual(['svsm', 'vcpus', 'cpu-model', 'vmsa-features']);
      // RIP outside of the SVSM: nothing of such a state is an SVSM's.
      const pages = below.vmsas?.pages.map((page) => Uint8Array.from(page).fill(0, 0x178, 0x180)) ?? [];
      const vmsas = { pages, told: 4096, cut: false };
      const { names, unexplained } = explained(without, { ...below, vmsas });
      // With the same firmware, it is no other reset block.
      expect(names).toEqual(['svsm']);
      expect(unexplained.filter(({ vcpu }) => vcpu?.first === 1).map(({ name }) => name)).toContain('rip');
      const bsp = unexplained.filter(({ vcpu }) => vcpu?.first === 0).map(({ name }) => name);
      expect(bsp.filter((name) => !/^(?:es|cs|ss|ds|fs)\./.test(name))).toEqual(['cr0', 'rip']);
    });

    it('has no reset block of a firmware for the other vCPUs, and nor has an IGVM file', () => {
      const three = { ...over, vcpus: [3] };
      const [bsp, ...others] = accountWith({ ...three, svsm }).vmsas?.pages ?? [];
      const [reset] = without.vmsas?.pages ?? [];
      const dump = (first: Uint8Array | undefined, other: Uint8Array | undefined) =>
        parseVmsaDump(
          Buffer.concat([first ?? [], ...others.map(() => other ?? [])].map((page) => Uint8Array.from(page))),
        ).account;
      const started = dump(bsp, reset);
      expect(explained(accountWith(three), started).names).toEqual(['svsm']);
      expect(explained(accountWith({ ...three, svsm }), started).names).not.toContain('reset-address');
      // In another mode, and not in flash.
      const igvm = Vmsa.pack({ ...Vmsa.unpack(bsp ?? new Uint8Array()), rip: 0x1000n });
      const { names, unexplained } = explained(accountWith(three), dump(igvm, reset));
      expect(names).not.toContain('reset-address');
      expect(unexplained.filter(({ vcpu }) => vcpu?.first === 1).map(({ name }) => name)).toContain('rip');
      // Elsewhere, below an SVSM.
      const other = Vmsa.pack({ ...Vmsa.unpack(reset ?? new Uint8Array()), rip: 0x1000n });
      expect(explained(accountWith(three), dump(bsp, other)).names).not.toContain('reset-address');
      expect(explained(accountWith(three), dump(reset, other)).names).toEqual(['reset-address']);
    });

    it('and of kernel hashes, which nothing adds behind an SVSM', () => {
      const amdsev = firmware(AMDSEV, 0x200000);
      const behind = accountWith({ ...none, ...amdsev, svsm: { image, varsSize: 0x20000 } });
      const direct = accountWith(amdsev);
      const beside = asTrace(accountWith({ firmware: firmwareOf(fixture('debian-ovmf/OVMF.amdsev_2026.08.fd')) }));
      expect(explained(behind, direct).names).toEqual(['svsm', 'kernel-hashes-on']);
      for (const host of [behind, asTrace(behind)]) {
        const one = explained(direct, host);
        expect(one).toMatchObject({ names: ['svsm'], unexplained: [] });
        expect(one.causes[0]?.because).toContain('nothing behind it measures a kernel');
        expect(one.causes[0]?.attempt).toContain('without --kernel');
      }
      expect(explained(without, below).causes[0]?.because).not.toContain('measures a kernel');
      const { names, unexplained } = explained(behind, beside);
      expect(names).toEqual(['firmware-size', 'svsm', 'kernel-hashes-on']);
      expect(unexplained).toEqual([]);
    });

    it('and of another profile, whose RDX is no signature of a CPU', () => {
      const legacy = accountWith({ ...over, svsm, ...profile('qemu-legacy') });
      for (const name of ['ec2', 'ec2-2023', 'gce-milan', 'gce-genoa', 'krun', 'qemu-legacy']) {
        const own = accountWith({ ...over, ...profile(name) });
        for (const host of [below, asDump(below)]) {
          const one = explained(own, host);
          expect(one, name).toMatchObject({ names: ['svsm', 'profile'], unexplained: [] });
          expect(one.causes[1]?.attempt).toBe('--profile qemu');
        }
        expect(explained(below, own), name).toMatchObject({ names: ['svsm', 'profile'], unexplained: [] });
      }
      expect(explained(legacy, below)).toMatchObject({ names: ['profile'], unexplained: [] });
      expect(explained(below, legacy)).toMatchObject({ names: ['profile'], unexplained: [] });
      const genoa = accountWith({ ...over, svsm, cpus: [{ signature: GENOA }] });
      expect(explained(legacy, genoa).names).toEqual(['profile', 'cpu-model']);
    });

    it('and of a state that no profile has, without a cause', () => {
      const half = accountWith({ ...over, svsm, ...profile('snp-measure-svsm') });
      for (const [expected, found] of [
        [accountWith({ ...over, ...profile('ec2') }), half],
        [half, accountWith({ ...over, ...profile('ec2'), features: 0x1n })],
      ] as const) {
        const { names, causes } = explained(expected, found);
        expect(names).not.toContain('cpu-model');
        expect(causes.some(({ because }) => because.includes('0x600'))).toBe(false);
      }
    });

    it('is none when the metadata of the firmware is filled as ever, or the page lies in RAM', () => {
      const added = (gpa: string) =>
        parseTraceLog(
          traceOf(without).replace(
            /^.*gpa 0x800000 .*$/m,
            `kvm_sev_snp_launch_update src 0x7f gpa ${gpa} len 0x1000 (Normal page)\n$&`,
          ),
        ).account;
      for (const gpa of ['0xffaea000', '0x900000']) {
        expect(explained(without, added(gpa))).toMatchObject({ names: ['host-contents'], unexplained: [] });
      }
    });
  });

  describe('of contents that the host adds', () => {
    const added = (gpa: number, length: number) =>
      `kvm_sev_snp_launch_update src 0x7f gpa 0x${gpa.toString(16)} len 0x${length.toString(16)} (Normal page)`;
    const host = (change: (log: string) => string, over: Over = {}) =>
      parseTraceLog(change(traceOf(accountWith(over)))).account;
    const finish = /^kvm_sev_snp_launch_finish/m;

    it.each([
      ['in a section of zeros', (log: string) => log.replace('0x9000 (Zero', '0x9000 (Normal')],
      ['in a secrets page', (log: string) => log.replace('(Secrets', '(Normal')],
      ['in a page more', (log: string) => log.replace(finish, `${added(0x900000, 0x1000)}\n$&`)],
      ['in a page more beside others', (log: string) => log.replace(finish, `${added(0x80f000, 0x1000)}\n$&`)],
      ['in many pages more', (log: string) => log.replace(finish, `${added(0x1000000, 0x200000)}\n$&`)],
      ['before the firmware', (log: string) => log.replace(/\n/, `\n${added(0x900000, 0x1000)}\n`)],
      ['beside the kernel hashes', (log: string) => log.replace('gpa 0x810000 len 0x1000', 'gpa 0x810000 len 0x2000')],
    ])('%s', (_name, change) => {
      expect(explained(accountWith(), host(change))).toMatchObject({ names: ['host-contents'], unexplained: [] });
    });

    it('also where nobody expects kernel hashes, and next to them', () => {
      const twice = (log: string) => log.replace('0x9000 (Zero', '0x9000 (Normal');
      const { names, causes } = explained(accountWith(none), host(twice));
      expect(names).toEqual(['host-contents', 'kernel-hashes-on']);
      expect(causes[0]?.because).toContain('contents of its own into the guest, 0x9000 bytes at 0x800000,');
      expect(causes[0]?.explains).toMatchObject([{ name: 'SNP_SEC_MEM', expected: 'zero', found: 'normal' }]);
      expect(explained(accountWith(none), host(twice, none)).names).toEqual(['host-contents']);
    });

    it('and not of a firmware that comes last, which no build brings about', () => {
      const last = (log: string) =>
        log.replace(/^(.*gpa 0xffff0000 .*\n)([\s\S]*)(?=kvm_sev_snp_launch_finish)/m, '$2$1');
      const { names, unexplained } = explained(accountWith(), host(last));
      expect(names).toEqual([]);
      expect(unexplained).toMatchObject([{ kind: 'step-order', name: 'firmware' }]);
    });
  });

  it('of slips in a command line that is known', () => {
    const own = { ...accountWith(), cmdlineSlips: commandLineSlips(Buffer.from('quiet'), nodeHashes) };
    const because = (cmdline: string) => {
      const { names, causes } = explained(own, accountWith(boot('kernel', 'initrd', cmdline)));
      expect(names).toEqual([cmdline === '' ? 'cmdline-empty' : 'cmdline']);
      return causes[0]?.because;
    };
    expect(because('quiet\n')).toBe('the command line is measured with a newline at its end');
    expect(because('quiet ')).toBe('the command line is measured with a space at its end');
    expect(because('')).toBe('an empty command line is measured');
    expect(because('quiet x')).toMatch(/^another command line/);
    const { causes } = explained(own, accountWith(boot('kernel', 'initrd', 'quiet x')));
    expect(causes[0]?.attempt).toMatch(/with --kata the words of Kata Containers; libvirt passes on each byte/);
    const saved = { ...own, cmdlineSlips: commandLineSlips(Buffer.from('quiet\n'), nodeHashes) };
    expect(explained(saved, accountWith(boot('kernel', 'initrd', 'quiet\r\n'))).causes[0]?.because).toBe(
      'the command line is measured with a carriage return and a newline at its end',
    );
  });

  it('of an ID block for another digest', () => {
    const own = accountWith();
    const found = { ...asTrace(own), idBlockDigest: own.digest };
    expect(explained(own, found).names).toEqual([]);
    expect(explained(own, { ...found, idBlockDigest: new Uint8Array(48) }).names).toEqual(['id-block']);
  });

  it('are none of data that nobody is known to add to a SEV guest', () => {
    const log = traceOf(accountWith(sev)).replace(
      'kvm_sev_launch_finish',
      'kvm_sev_launch_update_data addr 0x7f len 0x84000\n$&',
    );
    const { names, unexplained } = explained(accountWith(sev), parseTraceLog(log).account);
    expect(names).toEqual([]);
    expect(unexplained).toMatchObject([{ kind: 'step-added', name: 'data', found: 'data, 0x84000 bytes' }]);
  });

  it('are none of changes that nobody is known to make, which are listed', () => {
    const own = accountWith();
    const pages = own.vmsas?.pages.map((page) => Uint8Array.from(page)) ?? [];
    pages[1]?.set([0x66], 0xd8 + 5);
    pages[1]?.set([0x01], 0x140);
    const { names, unexplained } = explained(own, parseVmsaDump(Buffer.concat(pages)).account);
    expect(names).toEqual([]);
    expect(unexplained.map(({ name, vcpu, expected, found }) => [name, vcpu, expected?.length, found])).toEqual([
      ['reserved_0d8', { first: 1, count: 1 }, 208, `000000000066${'00'.repeat(98)}`],
      ['xss', { first: 1, count: 1 }, 3, '0x1'],
    ]);
  });
});

const { files } = vectors<{ readonly files: readonly (IgvmRecipe & { readonly name: string })[] }>('igvm.json');
const named = (start: string): IgvmRecipe => {
  const found = files.find(({ name }) => name.startsWith(start));
  if (found === undefined) throw new Error(start);
  return found;
};

describe('causes of IGVM files', () => {
  const changed = (recipe: IgvmRecipe, change: (one: DirectiveRecipe) => readonly DirectiveRecipe[]) => ({
    ...recipe,
    directives: recipe.directives.flatMap(change),
  });
  const file = named('all agree');
  const all = named('all platforms');
  const vmsaOf =
    (...bytes: (readonly [number, string])[]) =>
    (one: DirectiveRecipe) =>
      one.kind === 'vcpu' && typeof one.data !== 'number' ? [{ ...one, data: [...one.data, ...bytes] }] : [one];
  const page = { kind: 'page', gpa: '0x9000', mask: 1, flags: 0, type: 0, data: 7 } as const;
  const withPage = (recipe: IgvmRecipe, added: DirectiveRecipe) =>
    changed(recipe, (one) => (one.kind === 'vcpu' ? [added, one] : [one]));
  const more = withPage(file, page);
  const fewer = changed(file, (one) => (one.kind === 'page' && one.gpa === '0x8000' ? [] : [one]));
  const other = changed(file, (one) => (one.kind === 'page' && one.gpa === '0x2000' ? [{ ...one, data: 9 }] : [one]));
  const zeros = changed(file, (one) => (one.kind === 'page' && one.gpa === '0x6000' ? [{ ...one, type: 2 }] : [one]));
  const allOther = changed(all, (one) => (one.kind === 'page' && one.gpa === '0x1000' ? [{ ...one, data: 9 }] : [one]));
  const rdx = changed(file, vmsaOf([0x310, '0006000000000000']));

  it.each<[what: string, expected: LaunchAccount, found: LaunchAccount, names: readonly CauseName[]]>([
    ['nothing', igvmAccountOf(file), igvmAccountOf(file), []],
    ['a page more', igvmAccountOf(file), igvmAccountOf(more), ['igvm-pages']],
    ['a page less', igvmAccountOf(file), igvmAccountOf(fewer), ['igvm-pages']],
    ['a page of another type', igvmAccountOf(file), igvmAccountOf(zeros), ['igvm-pages']],
    ['other contents', igvmAccountOf(file), igvmAccountOf(other), ['igvm-contents']],
    ['another RDX', igvmAccountOf(file), igvmAccountOf(rdx), ['igvm-vmsa']],
    ['more VMSAs', igvmAccountOf(named('no VMSA')), igvmAccountOf(named('two VMSAs')), ['igvm-vmsa']],
    ['another loader', igvmAccountOf(all), igvmAccountOf(all, { loader: 'coconut' }), ['igvm-loader']],
    [
      'zero pages',
      igvmAccountOf(all, { loader: 'coconut' }),
      igvmAccountOf(all, { loader: 'coconut', nativeZero: true }),
      ['igvm-loader'],
    ],
    ['another platform', igvmAccountOf(all), igvmAccountOf(all, { platform: 'sev-es' }), ['platform']],
    ['TDX', igvmAccountOf(all), igvmAccountOf(all, { platform: 'tdx' }), ['platform']],
    ['TDX on both sides', igvmAccountOf(all, { platform: 'tdx' }), igvmAccountOf(all, { platform: 'tdx' }), []],
    [
      'another page of TDX',
      igvmAccountOf(all, { platform: 'tdx' }),
      igvmAccountOf(allOther, { platform: 'tdx' }),
      ['igvm-contents'],
    ],
    [
      'another loader of another file',
      igvmAccountOf(all),
      igvmAccountOf(changed(all, vmsaOf([0x310, '0006000000000000'])), { loader: 'coconut' }),
      ['igvm-loader', 'igvm-vmsa'],
    ],
    [
      'a VMSA that KVM changes, with another page, by the rules of another loader',
      igvmAccountOf(named('VMSA that KVM changes')),
      igvmAccountOf(withPage(named('VMSA that KVM changes'), page), { loader: 'microsoft' }),
      ['igvm-pages', 'igvm-loader'],
    ],
    [
      'another VMSA besides what KVM changes',
      igvmAccountOf(changed(named('VMSA that KVM changes'), vmsaOf([0x310, '0006000000000000'])), {
        loader: 'coconut',
      }),
      igvmAccountOf(named('VMSA that KVM changes')),
      ['igvm-loader', 'igvm-vmsa'],
    ],
    ['no IGVM file', igvmAccountOf(file), accountWith(), ['igvm']],
    ['an IGVM file', accountWith(), igvmAccountOf(file), ['igvm']],
  ])('%s', (_what, expected, found, names) => {
    const explanation = explained(expected, found);
    expect(explanation).toMatchObject({ names, unexplained: [] });
    expect(explanation.differences.length > 0).toBe(names.length > 0);
  });

  describe('between two files by the rules of two loaders', () => {
    const way = { qemu: {}, coconut: { loader: 'coconut' }, microsoft: { loader: 'microsoft' } } as const;
    const sevEs = { platform: 'sev-es' } as const;
    const lines = (explanation: ReturnType<typeof explained>) =>
      explanation.causes.map(({ name, explains }) => [name, ...explains.map((one) => `${one.kind} ${one.name}`)]);
    const pageAt = (gpa: string, data: number | null = 7, flags = 0) =>
      ({ kind: 'page', gpa, mask: 31, flags, type: 0, data }) as const;
    const and = (recipe: IgvmRecipe, ...directives: readonly DirectiveRecipe[]) => ({
      ...recipe,
      directives: [...directives, ...recipe.directives],
    });
    const without = (recipe: IgvmRecipe, gpa: string) =>
      changed(recipe, (one) => (one.kind === 'page' && one.gpa === gpa ? [] : [one]));
    const fields = vmsaOf([0x310, '0006000000000000']);
    /** As a plan that does not say what the others make of the file. */
    const unsaid = (account: LaunchAccount): LaunchAccount =>
      account.igvm === undefined ? account : { ...account, igvm: { ...account.igvm, others: undefined } };

    it('are none of the loaders where both plans say that those agree', () => {
      const exchanged = { ...file, directives: [...file.directives] };
      [exchanged.directives[3], exchanged.directives[4]] = [file.directives[4], file.directives[3]].flatMap(
        (one) => one ?? [],
      ) as [DirectiveRecipe, DirectiveRecipe];
      for (const [one, two] of [
        [way.qemu, way.coconut],
        [way.coconut, way.qemu],
        [way.microsoft, way.qemu],
        [way.microsoft, way.coconut],
      ]) {
        const [expected, found] = [igvmAccountOf(file, one), igvmAccountOf(exchanged, two)];
        expect([expected.igvm?.others, found.igvm?.others]).toEqual([[], []]);
        const { names, unexplained, differences } = explained(expected, found);
        expect([names, unexplained]).toEqual([['igvm-pages'], []]);
        expect(differences.length).toBeGreaterThan(2);
      }
      const large = { kind: 'page', gpa: '0x200000', mask: 1, flags: 1, type: 0, data: null } as const;
      const last = (recipe: IgvmRecipe, added: DirectiveRecipe) =>
        changed(recipe, (one) => (one.kind === 'vcpu' ? [added, one] : [one]));
      const zeros = last(file, large);
      // That microsoft/igvm has it otherwise counts for nothing between the two that do not.
      const [expected, found] = [igvmAccountOf(zeros), igvmAccountOf(last(zeros, pageAt('0x9000')), way.coconut)];
      expect([expected.igvm?.others, found.igvm?.others]).toEqual([['microsoft'], ['microsoft']]);
      expect(explained(expected, found).names).toEqual(['igvm-pages']);
    });

    it('are none of the loaders where pages are exchanged, whatever else those have otherwise', () => {
      const behind = named('parameter area behind pages');
      const swapped = { ...behind, directives: [0, 1, 3, 2, 4, 5, 6].flatMap((i) => behind.directives[i] ?? []) };
      for (const loader of [way.coconut, way.microsoft]) {
        expect(lines(explained(igvmAccountOf(behind), igvmAccountOf(swapped, loader)))).toEqual([
          ['igvm-pages', 'step-length page data', 'step-length page data', ...Array(2).fill('step-added page data')],
          ['igvm-loader', 'step-order parameters 0'],
        ]);
      }
    });

    it('are of the file where a page is more that no loader leaves out', () => {
      const first = { kind: 'page', gpa: '0x9f000', mask: 1, flags: 0, type: 0, data: 7 } as const;
      const behind = and(file, first);
      const areas = named('parameter area of three pages');
      const [all, zero] = [named('SEV: zeros and unmeasured'), pageAt('0xb000', null)];
      const sev = changed(all, (one) => (one.kind === 'page' && one.gpa !== '0x1000' ? [] : [one]));
      expect(igvmAccountOf(sev, { ...way.coconut, ...sevEs }).igvm?.others).toEqual([]);
      expect(igvmAccountOf(and(sev, zero), sevEs).igvm?.others).toEqual(['coconut']);
      for (const [one, two] of [
        [igvmAccountOf(file, way.microsoft), igvmAccountOf(behind)],
        [igvmAccountOf(file, way.microsoft), igvmAccountOf(behind, way.coconut)],
        [igvmAccountOf(behind, way.microsoft), igvmAccountOf(and(behind, pageAt('0x9d000')))],
        [igvmAccountOf(areas, way.microsoft), igvmAccountOf(and(areas, first))],
        [igvmAccountOf(sev, { ...way.coconut, ...sevEs }), igvmAccountOf(and(sev, pageAt('0x9000'), zero), sevEs)],
      ] as const) {
        for (const [expected, found] of [
          [one, two],
          [two, one],
        ] as const) {
          const { names, differences } = explained(expected, found);
          expect(names).toContain('igvm-pages');
          const [cause] = explained(expected, found).causes;
          expect(cause?.explains.map(({ gpa, name }) => [gpa, name])).toContainEqual([
            differences.find(({ kind }) => /step-(?:added|missing)/.test(kind))?.gpa,
            'page data',
          ]);
        }
      }
      // A plan of before says nothing, and microsoft/igvm may have left the page out.
      const [one, two] = [igvmAccountOf(file, way.microsoft), igvmAccountOf(behind)].map(unsaid);
      if (one === undefined || two === undefined) throw new Error('two');
      expect(explained(one, two).names).toEqual(['igvm-loader']);
    });

    it('are nobody’s of one file on which both plans say that the loaders agree', () => {
      const [expected, found] = [igvmAccountOf(file), igvmAccountOf(file, way.coconut)];
      expect(explained(expected, found).differences).toEqual([]);
      const edited = { ...found, digest: new Uint8Array(48) };
      expect(explained(expected, edited)).toMatchObject({ names: [], unexplained: [{ kind: 'digest' }] });
      expect(explained(unsaid(expected), unsaid(edited)).names).toEqual(['igvm-loader']);
      const zeros = igvmAccountOf(file, { ...way.coconut, nativeZero: true });
      expect(zeros.igvm?.others).toEqual([]);
      expect(explained(expected, zeros)).toMatchObject({ names: ['igvm-loader'], unexplained: [] });
    });

    it('are of the files but for what those loaders have otherwise', () => {
      const qemu = igvmAccountOf(all);
      expect(lines(explained(qemu, igvmAccountOf(and(all, pageAt('0x9000')), way.coconut)))).toEqual([
        ['igvm-pages', 'step-added page data'],
        ['igvm-loader', 'step-length parameters 1', 'vcpus vCPUs'],
      ]);
      expect(lines(explained(qemu, igvmAccountOf(without(all, '0x5000'), way.coconut)))).toEqual([
        ['igvm-pages', 'step-missing cpuid'],
        ['igvm-loader', 'step-length parameters 1', 'vcpus vCPUs'],
      ]);
      const longer = changed(all, (one) => (one.kind === 'area' ? [{ ...one, size: 0x3000 }] : [one]));
      expect(lines(explained(igvmAccountOf(all, way.microsoft), igvmAccountOf(longer)))).toEqual([
        ['igvm-pages', 'step-length parameters 1'],
      ]);
      const [first] = file.directives.filter(({ kind }) => kind === 'page');
      const contents = changed(file, (one) => (one === first && one.kind === 'page' ? [{ ...one, data: 99 }] : [one]));
      expect(lines(explained(igvmAccountOf(file), igvmAccountOf(contents, way.coconut)))).toEqual([
        ['igvm-contents', 'step-contents page data'],
      ]);
      const types = changed(all, (one) =>
        one.kind === 'page' && one.gpa === '0x5000' ? [{ ...one, type: 1 }] : [one],
      );
      expect(lines(explained(qemu, igvmAccountOf(types, way.coconut)))[0]).toEqual(['igvm-pages', 'step-type cpuid']);
    });

    it('are of igvmmeasure where it counts VMSAs of other platforms, and of the file where it counts fewer', () => {
      const [two, one] = [named('two VMSAs'), named('VMSA of another platform')];
      const more = { ...one, directives: one.directives.filter((each) => each.kind !== 'page') };
      const fewer = { ...two, directives: two.directives.filter((each) => each.kind !== 'page') };
      const counted = (a: LaunchAccount, b: LaunchAccount) =>
        explained(a, b).causes.find(({ explains }) => explains.some(({ kind }) => kind === 'vcpus'))?.name;
      const single = { ...fewer, directives: fewer.directives.slice(0, 1) };
      const page = [pageAt('0x1000', 1)];
      const [single1, two1, more1] = [and(single, ...page), and(fewer, ...page), and(more, ...page, pageAt('0x7000'))];
      expect(counted(igvmAccountOf(single1), igvmAccountOf(more1, way.coconut))).toBe('igvm-loader');
      expect(counted(igvmAccountOf(more1, way.coconut), igvmAccountOf(single1))).toBe('igvm-loader');
      const twice = changed(single1, (each) => (each.kind === 'vcpu' ? [each, each] : [each]));
      expect(counted(igvmAccountOf(single1), igvmAccountOf(twice, way.microsoft))).toBe('igvm-loader');
      // Of two vCPUs, the loaders agree on the VMSAs, as plans say; those of before did not.
      for (const [expected, found, name] of [
        [igvmAccountOf(single1), igvmAccountOf(two1, way.microsoft), 'igvm-loader'],
        [igvmAccountOf(two1), igvmAccountOf(single1, way.coconut), 'igvm-vmsa'],
        [igvmAccountOf(single1, way.coconut), igvmAccountOf(two1), 'igvm-vmsa'],
        [igvmAccountOf(two1, way.microsoft), igvmAccountOf(single1, way.coconut), 'igvm-vmsa'],
      ] as const) {
        expect(counted(expected, found)).toBe('igvm-vmsa');
        expect(counted(unsaid(expected), unsaid(found))).toBe(name);
      }
    });

    it('are of microsoft/igvm where it leaves out pages, and of the file where others do', () => {
      const shared = named('shared pages');
      const other = changed(shared, fields);
      const left = lines(explained(igvmAccountOf(shared), igvmAccountOf(other, way.microsoft)));
      expect(left.map(([name]) => name)).toEqual(['igvm-loader', 'igvm-vmsa']);
      const more = lines(explained(igvmAccountOf(other, way.microsoft), igvmAccountOf(shared)));
      expect(more.map(([name]) => name)).toEqual(['igvm-loader', 'igvm-vmsa']);
      const large = named('2 MiB of zeros');
      expect(lines(explained(igvmAccountOf(large), igvmAccountOf(changed(large, fields), way.microsoft)))[0]).toEqual([
        'igvm-loader',
        'step-length page data',
      ]);
      const { names } = explained(
        igvmAccountOf(without(other, '0x2000')),
        igvmAccountOf(and(shared, pageAt('0x9000')), way.microsoft),
      );
      expect(names).toEqual(['igvm-pages', 'igvm-loader', 'igvm-vmsa']);
    });

    it('are of QEMU where it measures the same pages in another order or other steps', () => {
      const behind = named('parameter area behind pages');
      const other = changed(behind, fields);
      for (const [expected, found] of [
        [igvmAccountOf(behind), igvmAccountOf(other, way.coconut)],
        [igvmAccountOf(other, way.microsoft), igvmAccountOf(behind)],
      ] as const) {
        const { names, unexplained, differences } = explained(expected, found);
        expect(names).toEqual(['igvm-loader', 'igvm-vmsa']);
        expect(unexplained).toEqual([]);
        expect(differences.map(({ kind }) => kind)).toContain('step-order');
      }
      const turned = {
        ...behind,
        directives: [3, 1, 2, 0, 4, 5, 6].flatMap((i) => behind.directives[i] ?? []),
      };
      expect(explained(igvmAccountOf(behind), igvmAccountOf(turned, way.coconut)).names).toContain('igvm-pages');
      const split = { ...behind, directives: behind.directives.filter((one) => one.kind !== 'insert') };
      const sooner = { ...behind, directives: [0, 4, 1, 2, 3, 5, 6].flatMap((i) => behind.directives[i] ?? []) };
      const [moved] = lines(explained(igvmAccountOf(sooner, way.microsoft), igvmAccountOf(behind, way.coconut)));
      expect(moved?.[0]).toBe('igvm-pages');
      expect(moved?.some((one) => one.startsWith('step-order'))).toBe(true);
      const insert = behind.directives.filter((one) => one.kind === 'insert');
      expect(insert).toHaveLength(1);
      expect(explained(igvmAccountOf(split, way.microsoft), igvmAccountOf(behind, way.coconut)).names).toEqual([
        'igvm-pages',
      ]);
    });

    it('are of igvmmeasure where it has zero pages, and of SEV’s loaders where one hashes nothing', () => {
      const zeros = { ...way.coconut, nativeZero: true };
      const { names, unexplained } = explained(igvmAccountOf(file), igvmAccountOf(changed(file, fields), zeros));
      expect(names).toEqual(['igvm-loader', 'igvm-vmsa']);
      expect(unexplained).toEqual([]);
      const alone = and(file, pageAt('0x20000', null));
      for (const loader of [way.qemu, way.microsoft]) {
        const [first] = lines(explained(igvmAccountOf(file, loader), igvmAccountOf(changed(file, fields), zeros)));
        expect(first?.[0]).toBe('igvm-loader');
        const [type] = lines(explained(igvmAccountOf(alone, loader), igvmAccountOf(changed(alone, fields), zeros)));
        expect(type).toContain('step-type page data');
        expect(type?.[0]).toBe('igvm-loader');
      }
      // Nobody but igvmmeasure has such pages: in another plan somebody has put them there.
      const edited = (account: LaunchAccount) => ({
        ...account,
        steps: account.steps?.map((step) => (step.gpa === 0x20000n ? { ...step, type: 'zero' as const } : step)),
      });
      for (const loader of [way.qemu, way.microsoft]) {
        const [own, other] = [igvmAccountOf(alone, way.coconut), edited(igvmAccountOf(changed(alone, fields), loader))];
        for (const [expected, found] of [
          [unsaid(own), unsaid(other)],
          [unsaid(other), unsaid(own)],
        ] as const) {
          const type = explained(expected, found).causes.find(({ explains }) =>
            explains.some(({ kind }) => kind === 'step-type'),
          );
          expect(type?.name).toBe('igvm-pages');
        }
      }
      const sev = named('SEV: zeros and unmeasured');
      const ofSev = explained(
        igvmAccountOf(sev, sevEs),
        igvmAccountOf(changed(sev, fields), { ...way.coconut, ...sevEs }),
      );
      expect(ofSev.names).toContain('igvm-loader');
      expect(ofSev.names).not.toContain('igvm-pages');
    });
  });

  it('name another platform of another file, and leave fields of VMSAs to their own', () => {
    const changedToo = changed(all, vmsaOf([0x310, '0006000000000000']));
    const { names, unexplained, causes } = explained(
      igvmAccountOf(all),
      igvmAccountOf(changedToo, { platform: 'sev-es' }),
    );
    expect(names).toEqual(['platform', 'igvm-vmsa']);
    expect(unexplained).toEqual([]);
    expect(causes[0]?.because).toContain('from another IGVM file');
    expect(causes[0]?.attempt).toContain('bootseal measure igvm --platform sev-es');
  });

  it('are of the VMSA alone where pages come behind it', () => {
    const first = changed(named('VMSA first'), vmsaOf([0x310, '0006000000000000']));
    const way = { loader: 'coconut' } as const;
    expect(explained(igvmAccountOf(named('VMSA first'), way), igvmAccountOf(first, way))).toMatchObject({
      names: ['igvm-vmsa'],
      differences: [{ kind: 'vmsa-field', name: 'rdx' }],
      first: { step: 0 },
      unexplained: [],
    });
  });

  it('are of the VMSA where plans have the digest after it and not what is in it', () => {
    const untold = (recipe: IgvmRecipe) => ({ ...igvmAccountOf(recipe), vmsas: undefined });
    expect(explained(untold(file), untold(rdx))).toMatchObject({
      names: ['igvm-vmsa'],
      differences: [{ kind: 'step-contents', name: 'vcpu 0' }],
      unexplained: [],
    });
  });

  it('are no firmware’s, whatever differs', () => {
    const accounts = files.flatMap((recipe) => {
      try {
        return [igvmAccountOf(recipe, { loader: 'coconut' })];
      } catch {
        return [];
      }
    });
    expect(accounts.length).toBeGreaterThan(15);
    for (const expected of accounts) {
      for (const found of accounts) {
        const { names, unexplained } = explained(expected, found);
        for (const name of names) expect(name).toMatch(/^(?:igvm-[a-z]+|platform)$/);
        expect(unexplained).toEqual([]);
      }
    }
  });
});

describe('causes of TDX guests', () => {
  const linux = fixture('tdx-boot/linux.efi');
  const changedAt = (image: Uint8Array, at: number) =>
    Uint8Array.from(image, (byte, i) => (i === at ? byte ^ 1 : byte));
  const page = { image: changedAt(TDVF, 0x100000) };
  // Free space at the end of the variable store.
  const store = { image: changedAt(TDVF, 0x83fff) };
  const newer = { image: fixture('debian-ovmf/OVMF_2026.08.fd') };
  const boot = { kernel: linux, initrd: 'initrd', memory: 2 ** 32, tables: 'DSDT' };
  const old = { ...boot, kernelHeader: 'changed' } as const;
  const measuring = { ...boot, items: { bootorder: '/rom' }, build: { fwCfg: true, smbios: true } };
  const smbios = fixture('smbios/smbios-3.0.bin');
  const otherKernel = changedAt(linux, 0x800);
  const silent = linuxKernel({ release: '6.1.0-50-amd64' });
  const bare = { memory: 2 ** 32, tables: 'DSDT' };

  it.each<[what: string, expected: TdxRecipe, found: TdxRecipe, names: readonly CauseName[]]>([
    ['nothing', {}, {}, []],
    ['nothing of a boot', boot, boot, []],
    ['a boot that one side does not tell', {}, boot, []],
    ['another order', {}, { order: 'two-pass' }, ['tdx-order']],
    ['another page', {}, page, ['tdx-firmware']],
    ['another page in two passes', { order: 'two-pass' }, { ...page, order: 'two-pass' }, ['tdx-firmware']],
    ['another page and another order', {}, { ...page, order: 'two-pass' }, ['tdx-order', 'tdx-firmware']],
    ['another variable store, which MRTD does not have', {}, store, []],
    ['another variable store, which RTMR0 has', boot, { ...boot, ...store }, ['tdx-firmware']],
    ['another build', {}, newer, ['tdx-firmware']],
    ['another build and its list of memory', boot, { ...boot, ...newer }, ['tdx-firmware']],
    [
      'another build that measures more',
      { ...boot, ...newer, smbios: otherSmbios(smbios) },
      { ...measuring, smbios },
      ['tdx-firmware'],
    ],
    ['another kernel', boot, { ...boot, kernel: otherKernel }, ['tdx-kernel']],
    ['a kernel that extends nothing', boot, { ...boot, kernel: silent }, ['tdx-kernel']],
    [
      'a kernel that extends nothing, and another initrd',
      boot,
      { ...boot, kernel: silent, initrd: 'other' },
      ['tdx-kernel'],
    ],
    [
      'a kernel that extends nothing, and another command line',
      boot,
      { ...boot, kernel: silent, cmdline: 'x' },
      ['tdx-kernel'],
    ],
    ['another kernel and no initrd', boot, { ...bare, kernel: otherKernel }, ['tdx-kernel', 'tdx-initrd']],
    ['another header', boot, old, ['tdx-kernel-header']],
    ['another header by its size of memory', old, { ...old, memory: 2 ** 30 }, ['tdx-kernel-header', 'tdx-memory']],
    ['another initrd', boot, { ...boot, initrd: 'other' }, ['tdx-initrd']],
    ['no initrd', boot, { kernel: linux, memory: 2 ** 32, tables: 'DSDT' }, ['tdx-initrd']],
    ['an initrd', { kernel: linux, memory: 2 ** 32, tables: 'DSDT' }, boot, ['tdx-initrd']],
    ['another command line', boot, { ...boot, cmdline: 'quiet\n' }, ['tdx-cmdline']],
    ['no command line', { kernel: linux }, { kernel: linux, cmdline: '' }, ['tdx-cmdline']],
    ['another size of memory', boot, { ...boot, memory: 2 ** 31 }, ['tdx-memory']],
    ['other ACPI tables', boot, { ...boot, tables: 'FACP' }, ['tdx-host-files']],
    [
      'other SMBIOS tables',
      { ...measuring, smbios },
      { ...measuring, smbios: otherSmbios(smbios) },
      ['tdx-host-files'],
    ],
    ['another item of fw_cfg', measuring, { ...measuring, items: { bootorder: '/cdrom' } }, ['tdx-host-files']],
    ['an item of fw_cfg less', measuring, { ...measuring, items: {} }, ['tdx-host-files']],
    ['a boot menu', measuring, { ...measuring, bootMenu: true }, ['tdx-host-files']],
    [
      'a boot option more',
      boot,
      { ...boot, bootVariables: { BootOrder: '10', Boot3031: 'option' } },
      ['tdx-host-files'],
    ],
    ['another separator', boot, { ...old, profile: 'edk2-202211' }, ['tdx-kernel-header', 'tdx-profile']],
    ['initrd=initrd first', boot, { ...boot, profile: 'edk2-202508' }, ['tdx-profile']],
    [
      'all of it',
      boot,
      {
        ...page,
        order: 'two-pass',
        kernel: otherKernel,
        initrd: 'other',
        cmdline: 'x',
        memory: 2 ** 31,
        tables: 'FACP',
        profile: 'edk2-202211',
      },
      [
        'tdx-order',
        'tdx-kernel',
        'tdx-cmdline',
        'tdx-initrd',
        'tdx-profile',
        'tdx-memory',
        'tdx-host-files',
        'tdx-firmware',
      ],
    ],
  ])('%s', (_what, one, other, names) => {
    for (const [expected, found] of [
      [tdxAccountOf(one), tdxAccountOf(other)],
      [tdxAccountOf(other), tdxAccountOf(one)],
    ] as const) {
      const explanation = explained(expected, found);
      expect(explanation).toMatchObject({ names, unexplained: [] });
      expect(explanation.differences.length > 0).toBe(names.length > 0);
    }
  });

  it('say where the pages part, in the plans and in words', () => {
    const { first, causes } = explained(tdxAccountOf(), tdxAccountOf(page));
    expect(first).toMatchObject({ step: 0, expected: { name: 'BFV' }, found: { name: 'BFV' } });
    expect(causes[0]?.because).toMatch(
      /^the firmware is another file, [0-9a-f]{12}, and 14954040cc75 was expected: another build, or a file that was changed, BFV at 0xffc84000 is the first that differs$/,
    );
    const both = explained(tdxAccountOf(), tdxAccountOf({ ...page, order: 'two-pass' }));
    expect(both.causes.map(({ because }) => because)).toEqual([
      expect.stringMatching(/page-wise was expected, as KVM in Linux .*two-pass was found, as Canonical’s TDX stack/),
      expect.stringMatching(/which of its pages differ shows only in two plans of the same order$/),
    ]);
    expect(both.causes[0]?.attempt).toBe('--order two-pass');
    const { causes: rtmr } = explained(tdxAccountOf(boot), tdxAccountOf({ ...boot, ...store }));
    expect(rtmr[0]?.because).toMatch(/MRTD does not show it, and CFV in RTMR0 does$/);
  });

  it('are none of what the files do not show, which is listed', () => {
    const text = JSON.stringify;
    const change = (
      recipe: TdxRecipe,
      edit: (result: {
        digest: string;
        plan: { digest: string }[];
        events: { rtmr: number; name: string; digest: string }[];
        rtmrs: { value: string }[];
      }) => void,
    ) => {
      const document = JSON.parse(tdxDocument(recipe));
      edit(document.results[0]);
      return parsePlanDocument(text(document));
    };
    const other = 'ef'.repeat(48);
    const kindsOf = (found: LaunchAccount) => {
      const { names, unexplained } = explained(tdxAccountOf(boot), found);
      expect(names).toEqual([]);
      return unexplained.map(({ kind, name, rtmr }) => [kind, name, rtmr]);
    };
    const event = (name: string) => (found: { events: { rtmr: number; name: string; digest: string }[] }) => {
      const one = found.events.find((item) => item.name === name);
      if (one === undefined) throw new Error(name);
      one.digest = other;
    };
    for (const [name, rtmr] of [
      ['kernel', 1],
      ['load options', 2],
      ['initrd', 2],
      ['CFV', 0],
      ['variable PK', 0],
      ['variable Boot0000', 0],
      ['etc/acpi/tables', 0],
    ] as const) {
      expect(kindsOf(change(boot, event(name)))).toEqual([['event-digest', name, rtmr]]);
    }
    expect(kindsOf(change(boot, ({ rtmrs }) => Object.assign(rtmrs[1] ?? {}, { value: other })))).toEqual([
      ['rtmr', 'value', 1],
    ]);
    expect(kindsOf(change(boot, (result) => Object.assign(result, { digest: other })))).toEqual([
      ['digest', 'MRTD', undefined],
    ]);
    const ofOther = change({ ...boot, image: store.image }, (result) => Object.assign(result, { digest: other }));
    expect(explained(tdxAccountOf(boot), ofOther).unexplained).toMatchObject([{ kind: 'digest', name: 'MRTD' }]);
    const step = (result: { digest: string; plan: { digest: string }[] }) => {
      result.digest = other;
      Object.assign(result.plan[0] ?? {}, { digest: other });
    };
    expect(kindsOf(change(boot, step))).toEqual([['step-contents', 'BFV', undefined]]);
  });

  describe('are those that the plans bear out', () => {
    const other = 'ef'.repeat(48);
    /** A plan in which somebody has changed one event. */
    const edited = (recipe: TdxRecipe, name: string, edit: { name?: string; rtmr?: number; digest?: string }) => {
      const document = JSON.parse(tdxDocument(recipe));
      const event = document.results[0].events.findLast((one: { name: string }) => one.name === name);
      Object.assign(event, edit);
      return parsePlanDocument(JSON.stringify(document));
    };
    const both = (recipe: TdxRecipe, found: LaunchAccount) => {
      const expected = tdxAccountOf(recipe);
      return [explained(expected, found), explained(found, expected)];
    };
    const left = ({ unexplained }: ReturnType<typeof explained>) =>
      unexplained.map(({ kind, name, rtmr }) => `${kind} ${name} ${rtmr}`);
    const because = (name: CauseName, explanation: ReturnType<typeof explained>) =>
      explanation.causes.find((cause) => cause.name === name)?.because;

    it('the header of a kernel, by the length of the initrd and the size of memory alone', () => {
      for (const explanation of both(old, edited(old, 'kernel', { digest: other }))) {
        expect([explanation.names, left(explanation)]).toEqual([[], ['event-digest kernel 1']]);
      }
      // Of these none is in the header: another command line, another initrd of the same length, and without one the size of memory.
      const { initrd: _initrd, ...bare } = old;
      for (const [one, two, names] of [
        [old, { ...old, cmdline: 'quiet\n' }, ['tdx-cmdline']],
        [old, { ...old, initrd: 'drtini' }, ['tdx-initrd']],
        [bare, { ...bare, memory: 2 ** 30 }, ['tdx-memory']],
      ] as const) {
        for (const explanation of both(one, edited(two, 'kernel', { digest: other }))) {
          expect([explanation.names, left(explanation)]).toEqual([names, ['event-digest kernel 1']]);
        }
      }
      const longer = explained(tdxAccountOf(old), tdxAccountOf({ ...old, initrd: 'a longer one' }));
      expect([longer.names, longer.unexplained]).toEqual([['tdx-kernel-header', 'tdx-initrd'], []]);
      expect(because('tdx-kernel-header', longer)).toMatch(/otherwise: another length of the initrd$/);
      const added = explained(tdxAccountOf(bare), tdxAccountOf(old));
      expect([added.names, added.unexplained]).toEqual([['tdx-kernel-header', 'tdx-initrd'], []]);
      const less = explained(tdxAccountOf(old), tdxAccountOf({ ...old, memory: 2 ** 30 }));
      expect(because('tdx-kernel-header', less)).toMatch(/otherwise: another size of memory$/);
      const all = explained(tdxAccountOf(old), tdxAccountOf({ ...old, initrd: 'a longer one', memory: 2 ** 30 }));
      expect(because('tdx-kernel-header', all)).toMatch(/: another length of the initrd, another size of memory$/);
    });

    it('a length of the initrd that a plan does not say, by its contents', () => {
      const document = JSON.parse(tdxDocument({ ...old, initrd: 'a longer one' }));
      delete document.inputs.initrd.bytes;
      const { names, unexplained } = explained(tdxAccountOf(old), parsePlanDocument(JSON.stringify(document)));
      expect([names, unexplained]).toEqual([['tdx-kernel-header', 'tdx-initrd'], []]);
    });

    it('a profile, only for what the two have otherwise', () => {
      const older = { ...boot, kernelHeader: 'unchanged', profile: 'edk2-202411' } as const;
      for (const explanation of both(boot, tdxAccountOf(older))) expect(explanation.differences).toEqual([]);
      for (const explanation of both(boot, edited(older, 'load options', { digest: other }))) {
        expect([explanation.names, left(explanation)]).toEqual([[], ['event-digest load options 2']]);
      }
      for (const explanation of both(boot, edited(older, 'separator', { rtmr: 2 }))) {
        expect(explanation.names).toEqual([]);
        expect(explanation.unexplained).toHaveLength(2);
      }
      // A separator in RTMR0 moves no load options, and a word that moves does so only where there is an initrd.
      const oldest = { ...older, profile: 'edk2-202211' } as const;
      for (const explanation of both(boot, edited(oldest, 'load options', { digest: other }))) {
        expect([explanation.names, left(explanation)]).toEqual([['tdx-profile'], ['event-digest load options 2']]);
        expect(because('tdx-profile', explanation)).toMatch(/puts the separator is another place$/);
      }
      for (const explanation of both(oldest, edited(older, 'separator', { rtmr: 2 }))) {
        expect(explanation.names).toEqual(['tdx-profile']);
        const separators = explanation.unexplained.filter(({ name }) => name === 'separator');
        expect(separators).toMatchObject([{ rtmr: 2 }]);
      }
      const { initrd: _initrd, ...bare } = boot;
      const newest = { ...bare, profile: 'edk2-202508' };
      for (const explanation of both(bare, edited(newest, 'load options', { digest: other }))) {
        expect([explanation.names, left(explanation)]).toEqual([[], ['event-digest load options 2']]);
      }
      for (const explanation of both(boot, edited({ ...boot, profile: 'edk2-202508' }, 'separator', { rtmr: 0 }))) {
        expect(explanation.names).toEqual(['tdx-profile']);
        expect(explanation.unexplained.map(({ name }) => name)).toEqual(['separator', 'separator']);
        expect(because('tdx-profile', explanation)).toMatch(/puts initrd=initrd is another place$/);
      }
    });
  });

  it('are the host’s files where its loader alone is other, and loads fewer of them', () => {
    const loads = (...names: readonly string[]) => tdxAccountOf({ ...boot, loader: tableLoader(...names) });
    const all = loads('etc/acpi/rsdp', 'etc/acpi/tables');
    for (const [fewer, name] of [
      [loads('etc/acpi/tables'), 'etc/acpi/rsdp'],
      [loads('etc/acpi/rsdp'), 'etc/acpi/tables'],
    ] as const) {
      for (const [expected, found, kind] of [
        [all, fewer, 'event-missing'],
        [fewer, all, 'event-added'],
      ] as const) {
        expect(explained(expected, found)).toMatchObject({
          names: ['tdx-host-files'],
          differences: [
            { kind: 'event-digest', name: 'etc/table-loader' },
            { kind, name },
          ],
          unexplained: [],
        });
      }
    }
  });

  it('of another build and another order leave open which page is the first', () => {
    const open =
      /another build, or a file that was changed: which of its pages differ shows only in two plans of the same order$/;
    for (const [one, two] of [
      [{}, { ...newer, order: 'two-pass' }],
      [{ order: 'two-pass' }, newer],
    ] as const) {
      const { names, causes, unexplained } = explained(tdxAccountOf(one), tdxAccountOf(two));
      expect([names, unexplained]).toEqual([['tdx-order', 'tdx-firmware'], []]);
      expect(causes[1]?.because).toMatch(open);
    }
    const { causes } = explained(tdxAccountOf({ order: 'two-pass' }), tdxAccountOf({ ...newer, order: 'two-pass' }));
    expect(causes[0]?.because).toMatch(/BFV at 0xffc84000 is the first that differs$/);
  });

  it('leave out what a plan does not predict, and name it', () => {
    const bare = { kernel: linux, initrd: 'initrd' };
    const { differences, untold, unpredicted } = explained(tdxAccountOf(boot), tdxAccountOf(bare));
    expect([differences, untold]).toEqual([[], ['events']]);
    expect(unpredicted.map(({ rtmr, name }) => `${rtmr} ${name}`)).toEqual([
      '0 TD HOB',
      '0 etc/table-loader',
      '0 etc/acpi/rsdp',
      '0 etc/acpi/tables',
    ]);
    // One event stands for all items there.
    const { items: _items, ...unknown } = measuring;
    const [known, open] = [tdxAccountOf({ ...measuring, smbios }), tdxAccountOf({ ...unknown, smbios })];
    for (const items of [explained(known, open), explained(open, known)]) {
      expect([items.differences, items.untold]).toEqual([[], ['events']]);
      expect(items.unpredicted.map(({ name }) => name).sort()).toEqual(['BootMenu', 'bootorder', 'fw_cfg']);
    }
    expect(explained(tdxAccountOf(), tdxAccountOf(boot)).untold).toEqual(['rtmrs']);
    expect(explained(tdxAccountOf(boot), tdxAccountOf(boot)).untold).toEqual([]);
  });

  it('are the IGVM file where the other plan of TDX is of one', () => {
    const igvm = igvmAccountOf(named('all platforms'), { platform: 'tdx' });
    for (const tdx of [tdxAccountOf(), tdxAccountOf(boot)]) {
      for (const [expected, found] of [
        [tdx, igvm],
        [igvm, tdx],
      ] as const) {
        expect(explained(expected, found)).toMatchObject({
          names: ['igvm'],
          differences: [{ kind: 'digest' }],
          unexplained: [],
        });
      }
    }
  });

  it('are the platform alone against any other', () => {
    for (const other of [accountWith(), accountWith(es), accountWith(sev), igvmAccountOf(named('all agree'))]) {
      for (const tdx of [tdxAccountOf(), tdxAccountOf(boot)]) {
        for (const [expected, found] of [
          [tdx, other],
          [other, tdx],
        ] as const) {
          expect(explained(expected, found)).toMatchObject({
            names: ['platform'],
            differences: [{ kind: 'platform', expected: expected.platform, found: found.platform }],
            unexplained: [],
            untold: [],
            first: undefined,
          });
        }
      }
    }
  });
});

/** The same tables with another BIOS version: a letter in the strings behind their first structure. */
function otherSmbios(tables: Uint8Array): Uint8Array {
  const at = (tables[1] ?? 0) + 1;
  return Uint8Array.from(tables, (byte, i) => (i === at ? byte ^ 1 : byte));
}

describe('real logs', () => {
  /** The firmware of AMD's tree of 2023, as far as its trace shows it. */
  const amd: Tables = {
    ...AMDSEV,
    hashArea: [0x80fc00, 0x400],
    sev: [
      [0x800000, 0x9000, 1],
      [0x80a000, 0x3000, 1],
      [0x80d000, 0x1000, 2],
      [0x80e000, 0x1000, 3],
      [0x80f000, 0x1000, 0x10],
      [0x810000, 0x10000, 1],
    ],
  };

  it('show that AMDESE/AMDSEV issue 195 was none of memory: steps are as expected, its cause was DebugSwap', () => {
    const { account } = parseTraceLog(AMDSEV_195);
    expect(explained(accountWith(firmware(amd, 0x400000)), account)).toMatchObject({
      names: [],
      differences: [],
      first: undefined,
      untold: ['contents', 'kernel-hashes', 'vcpus', 'cpu-state'],
    });
  });

  it('are told apart from another firmware, and from a launch without kernel', () => {
    const { account } = parseTraceLog(AMDSEV_195);
    expect(explained(accountWith({ ...firmware(amd, 0x400000), ...none }), account)).toMatchObject({
      names: ['kernel-hashes-on'],
      first: { step: 5 },
    });
    const newer = {
      ...amd,
      sev: [
        ...(amd.sev?.filter(([gpa]) => gpa !== 0x80f000) ?? []),
        ...(amd.sev?.filter(([gpa]) => gpa === 0x80f000) ?? []),
      ],
    };
    expect(explained(accountWith(firmware(newer, 0x400000)), account).names).toEqual(['section-order']);
    expect(
      explained(accountWith({ ...sev, ...none, ...firmware(AMDSEV, 0x400000) }), parseTraceLog(QEMU_DEVEL_SEV).account),
    ).toMatchObject({ names: [], differences: [] });
    expect(
      explained(accountWith({ ...sev, ...firmware(AMDSEV, 0x400000) }), parseTraceLog(QEMU_DEVEL_SEV).account).names,
    ).toEqual(['kernel-hashes-off']);
  });

  it('of a firmware with another layout say nothing of kernel hashes, which are in another page there', () => {
    const debian = accountWith({ firmware: firmwareOf(fixture('debian-ovmf/OVMF.amdsev_2026.08.fd')) });
    const { names, differences } = explained(debian, parseTraceLog(AMDSEV_195).account);
    expect(names).toEqual(['sections']);
    expect(differences.find(({ name }) => name === 'SVSM_CAA')).toMatchObject({ expected: 'zero', found: 'normal' });
    const none = {
      ...debian,
      steps: debian.steps?.map((step) => (step.name === 'KERNEL_HASHES' ? { ...step, type: 'zero' as const } : step)),
    };
    expect(explained(none, parseTraceLog(AMDSEV_195).account).names).toEqual(['sections']);
    expect(explained(debian, none).names).toEqual(['kernel-hashes-off']);
  });

  it('of pages that other people made: sevctl’s VMSAs are those of an old QEMU with a Milan', () => {
    const found = parseVmsaDump(Buffer.concat([fixture('sevctl/vmsa0.bin'), fixture('sevctl/vmsa1.bin')])).account;
    expect(
      explained(accountWith({ ...es, ...profile('qemu-legacy'), cpus: [{ signature: MILAN }] }), found).names,
    ).toEqual([]);
    const { names, causes } = explained(accountWith({ ...es, kernel, cpus: [{ signature: GENOA }] }), found);
    expect(names).toEqual(['profile', 'cpu-model']);
    expect(causes.map(({ attempt }) => attempt)).toEqual(['--profile qemu-legacy', '--cpu-signature 0xa00f11']);
  });
});

describe('docs/mismatch.md', () => {
  const page = fs.readFileSync(path.join(import.meta.dirname, '../../../docs/mismatch.md'), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \|.*\| ([^|]*) \|$/gm)].map(([, name = '', attempt = '']) => ({
    name,
    attempt,
  }));

  it('has every cause, and no other', () => {
    expect([...new Set(rows.map(({ name }) => name))].sort()).toEqual([...CAUSES].sort());
  });

  it('has only what the launches above were explained by', () => {
    expect([...new Set(produced.map(({ name }) => name))].sort()).toEqual([...CAUSES].sort());
  });

  it('tells to try the options that these explanations name', () => {
    let held = 0;
    for (const { name, attempt } of rows) {
      const said = produced.filter((cause) => cause.name === name).map((cause) => cause.attempt);
      for (const [, option = ''] of attempt.matchAll(/`(--[a-z][^`]*)`/g)) {
        expect(
          said.filter((one) => one.includes(option)),
          `${name}: ${option}`,
        ).not.toEqual([]);
        held++;
      }
    }
    expect(held).toBeGreaterThan(12);
  });
});
