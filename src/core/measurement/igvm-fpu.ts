/** @module What a guest of an IGVM file measures on a host whose KVM keeps the floating-point control words of a reset. */
import type { Hashes } from '../hash.ts';
import { digestOf } from './igvm-digest.ts';
import type { IgvmPlatformName, Piece } from './igvm-loaders.ts';
import { Vmsa } from './vmsa.ts';

/** Those of fpstate_init_user (Linux arch/x86/kernel/fpu/core.c). */
export const FPU_RESET = { mxcsr: 0x1f80, x87_fcw: 0x37f } as const;

/** The digest of the same guest where each VMSA has the control words of a reset. */
export interface FpuReset {
  readonly mxcsr: number;
  readonly x87Fcw: number;
  readonly digest: Uint8Array;
}

/**
 * Returns it for what QEMU loads; undefined where all VMSAs have these control words. QEMU hands both on in an XSAVE area whose header says
 * that all of it is as at reset (xstate_bv in target/i386/cpu.c), and Linux passes over what such a header has (copy_uabi_to_xstate in
 * arch/x86/kernel/fpu/xstate.c). Not seen on a host, so for the digest the file counts.
 */
export function fpuReset(platform: IgvmPlatformName, pieces: readonly Piece[], hashes: Hashes): FpuReset | undefined {
  const changed = pieces.map((piece) => {
    if (piece.type !== 'vmsa' || piece.contents === undefined) return piece;
    const state = Vmsa.unpack(piece.contents);
    return hasResetFpu(state) ? piece : { ...piece, contents: Vmsa.pack({ ...state, ...FPU_RESET }) };
  });
  if (changed.every((piece, i) => piece === pieces[i])) return undefined;
  return { mxcsr: FPU_RESET.mxcsr, x87Fcw: FPU_RESET.x87_fcw, digest: digestOf(platform, changed, hashes) };
}

/** Tells whether a VMSA has the control words of a reset. */
export function hasResetFpu({ mxcsr, x87_fcw }: { readonly mxcsr: number; readonly x87_fcw: number }): boolean {
  return mxcsr === FPU_RESET.mxcsr && x87_fcw === FPU_RESET.x87_fcw;
}
