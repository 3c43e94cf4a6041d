/** @module What makes a host report another digest than the one measured, though the file does not say so. */
import { equalInConstantTime } from '../bytes.ts';
import { bytesToHex } from '../hex.ts';
import { type FpuReset, hasResetFpu } from './igvm-fpu.ts';
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
  readonly ifKvmResetsFpu: FpuReset | undefined;
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

function ofVcpus(loading: Loading, { loader, vmsas, ifKvmResetsFpu }: Measured): readonly string[] {
  const { platform } = loading;
  if (platform !== 'snp' && platform !== 'sev-es') return [];
  if (vmsas.length === 0) {
    return ['the file has no VMSA for the platform: those that the host adds by itself are not in the digest'];
  }
  if (loader !== 'qemu') return [];
  const states = vcpusOfQemu(loading).map(({ page }) => Vmsa.unpack(page));
  return [...first(states, ofTr), ...ofFpu(states, ifKvmResetsFpu), ...first(states, ofCr4)];
}

function first(states: readonly VmsaFields[], rule: (state: VmsaFields) => string | undefined): readonly string[] {
  return states.flatMap((state) => rule(state) ?? []).slice(0, 1);
}

// sev_apply_cpu_context in target/i386/sev.c (1c980ea) reads ldtr.base for TR.
function ofTr({ tr, ldtr }: VmsaFields): string | undefined {
  if (tr.base === ldtr.base) return undefined;
  return `QEMU gives TR the base of LDTR, ${hex(ldtr.base)} for ${hex(tr.base)}: where it is mended the host reports another digest`;
}

/** The first state that a reset does not have, with the digest in hexadecimal of hosts that keep those of a reset. */
function ofFpu(states: readonly VmsaFields[], reset: FpuReset | undefined): readonly string[] {
  const state = states.find((one) => !hasResetFpu(one));
  if (state === undefined || reset === undefined) return [];
  return [
    `the VMSA has MXCSR ${hex(state.mxcsr)} and x87 control word ${hex(state.x87_fcw)}: a host whose KVM keeps ` +
      `${hex(reset.mxcsr)} and ${hex(reset.x87Fcw)} reports another digest, ${bytesToHex(reset.digest)}`,
  ];
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
