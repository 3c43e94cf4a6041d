/** @module What the plan of a TDX guest tells besides the steps of its MRTD. */
import type { MrtdOrder } from '../measurement/mrtd.ts';
import type { Rtmr } from '../rtmr/events.ts';
import type { KernelHeader } from '../rtmr/profiles.ts';

/** An event that a plan predicts. */
export interface TdxEvent {
  readonly rtmr: Rtmr;
  /** Such as `EV_SEPARATOR`. */
  readonly type: string;
  readonly name: string;
  /** 48 bytes in hexadecimal; undefined where the plan does not predict it. */
  readonly digest: string | undefined;
}

/** A direct boot, where the plan was made with `--kernel`. */
export interface TdxBoot {
  /** Name of what the firmware does. */
  readonly profile: string;
  readonly kernelHeader: KernelHeader;
  /** Of the initrd; undefined without one, and where the plan does not say. */
  readonly initrdBytes: number | undefined;
  readonly events: readonly TdxEvent[];
  /** The values of RTMR0 to RTMR2, 48 bytes in hexadecimal; undefined for one that is not predicted. */
  readonly rtmrs: readonly (string | undefined)[];
}

/** The part of an account that TDX guests alone have. */
export interface TdxAccount {
  readonly order: MrtdOrder;
  /** SHA-256 in lower-case hexadecimal of the files that were measured, by their roles: `firmware`, `kernel` and so on. */
  readonly inputs: ReadonlyMap<string, string>;
  readonly boot: TdxBoot | undefined;
}
