/** @module Launch digests of a whole matrix of guests: every CPU model with every number of vCPUs, sharing what they share. */
import { BootsealError } from '../errors.ts';
import { type Firmware, parseFirmware } from '../firmware/firmware.ts';
import type { Hashes } from '../hash.ts';
import { checkSignature } from './cpu-models.ts';
import { checkFeatures } from './features.ts';
import { type KernelHashes, kernelHashTable } from './hash-table.ts';
import type { Step, Trace } from './plan.ts';
import { PROFILES, type Profile } from './profiles.ts';
import { sevDigest, sevEsDigests, startSevLaunch } from './sev.ts';
import { snpFirmwareDigest } from './snp.ts';
import { snpDigests, startSnpLaunch } from './snp-launch.ts';
import { placeSvsm, startSvsmLaunch, svsmVcpuPages } from './svsm.ts';
import { checkVcpuCounts, type VcpuPages, vcpuPages } from './vcpus.ts';

/** What bootseal measures. */
export type Platform = 'sev' | 'sev-es' | 'snp';

/** A firmware as its bytes, or as what a descriptor keeps of them. */
export interface MeasuredFirmware {
  readonly firmware: Firmware;
  /** Absent when only a descriptor is at hand, which is enough for SNP. */
  readonly image?: Uint8Array | undefined;
  /** The 48-byte SNP digest after the firmware's pages, where it is known already. */
  readonly snpDigest?: Uint8Array | undefined;
}

/** Returns an image as a firmware to be measured; throws `format` for malformed tables. */
export function firmwareOf(image: Uint8Array): MeasuredFirmware {
  return { image, firmware: parseFirmware(image) };
}

/** A CPU model; the name is for people, the signature is what is measured. */
export interface Cpu {
  readonly name?: string | undefined;
  readonly signature: number;
}

/** Guests to measure. */
export interface MeasureRequest {
  readonly platform: Platform;
  readonly firmware: MeasuredFirmware;
  /** Hashes of what is booted directly; absent when the guest boots from its disk. */
  readonly kernel?: KernelHashes | undefined;
  readonly profile: Profile;
  readonly vcpus: readonly number[];
  /** Exactly one without a signature for profiles in which the CPU does not matter. */
  readonly cpus: readonly Cpu[];
  /** SEV_FEATURES of the VMSA. */
  readonly features: bigint;
  readonly svsm?: { readonly image: Uint8Array; readonly varsSize: number } | undefined;
  /** Default: refuse. */
  readonly unknownSections?: 'refuse' | 'zero' | undefined;
  /** Whether to keep every step; default: no. */
  readonly plan?: boolean | undefined;
}

/** The most steps of vCPUs that the plans of one request have together: the plan of each guest repeats those of all smaller ones. */
export const MOST_PLAN_STEPS: number = 2 ** 16;

/** One guest's digest: 32 bytes for SEV and SEV-ES, 48 for SNP. CPU fields are absent for SEV, which measures no CPU state. */
export interface Measured {
  readonly platform: Platform;
  readonly profile: Profile | undefined;
  readonly vcpus: number | undefined;
  readonly cpu: Cpu | undefined;
  readonly features: bigint | undefined;
  readonly digest: Uint8Array;
  /** Present when the request asks for the plan. */
  readonly plan: readonly Step[] | undefined;
}

/**
 * Returns one result for plain SEV, otherwise one for each CPU with each number of vCPUs, in the order given. Throws `usage` for
 * combinations that no host can start and `format` for firmware that cannot serve the platform.
 */
export function measure(request: MeasureRequest, hashes: Hashes): readonly Measured[] {
  checkSvsm(request);
  if (request.platform === 'sev') return [measureSev(request, hashes)];
  checkRequest(request, request.platform);
  const shared: Step[] = [];
  const trace = request.plan ? (step: Step) => void shared.push(step) : undefined;
  const digests = request.platform === 'snp' ? snpMatrix(request, hashes, trace) : sevEsMatrix(request, hashes, trace);
  return request.cpus.flatMap((cpu) => {
    const own: Step[] = [];
    const values = digests(cpu, request.plan ? (step) => void own.push(step) : undefined);
    return request.vcpus.map((vcpus, i) => ({
      platform: request.platform,
      profile: request.profile,
      vcpus,
      cpu: request.profile.cpuMatters ? cpu : undefined,
      features: request.features,
      digest: values[i] ?? new Uint8Array(),
      plan: request.plan ? [...shared, ...own.slice(0, vcpus)] : undefined,
    }));
  });
}

/** Returns the digests of one CPU for all counts of the request. */
type Matrix = (cpu: Cpu, trace?: Trace) => readonly Uint8Array[];

function measureSev(request: MeasureRequest, hashes: Hashes): Measured {
  const steps: Step[] = [];
  const launch = startSevLaunch(
    wholeImage(request),
    request.firmware.firmware,
    hashTable(request),
    hashes,
    request.plan ? (step) => void steps.push(step) : undefined,
  );
  return {
    platform: 'sev',
    profile: undefined,
    vcpus: undefined,
    cpu: undefined,
    features: undefined,
    digest: sevDigest(launch),
    plan: request.plan ? steps : undefined,
  };
}

function sevEsMatrix(request: MeasureRequest, hashes: Hashes, trace: Trace | undefined): Matrix {
  const launch = startSevLaunch(wholeImage(request), request.firmware.firmware, hashTable(request), hashes, trace);
  return (cpu, own) => sevEsDigests(launch, pages(request, cpu), request.vcpus, own);
}

function snpMatrix(request: MeasureRequest, hashes: Hashes, trace: Trace | undefined): Matrix {
  const { firmware, profile } = request;
  const start = firmwareDigest(request, hashes, trace);
  if (request.svsm !== undefined) {
    const svsm = placeSvsm(request.svsm.image, firmware.firmware, request.svsm.varsSize);
    const launch = startSvsmLaunch(start, svsm, request.unknownSections ?? 'refuse', hashes, trace);
    return (cpu, own) =>
      snpDigests(launch, profile, svsmVcpuPages(profile, svsm, cpu.signature, request.features), request.vcpus, own);
  }
  const inputs = {
    firmware: firmware.firmware,
    profile,
    hashTable: hashTable(request),
    unknownSections: request.unknownSections ?? 'refuse',
  };
  const launch = startSnpLaunch(start, inputs, hashes, trace);
  return (cpu, own) => snpDigests(launch, profile, pages(request, cpu), request.vcpus, own);
}

/** Returns the SNP digest after the firmware's pages, from the image or from what is known of it. */
function firmwareDigest(request: MeasureRequest, hashes: Hashes, trace: Trace | undefined): Uint8Array {
  const { firmware, snpDigest } = request.firmware;
  if (snpDigest === undefined) return snpFirmwareDigest(wholeImage(request), firmware.gpa, hashes, trace);
  const { gpa, size } = firmware;
  trace?.({
    name: 'firmware',
    type: 'normal',
    gpa: size === 0 ? undefined : BigInt(gpa),
    length: size,
    digest: snpDigest,
  });
  return snpDigest;
}

function pages(request: MeasureRequest, cpu: Cpu): VcpuPages {
  return vcpuPages(request.profile, cpu.signature, request.features, request.firmware.firmware.resetAddress);
}

function hashTable(request: MeasureRequest): Uint8Array | undefined {
  return request.kernel === undefined ? undefined : kernelHashTable(request.kernel);
}

function wholeImage(request: MeasureRequest): Uint8Array {
  const { image } = request.firmware;
  if (image !== undefined) return image;
  throw new BootsealError('usage', `${request.platform} needs the firmware image itself, not its descriptor`, {
    hint: 'SEV and SEV-ES hash the whole image in one run with what follows; a descriptor keeps only what SNP needs',
  });
}

function checkRequest(request: MeasureRequest, platform: 'sev-es' | 'snp'): void {
  const { profile } = request;
  if (!profile.platforms.includes(platform)) {
    throw new BootsealError('usage', `profile ${profile.name} does not describe ${platform} guests`, {
      hint: `take a profile that does: ${profilesOf(platform).join(', ')}`,
    });
  }
  if (profile.svsm === 'always' && request.svsm === undefined) {
    throw new BootsealError('usage', `profile ${profile.name} describes guests with an SVSM only`, {
      hint: 'give --svsm, or take the profile of the host',
    });
  }
  if (request.vcpus.length === 0 || request.cpus.length === 0) {
    throw new BootsealError('usage', 'at least one number of vCPUs and one CPU are needed', {
      hint: 'give --vcpus, and --cpu or --cpu-signature',
    });
  }
  checkVcpuCounts(request.vcpus);
  for (const { signature } of request.cpus) checkSignature(signature);
  checkPlans(request);
  checkFeatures(platform, request.features);
}

const profilesOf = (platform: 'sev-es' | 'snp'): readonly string[] =>
  PROFILES.filter(({ platforms }) => platforms.includes(platform)).map(({ name }) => name);

function checkPlans({ plan, cpus, vcpus }: MeasureRequest): void {
  const steps = cpus.length * vcpus.reduce((sum, count) => sum + count, 0);
  if (plan !== true || steps <= MOST_PLAN_STEPS) return;
  const guests = cpus.length * vcpus.length;
  throw new BootsealError('usage', `the plans of ${guests} guests have ${steps} steps, more than ${MOST_PLAN_STEPS}`, {
    hint: 'ask for the plan of the largest guest alone: it has the digest of every smaller one after its last vCPU',
  });
}

function checkSvsm({ svsm, platform, kernel }: MeasureRequest): void {
  if (svsm === undefined) return;
  if (platform !== 'snp') {
    throw new BootsealError('usage', `an SVSM goes with snp guests only, not with ${platform}`, {
      hint: 'leave the SVSM out, or measure an snp guest',
    });
  }
  if (kernel === undefined) return;
  throw new BootsealError('usage', 'an SVSM goes without a kernel: nothing measures the kernel there', {
    hint: 'leave the kernel out: the firmware behind an SVSM starts one from its disk',
  });
}
