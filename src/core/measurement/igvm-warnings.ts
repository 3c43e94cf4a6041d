/** @module What makes a host report another digest than the one measured, though the file does not say so. */
import { equalInConstantTime } from '../bytes.ts';
import type { IgvmLoader, Loading } from './igvm-loaders.ts';
import { policyWarnings } from './igvm-policy.ts';
import { pageAddedTwice } from './igvm-twice.ts';
import { vcpusOfQemu } from './igvm-vcpus.ts';
import { Vmsa, type VmsaFields } from './vmsa.ts';

/** What was measured. */
interface Measured {
  readonly loader: IgvmLoader;
  readonly digest: Uint8Array;
  readonly vmsas: readonly Uint8Array[];
  /** The digest that the SNP ID block demands. */
  readonly idBlock: Uint8Array | undefined;
  readonly policy: bigint | undefined;
}

/** Returns the warnings for a digest; empty where there is nothing to say. */
export function igvmWarnings(loading: Loading, measured: Measured): readonly string[] {
  return [
    ...ofIdBlock(measured),
    ...policyWarnings(measured.loader, loading, measured.policy),
    ...ofTd(loading),
    ...ofVcpus(loading, measured),
  ];
}

/** TDH.MEM.PAGE.ADD wants an entry of the secure EPT that is free. */
function ofTd(loading: Loading): readonly string[] {
  const address = loading.platform === 'tdx' ? pageAddedTwice(loading) : undefined;
  if (address === undefined) return [];
  return [`the page at ${hex(address)} is added twice, which the TDX module refuses: no guest starts from this file`];
}

function ofIdBlock({ idBlock, digest }: Measured): readonly string[] {
  if (idBlock === undefined || equalInConstantTime(idBlock, digest)) return [];
  return ['the SNP ID block of the file demands another digest: the platform will not start the guest'];
}

function ofVcpus(loading: Loading, { loader, vmsas }: Measured): readonly string[] {
  const { platform } = loading;
  if (platform !== 'snp' && platform !== 'sev-es') return [];
  if (vmsas.length === 0) {
    return ['the file has no VMSA for the platform: those that the host adds by itself are not in the digest'];
  }
  if (loader !== 'qemu') return [];
  const states = vcpusOfQemu(loading).map(({ page }) => Vmsa.unpack(page));
  return [ofTr, ofFpu, ofCr4].flatMap((rule) => states.map(rule).find((text) => text !== undefined) ?? []);
}

// sev_apply_cpu_context in target/i386/sev.c (1c980ea) reads ldtr.base for TR.
function ofTr({ tr, ldtr }: VmsaFields): string | undefined {
  if (tr.base === ldtr.base) return undefined;
  return `QEMU gives TR the base of LDTR, ${hex(ldtr.base)} for ${hex(tr.base)}: where it is mended the host reports another digest`;
}

/** Those of fpstate_init_user (Linux arch/x86/kernel/fpu/core.c). */
const RESET = { mxcsr: 0x1f80, x87_fcw: 0x37f } as const;

/**
 * QEMU hands both on in an XSAVE area whose header says that all of it is as at reset (xstate_bv in target/i386/cpu.c), and Linux passes
 * over what such a header has (copy_uabi_to_xstate in arch/x86/kernel/fpu/xstate.c). Not seen on a host, so the file counts.
 */
function ofFpu({ mxcsr, x87_fcw }: VmsaFields): string | undefined {
  if (mxcsr === RESET.mxcsr && x87_fcw === RESET.x87_fcw) return undefined;
  return (
    `the VMSA has MXCSR ${hex(mxcsr)} and x87 control word ${hex(x87_fcw)}: a host whose KVM keeps ` +
    `${hex(RESET.mxcsr)} and ${hex(RESET.x87_fcw)} reports another digest`
  );
}

/** What cpu_x86_update_cr4 (target/i386/helper.c) drops without the feature, by bit. */
const DROPPED = { 11: 'UMIP', 21: 'SMAP', 22: 'PKE', 23: 'CET', 24: 'PKS', 27: 'LASS', 28: 'LAM' } as const;

function ofCr4({ cr4 }: VmsaFields): string | undefined {
  const names = Object.entries(DROPPED).flatMap(([bit, name]) => ((cr4 >> BigInt(bit)) & 1n ? [name] : []));
  if (names.length === 0) return undefined;
  return (
    `the VMSA has CR4 ${hex(cr4)}: QEMU drops ${names.join(', ')} where the CPU model of the guest has them not, ` +
    'and the host reports another digest'
  );
}

const hex = (value: number | bigint) => `0x${value.toString(16)}`;
