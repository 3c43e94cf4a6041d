/** @module An account of one launch, as its owner predicts it or a host tells it; what nobody said is absent, and not compared. */
import type { BootSlip } from '../identify/boots.ts';
import type { KernelHashes } from '../measurement/hash-table.ts';
import type { IgvmLoader } from '../measurement/igvm-loaders.ts';
import type { LaunchContents } from '../measurement/launch-contents.ts';
import type { Measured, Platform } from '../measurement/measure.ts';
import type { MrtdStep } from '../measurement/mrtd.ts';
import type { Step, StepType } from '../measurement/plan.ts';
import type { TdxAccount } from './tdx-account.ts';

/** A step as far as it is known. */
export interface AccountStep {
  /** Absent in logs, which name nothing. */
  readonly name: string | undefined;
  readonly type: StepType | MrtdStep['type'];
  readonly gpa: bigint | undefined;
  /** Bytes. */
  readonly length: number | undefined;
  /** The launch digest after it. */
  readonly digest: Uint8Array | undefined;
}

/** CPU state at the start. */
export interface VmsaAccount {
  /** A page of 4096 bytes for each vCPU, in their order; pages may be the same array. */
  readonly pages: readonly Uint8Array[];
  /** Bytes from the start of each that were told; what is behind them is not known. */
  readonly told: number;
  /** Whether the log ends before the last of them. */
  readonly cut: boolean;
}

/** An IGVM file that a guest is started from. */
export interface IgvmAccount {
  /** Whose rules were followed. */
  readonly loader: IgvmLoader;
  /** Of the file, lower-case hexadecimal. */
  readonly sha256: string;
  /** The loaders that make something else of the file, or stop at it; undefined where the plan does not say. */
  readonly others: readonly IgvmLoader[] | undefined;
  /** All steps as they are measured: VMSAs need not come last. */
  readonly steps: readonly AccountStep[];
}

/** One launch. */
export interface LaunchAccount {
  readonly from: 'plan' | 'trace' | 'vmsa-dump' | 'trace and vmsa-dump';
  readonly platform: Platform | 'tdx' | undefined;
  /** Name of the profile that the account claims for itself. */
  readonly profile: string | undefined;
  /** Absent for a guest of a firmware, and in logs, which do not say what they are of. */
  readonly igvm: IgvmAccount | undefined;
  /** Of a TDX guest alone. */
  readonly tdx: TdxAccount | undefined;
  /** All steps but those of vCPUs. */
  readonly steps: readonly AccountStep[] | undefined;
  /** The steps of vCPUs, where they are told. */
  readonly vcpuSteps: readonly AccountStep[] | undefined;
  readonly vcpus: number | undefined;
  readonly vmsas: VmsaAccount | undefined;
  /** Null when the account says that there are none. */
  readonly kernelHashes: KernelHashes | null | undefined;
  /** Where the command line itself is known: the hashes that the usual slips in it give. */
  readonly cmdlineSlips: ReadonlyMap<string, readonly BootSlip[]> | undefined;
  readonly digest: Uint8Array | undefined;
  /** 48 bytes: the digest that the host's ID block asks for. */
  readonly idBlockDigest: Uint8Array | undefined;
  /** Which ends of the log of the steps are missing. */
  readonly cut: 'start' | 'end' | 'both' | undefined;
}

/** Nothing said. */
export const NO_ACCOUNT: LaunchAccount = {
  from: 'plan',
  platform: undefined,
  profile: undefined,
  igvm: undefined,
  tdx: undefined,
  steps: undefined,
  vcpuSteps: undefined,
  vcpus: undefined,
  vmsas: undefined,
  kernelHashes: undefined,
  cmdlineSlips: undefined,
  digest: undefined,
  idBlockDigest: undefined,
  cut: undefined,
};

/** Returns the account of a launch that was measured with its plan. */
export function accountOf(measured: Measured, { kernelHashes, vmsas }: LaunchContents): LaunchAccount {
  const steps = (measured.plan ?? []).map(accountStep);
  const { platform, vcpus } = measured;
  return {
    ...NO_ACCOUNT,
    platform,
    profile: measured.profile?.name,
    ...splitSteps(steps),
    vcpus,
    vmsas: vmsas === undefined ? undefined : planVmsas(vmsas.bsp, vmsas.ap, vcpus ?? 1),
    kernelHashes: kernelHashes ?? null,
    digest: measured.digest,
  };
}

/** A length of 0 stands for one that a descriptor does not say. */
function accountStep({ length, ...step }: Step): AccountStep {
  return { ...step, length: length === 0 ? undefined : length };
}

/** Parts the steps of vCPUs from the others. */
export function splitSteps(steps: readonly AccountStep[]): Pick<LaunchAccount, 'steps' | 'vcpuSteps'> {
  return {
    steps: steps.filter(({ type }) => type !== 'vmsa'),
    vcpuSteps: steps.filter(({ type }) => type === 'vmsa'),
  };
}

/** The CPU state of a plan, which has one page for the boot processor and one for all others. */
export function planVmsas(bsp: Uint8Array, ap: Uint8Array | undefined, vcpus: number): VmsaAccount {
  const others = ap === undefined ? [] : Array.from({ length: vcpus - 1 }, () => ap);
  return { pages: [bsp, ...others], told: bsp.length, cut: false };
}
