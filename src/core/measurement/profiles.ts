/**
 * @module Profiles: named, versioned descriptions of what a host adds to a launch by itself. The same guest has another digest
 * on another VMM or kernel; docs/profiles.md says how to find out which one runs.
 */
import { BootsealError } from '../errors.ts';
import { RESET_VECTOR, realModeSegment, type VmsaFields, vmsaPage } from './vmsa.ts';

/** One way in which hosts start encrypted guests. */
export interface Profile {
  readonly name: string;
  /** Counts up when the description changes, so that a digest can be traced to it. */
  readonly version: number;
  /** VMM and kernel versions that behave so. */
  readonly describes: string;
  /** Where that was read. */
  readonly source: string;
  readonly platforms: readonly ('sev-es' | 'snp')[];
  /** Whether the CPU model enters the digest, as RDX at reset. */
  readonly cpuMatters: boolean;
  /** Whether this host is known to put a kernel hash table into the guest; others boot guests from their disk. */
  readonly kernelHashes: boolean;
  /** Whether guests have memory where QEMU's PC machines have it; where others have it is not known here. */
  readonly pcMemory: boolean;
  /** How SNP_SEC_MEM sections are added: as ZERO pages or as UNMEASURED ones. */
  readonly secMem: 'zero' | 'unmeasured';
  /** Whether the CPUID page comes after all other metadata sections instead of in its place. */
  readonly cpuidLast: boolean;
  /** Whether it starts guests with an SVSM below the firmware: it may, or it does nothing else. */
  readonly svsm: 'no' | 'may' | 'always';
  /** Guest physical address that the PSP measures VMSA pages at. */
  readonly vmsaGpa: bigint;
  /** Fields in which this host's reset state differs; `signature` is the CPUID signature of the CPU model. */
  state(vcpu: 'bsp' | 'ap', signature: number, resetAddress: number): Partial<VmsaFields>;
}

/** KVM's INITIAL_VMSA_GPA (Linux arch/x86/kvm/svm/sev.c): the highest page of a 48-bit address space. */
export const KVM_VMSA_GPA = 0xffff_ffff_f000n;

/** Start state at `address`: CS holds the upper half, IP the lower. */
function startAt(address: number, csAttributes: number): Pick<VmsaFields, 'cs' | 'rip'> {
  return {
    cs: realModeSegment(csAttributes, 0xf000, (address & 0xffff0000) >>> 0),
    rip: BigInt(address & 0xffff),
  };
}

const start = (vcpu: 'bsp' | 'ap', resetAddress: number) => (vcpu === 'bsp' ? RESET_VECTOR : resetAddress);

const common = {
  platforms: ['sev-es', 'snp'],
  cpuMatters: true,
  kernelHashes: true,
  pcMemory: false,
  secMem: 'zero',
  cpuidLast: false,
  svsm: 'no',
  vmsaGpa: KVM_VMSA_GPA,
} as const;

const qemuLegacy: Profile = {
  ...common,
  pcMemory: true,
  svsm: 'may',
  name: 'qemu-legacy',
  version: 1,
  describes:
    'QEMU before 9.1, or later with legacy-vm-type=on; kernels before 6.10 and the AMD and COCONUT host kernels of 2023: KVM_SEV_INIT or KVM_SEV_ES_INIT, floating-point state left zero',
  source:
    'virtee/sevctl tests/data vmsa0.bin and vmsa1.bin; libvirt virt-qemu-sev-validate; Linux arch/x86/kvm/svm/sev.c',
  state: (vcpu, signature, resetAddress) => ({
    ...startAt(start(vcpu, resetAddress), 0x9b),
    rdx: BigInt(signature),
  }),
};

const qemu: Profile = {
  ...qemuLegacy,
  version: 1,
  name: 'qemu',
  describes:
    'QEMU 9.1 and later on Linux 6.10 and later (SNP: 6.11): KVM_SEV_INIT2, floating-point reset state in the VMSA',
  source: 'virtee/sev-snp-measure 0.0.13 sevsnpmeasure/vmsa.py; Linux arch/x86/kvm/svm/sev.c, sev_es_sync_vmsa',
  state: (vcpu, signature, resetAddress) => ({
    ...qemuLegacy.state(vcpu, signature, resetAddress),
    mxcsr: 0x1f80,
    x87_fcw: 0x37f,
  }),
};

function ec2(name: string, rdx: bigint, describes: string, source: string): Profile {
  return {
    ...common,
    name,
    version: 1,
    describes,
    source,
    platforms: ['snp'],
    cpuMatters: false,
    kernelHashes: false,
    cpuidLast: true,
    state: (vcpu, _signature, resetAddress) => ({
      ...startAt(start(vcpu, resetAddress), vcpu === 'bsp' ? 0x9a : 0x9b),
      ss: realModeSegment(0x92),
      tr: realModeSegment(0x83),
      rdx,
    }),
  };
}

function gce(name: string, vmsaGpa: bigint, describes: string): Profile {
  return {
    ...common,
    name,
    version: 1,
    describes,
    source: 'google/gce-tcb-verifier 74582c0 sev/measurement.go and sev/ld_from_ovmf.go; virtee/sev-snp-measure 0.0.13',
    platforms: ['snp'],
    cpuMatters: false,
    kernelHashes: false,
    secMem: 'unmeasured',
    vmsaGpa,
    state: (vcpu, _signature, resetAddress) => ({
      ...startAt(start(vcpu, resetAddress), 0x9b),
      rdx: 0x600n,
      g_pat: 0x70106n,
    }),
  };
}

const krun: Profile = {
  ...common,
  name: 'krun',
  version: 1,
  describes:
    'CPU state of libkrun 1.x guests over an OVMF-like firmware; the memory plan of libkrun’s own qboot bundle is not predicted',
  source: 'virtee/sev 9cf2adb src/vmsa/mod.rs init_krun (its src/measurement/vmsa.rs overwrites the AP segment again)',
  cpuMatters: false,
  kernelHashes: false,
  state: (vcpu) => ({
    ...(vcpu === 'bsp'
      ? { ...startAt(RESET_VECTOR, 0x9a), rsi: 0x7000n, rbp: 0x8ff0n, rsp: 0x8ff0n }
      : { cs: realModeSegment(0x9a, 0x9100, 0x91000), rip: 0n }),
    ss: realModeSegment(0x92),
    tr: realModeSegment(0x83),
    rdx: 0n,
  }),
};

/** All profiles; the first is the default. */
export const PROFILES: readonly Profile[] = [
  qemu,
  qemuLegacy,
  ec2(
    'ec2',
    0x600n,
    'Amazon EC2 SNP instances as seen since 2026',
    'virtee/sev-snp-measure 0.0.13 sevsnpmeasure/vmsa.py (changed by its PR 60, from hardware)',
  ),
  ec2(
    'ec2-2023',
    0n,
    'Amazon EC2 SNP instances from 2023 on, before RDX changed to 0x600',
    'virtee/sev-snp-measure 0.0.12; virtee/sev 9cf2adb src/measurement/vmsa.rs',
  ),
  gce('gce-milan', KVM_VMSA_GPA, 'Google Compute Engine SNP on Milan: VMSA at the top of 48 bits'),
  gce('gce-genoa', 0xf_ffff_ffff_f000n, 'Google Compute Engine SNP on Genoa: VMSA at the top of 52 bits'),
  krun,
];

/**
 * What no host does and a tool predicts: MXCSR set, FCW lost. It passes FCW by a name that its structure does not have. Not among
 * the profiles, so that nobody expects it of a host; `identify` names it.
 */
export const SNP_MEASURE_SVSM: Profile = {
  ...qemu,
  name: 'snp-measure-svsm',
  version: 1,
  describes:
    'no host: what sev-snp-measure up to 0.0.13 predicts in its mode snp:svsm, with half of the floating-point state',
  source: 'virtee/sev-snp-measure 0.0.13 sevsnpmeasure/vmsa.py',
  platforms: ['snp'],
  svsm: 'always',
  state: (vcpu, signature, resetAddress) => ({
    ...qemuLegacy.state(vcpu, signature, resetAddress),
    mxcsr: 0x1f80,
  }),
};

/** Returns the profile of that name; throws `usage` listing the names when there is none. */
export function findProfile(name: string): Profile {
  const profile = [...PROFILES, SNP_MEASURE_SVSM].find((candidate) => candidate.name === name);
  if (profile !== undefined) return profile;
  throw new BootsealError('usage', `unknown profile ${JSON.stringify(name.slice(0, 64))}`, {
    hint: `profiles are: ${PROFILES.map((known) => known.name).join(', ')}`,
  });
}

/** What a vCPU's initial state depends on besides the profile. */
export interface VcpuState {
  /** CPUID signature; not looked at where the profile's `cpuMatters` is false. */
  readonly signature: number;
  /** The SEV_FEATURES field, 64 bits. */
  readonly features: bigint;
  /** The firmware's reset address for application processors. */
  readonly resetAddress: number;
}

/** Returns the 4096-byte VMSA page of the boot processor (`bsp`) or of any other vCPU (`ap`). */
export function profileVmsa(profile: Profile, vcpu: 'bsp' | 'ap', state: VcpuState): Uint8Array {
  return vmsaPage({ ...profile.state(vcpu, state.signature, state.resetAddress), sev_features: state.features });
}
