/** @module What brings differences about in practice, and what to try. */
import type { Comparison } from './compare-launches.ts';
import type { Difference } from './difference.ts';

/** Names of causes; stable, since scripts may look for them. Each has a row in docs/mismatch.md. */
export const CAUSES = [
  'platform',
  'kernel-hashes-off',
  'kernel-hashes-on',
  'kernel',
  'initrd',
  'initrd-missing',
  'kernel-and-initrd-swapped',
  'cmdline',
  'cmdline-empty',
  'firmware-contents',
  'firmware-code-only',
  'firmware-size',
  'section-order',
  'sections',
  'svsm',
  'host-contents',
  'vcpus',
  'profile',
  'cpu-model',
  'vmsa-features',
  'reset-address',
  'fpu-half',
  'id-block',
  'igvm',
  'igvm-loader',
  'igvm-pages',
  'igvm-contents',
  'igvm-vmsa',
  'tdx-order',
  'tdx-firmware',
  'tdx-profile',
  'tdx-kernel',
  'tdx-kernel-header',
  'tdx-initrd',
  'tdx-cmdline',
  'tdx-memory',
  'tdx-host-files',
] as const;

/** One of them. */
export type CauseName = (typeof CAUSES)[number];

/** One cause. */
export interface Cause {
  readonly name: CauseName;
  /** One or two sentences. */
  readonly because: string;
  /** Options of `measure`, a command, or what to have the host do. */
  readonly attempt: string;
  readonly explains: readonly Difference[];
}

/** Looks at differences that no rule before it has explained. */
export type CauseRule = (left: readonly Difference[], comparison: Comparison) => readonly Cause[];
