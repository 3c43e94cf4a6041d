/** @module The launch plan: every step that enters a digest, in order, with the digest after it. */

/** What kind of contents a step has; for SNP these are the page types of PAGE_INFO. */
export type StepType = 'normal' | 'vmsa' | 'zero' | 'unmeasured' | 'secrets' | 'cpuid' | 'data';

/** One step: a run of bytes or pages that the host adds to the guest. */
export interface Step {
  /** What it is for a person: `firmware`, `SNP_SEC_MEM`, `vcpu 0`. */
  readonly name: string;
  readonly type: StepType;
  /** Guest physical address, bytes; absent for the VMSAs of SEV-ES, which have none in the digest, and where a descriptor does not say. */
  readonly gpa: bigint | undefined;
  /** Bytes; 0 where a descriptor does not say. */
  readonly length: number;
  /** The launch digest after this step. */
  readonly digest: Uint8Array;
}

/** Receives each step as it is measured. */
export type Trace = (step: Step) => void;
