/** @module One difference between what an owner expects of a launch and what was found. */
import type { Rtmr } from '../rtmr/events.ts';

/** What differs. */
export type DifferenceKind =
  | 'platform'
  | 'step-missing'
  | 'step-added'
  | 'step-type'
  | 'step-length'
  | 'step-contents'
  | 'step-order'
  | 'vcpus'
  | 'vmsa-address'
  | 'vmsa-field'
  | 'kernel-hash'
  | 'id-block'
  | 'mrtd-order'
  | 'firmware'
  | 'event-missing'
  | 'event-added'
  | 'event-digest'
  | 'rtmr'
  | 'digest';

/** A difference; values are texts for people, and stable for programs. */
export interface Difference {
  readonly kind: DifferenceKind;
  /** Of a step, an entry of the hash table, a field of the VMSA, or an event. */
  readonly name: string;
  /** Guest physical address of the step, bytes. */
  readonly gpa?: bigint | undefined;
  /** The first vCPU that differs so, and how many do. */
  readonly vcpu?: { readonly first: number; readonly count: number };
  /** The register that the event is extended into. */
  readonly rtmr?: Rtmr;
  /** Absent where nothing stands in its place, and `found` also where vCPUs have more values of a field than are told apart. */
  readonly expected: string | undefined;
  readonly found: string | undefined;
}

/** Returns a number as `0x` and hexadecimal digits. */
export const hexNumber = (value: number | bigint): string => `0x${value.toString(16)}`;
