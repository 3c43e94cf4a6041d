/**
 * @module What KVM measures of a VMSA that QEMU hands to it as the state of a vCPU: both change some of it, and KVM refuses some. Read in
 * QEMU target/i386 (sev.c, helper.c, kvm/kvm.c; 1c980ea of the mirror p-b-o/qemu-ci) and Linux 6.12 arch/x86/kvm (regs.c, x86.c,
 * svm/svm.c, svm/sev.c).
 */
import { Vmsa, type VmsaFields } from './vmsa.ts';
import { fieldText, VMSA_FIELDS } from './vmsa-fields.ts';

const EFER_LME = 1n << 8n;
const EFER_LMA = 1n << 10n;
const EFER_SVME = 1n << 12n;
/** These, and SCE, NXE, LMSLE, FFXSR, TCE, MCOMMIT, INTWB, UAIE and AIBRSE (AMD APM volume 2, 3.1.7). */
const EFER_KNOWN = 0x36_fd01n;
const CR0_PE = 1n;
const CR0_ET = 1n << 4n;
const CR0_NW = 1n << 29n;
const CR0_CD = 1n << 30n;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
const CR4_MCE = 1n << 6n;
/** VMXE, SMXE, KL, UINTR and those without a meaning: no guest of an AMD host may have them. */
const CR4_REFUSED = 0xe608_e000n;
const RFLAGS_FIXED = 1n << 1n;
const RFLAGS_VM = 1n << 17n;
const DR7_FIXED = 1n << 10n;
const XCR0_AVX512 = 0xe0n;
const LOW_32 = 0xffff_ffffn;

const CODE_64 = 1 << 9;
/** Type 3 (data, writable, accessed), S, DPL 3, P. */
const VIRTUAL_8086 = 0xf3;

/** Returns the page that KVM measures for a vCPU of a guest with these features; the same array where nothing is changed. */
export function asKvmHasIt(page: Uint8Array, features: bigint): Uint8Array {
  const state = asQemuHandsOn(Vmsa.unpack(page));
  const changed = Vmsa.pack({
    ...state,
    // svm_set_efer, svm_set_cr0 and svm_set_cr4; the last adds CR4.MCE of the host, which Linux sets.
    efer: state.efer | EFER_SVME,
    cr0: state.cr0 & ~(CR0_CD | CR0_NW),
    cr4: state.cr4 | CR4_MCE,
    // svm_set_segment has CPL from SS.
    cpl: (state.ss.attributes >> 5) & 3,
    gdtr: table(state.gdtr),
    idtr: table(state.idtr),
    rflags: state.rflags | RFLAGS_FIXED,
    // sev_es_sync_vmsa: KVM_SEV_INIT2 sets them for all vCPUs.
    sev_features: features,
  });
  return changed.every((byte, at) => byte === page[at]) ? page : changed;
}

/** Returns what differs between a page and that which KVM measures in its place, as `field old becomes new`. */
export function changesOfKvm(page: Uint8Array, kvm: Uint8Array): readonly string[] {
  return VMSA_FIELDS.flatMap((field) => {
    const [old, its] = [fieldText(page, field), fieldText(kvm, field)];
    return old === its || field.name === 'reserved_670' ? [] : [`${field.name} ${old} becomes ${its}`];
  });
}

/** Says what of a VMSA KVM refuses, so that no vCPU starts with it; undefined where it takes it. */
export function whatKvmRefuses(page: Uint8Array): string | undefined {
  const state = asQemuHandsOn(Vmsa.unpack(page));
  return REFUSALS.find(({ refuses }) => refuses(state))?.what(state);
}

/** sev_apply_cpu_context with the functions of helper.c, and set_seg and set_v8086_seg of kvm.c. */
function asQemuHandsOn(state: VmsaFields): VmsaFields {
  const low = state.cr0 & LOW_32;
  const entersLongMode = (low & CR0_PG) !== 0n && (state.efer & EFER_LME) !== 0n;
  const hasPae = (state.cr4 & CR4_PAE) !== 0n;
  const isVirtual8086 = (state.rflags & RFLAGS_VM) !== 0n;
  const segment = (one: VmsaFields['es']) => ({
    ...one,
    attributes: isVirtual8086 ? VIRTUAL_8086 : one.attributes & 0xfff,
  });
  return {
    ...state,
    efer: entersLongMode && hasPae ? state.efer | EFER_LMA : state.efer,
    // cpu_x86_update_cr0 does not enter long mode without PAE, and leaves CR0 as at reset.
    cr0: entersLongMode && !hasPae ? CR0_CD | CR0_NW | CR0_ET : low | CR0_ET,
    cr4: state.cr4 & LOW_32,
    es: segment(state.es),
    cs: segment(state.cs),
    ss: segment(state.ss),
    ds: segment(state.ds),
    fs: segment(state.fs),
    gs: segment(state.gs),
    ldtr: { ...state.ldtr, attributes: state.ldtr.attributes & 0xfff },
    // With the base of LDTR, as QEMU has it.
    tr: { ...state.tr, attributes: state.tr.attributes & 0xfff, base: state.ldtr.base },
  };
}

/** struct kvm_dtable has 16 bits for the limit, and nothing but the base besides. */
function table({ limit, base }: VmsaFields['gdtr']): VmsaFields['gdtr'] {
  return { selector: 0, attributes: 0, limit: limit & 0xffff, base };
}

interface Refusal {
  what(state: VmsaFields): string;
  refuses(state: VmsaFields): boolean;
}

const isLongMode = ({ efer, cr0 }: VmsaFields) => (efer & EFER_LME) !== 0n && (cr0 & CR0_PG) !== 0n;
const hex = (value: bigint) => `0x${value.toString(16)}`;

const REFUSALS: readonly Refusal[] = [
  // kvm_is_valid_sregs.
  {
    what: ({ efer, cr0 }) => `EFER ${hex(efer)} has LMA, and CR0 ${hex(cr0)} and EFER are not those of long mode`,
    refuses: (state) => (state.efer & EFER_LMA) !== 0n && !isLongMode(state),
  },
  {
    what: () => 'CS is of 64 bits, and CR0 and EFER are not those of long mode',
    refuses: (state) => (state.cs.attributes & CODE_64) !== 0 && !isLongMode(state),
  },
  {
    what: ({ cr3 }) => `CR3 ${hex(cr3)} is no address`,
    refuses: (state) => isLongMode(state) && state.cr3 >> 52n !== 0n,
  },
  {
    what: ({ cr0 }) => `CR0 ${hex(cr0)} has PG without PE`,
    refuses: ({ cr0 }) => (cr0 & CR0_PG) !== 0n && (cr0 & CR0_PE) === 0n,
  },
  {
    what: ({ cr0 }) => `CR0 ${hex(cr0)} has NW without CD`,
    refuses: ({ cr0 }) => (cr0 & CR0_NW) !== 0n && (cr0 & CR0_CD) === 0n,
  },
  {
    what: ({ cr4 }) => `CR4 ${hex(cr4)} has bits that no guest of it may have`,
    refuses: ({ cr4 }) => (cr4 & CR4_REFUSED) !== 0n,
  },
  {
    what: ({ efer }) => `EFER ${hex(efer)} has bits that no CPU has`,
    refuses: ({ efer }) => (efer & ~EFER_KNOWN) !== 0n,
  },
  // __kvm_set_xcr.
  {
    what: ({ xcr0 }) => `XCR0 ${hex(xcr0)} is not one that a CPU takes`,
    refuses: ({ xcr0 }) => !isXcr0(xcr0),
  },
  {
    what: ({ g_pat }) => `PAT ${hex(g_pat)} has memory types that there are not`,
    refuses: ({ g_pat }) => !isPat(g_pat),
  },
  // kvm_dr6_valid, and sev_es_sync_vmsa.
  { what: ({ dr6 }) => `DR6 ${hex(dr6)} has more than 32 bits`, refuses: ({ dr6 }) => dr6 >> 32n !== 0n },
  {
    what: ({ dr7 }) => `DR7 ${hex(dr7)} is neither 0x400 nor 0x0`,
    refuses: ({ dr7 }) => (dr7 & ~DR7_FIXED) !== 0n,
  },
];

function isXcr0(xcr0: bigint): boolean {
  const has = (bit: bigint) => (xcr0 & (1n << bit)) !== 0n;
  const avx512 = xcr0 & XCR0_AVX512;
  return (
    has(0n) &&
    (!has(2n) || has(1n)) &&
    has(3n) === has(4n) &&
    has(17n) === has(18n) &&
    (avx512 === 0n || (avx512 === XCR0_AVX512 && has(2n)))
  );
}

/** kvm_pat_valid: each byte 0, 1, 4, 5, 6 or 7. */
function isPat(pat: bigint): boolean {
  for (let rest = pat; rest !== 0n; rest >>= 8n) {
    const type = rest & 0xffn;
    if (type > 7n || type === 2n || type === 3n) return false;
  }
  return true;
}
