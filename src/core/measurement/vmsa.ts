/**
 * @module The virtual machine save area: the initial CPU state that SEV-ES and SNP measure, one 4096-byte page per vCPU
 * (AMD APM volume 2, table B-4; field names as in Linux arch/x86/include/asm/svm.h, struct sev_es_save_area).
 */
import { bytes, layout, reserved, u8, u16le, u32le, u64le, type Values } from '../bytes.ts';

/** A segment register as the VMCB stores it. */
export const Segment = layout('vmcb_seg', { selector: u16le, attributes: u16le, limit: u32le, base: u64le });

/** The page, field by field. */
export const Vmsa = layout('VMSA', {
  es: Segment,
  cs: Segment,
  ss: Segment,
  ds: Segment,
  fs: Segment,
  gs: Segment,
  gdtr: Segment,
  ldtr: Segment,
  idtr: Segment,
  tr: Segment,
  vmpl0_ssp: u64le,
  vmpl1_ssp: u64le,
  vmpl2_ssp: u64le,
  vmpl3_ssp: u64le,
  u_cet: u64le,
  reserved_0c8: reserved(2),
  vmpl: u8,
  cpl: u8,
  reserved_0cc: reserved(4),
  efer: u64le,
  reserved_0d8: reserved(104),
  xss: u64le,
  cr4: u64le,
  cr3: u64le,
  cr0: u64le,
  dr7: u64le,
  dr6: u64le,
  rflags: u64le,
  rip: u64le,
  dr0: u64le,
  dr1: u64le,
  dr2: u64le,
  dr3: u64le,
  dr0_addr_mask: u64le,
  dr1_addr_mask: u64le,
  dr2_addr_mask: u64le,
  dr3_addr_mask: u64le,
  reserved_1c0: reserved(24),
  rsp: u64le,
  s_cet: u64le,
  ssp: u64le,
  isst_addr: u64le,
  rax: u64le,
  star: u64le,
  lstar: u64le,
  cstar: u64le,
  sfmask: u64le,
  kernel_gs_base: u64le,
  sysenter_cs: u64le,
  sysenter_esp: u64le,
  sysenter_eip: u64le,
  cr2: u64le,
  reserved_248: reserved(32),
  g_pat: u64le,
  dbgctl: u64le,
  br_from: u64le,
  br_to: u64le,
  last_excp_from: u64le,
  last_excp_to: u64le,
  reserved_298: reserved(80),
  pkru: u32le,
  tsc_aux: u32le,
  reserved_2f0: reserved(24),
  rcx: u64le,
  rdx: u64le,
  rbx: u64le,
  reserved_320: reserved(8),
  rbp: u64le,
  rsi: u64le,
  rdi: u64le,
  r8: u64le,
  r9: u64le,
  r10: u64le,
  r11: u64le,
  r12: u64le,
  r13: u64le,
  r14: u64le,
  r15: u64le,
  reserved_380: reserved(16),
  guest_exit_info_1: u64le,
  guest_exit_info_2: u64le,
  guest_exit_int_info: u64le,
  guest_nrip: u64le,
  sev_features: u64le,
  vintr_ctrl: u64le,
  guest_exit_code: u64le,
  virtual_tom: u64le,
  tlb_id: u64le,
  pcpu_id: u64le,
  event_inj: u64le,
  xcr0: u64le,
  reserved_3f0: reserved(16),
  x87_dp: u64le,
  mxcsr: u32le,
  x87_ftw: u16le,
  x87_fsw: u16le,
  x87_fcw: u16le,
  x87_fop: u16le,
  x87_ds: u16le,
  x87_cs: u16le,
  x87_rip: u64le,
  fpreg_x87: bytes(80),
  fpreg_xmm: bytes(256),
  fpreg_ymm: bytes(256),
  reserved_670: reserved(2448),
});

/** Every named field of the page. */
export type VmsaFields = Values<(typeof Vmsa)['fields']>;

const ZERO = Vmsa.unpack(new Uint8Array(Vmsa.size));

/** Where the boot processor starts after reset: CS base 0xffff0000, IP 0xfff0. */
export const RESET_VECTOR = 0xfffffff0;

/** Returns a real-mode segment at `base` with a 64 KiB limit. */
export function realModeSegment(attributes: number, selector = 0, base = 0): VmsaFields['es'] {
  return { selector, attributes, limit: 0xffff, base: BigInt(base) };
}

/** Returns the page for a vCPU at reset under KVM, with `changes` on top: what differs between VMMs, CPUs and features. */
export function vmsaPage(changes: Partial<VmsaFields>): Uint8Array {
  return Vmsa.pack({
    ...ZERO,
    es: realModeSegment(0x93),
    cs: realModeSegment(0x9b),
    ss: realModeSegment(0x93),
    ds: realModeSegment(0x93),
    fs: realModeSegment(0x93),
    gs: realModeSegment(0x93),
    gdtr: realModeSegment(0),
    ldtr: realModeSegment(0x82),
    idtr: realModeSegment(0),
    tr: realModeSegment(0x8b),
    // KVM sets EFER.SVME and CR4.MCE for encrypted guests.
    efer: 0x1000n,
    cr4: 0x40n,
    cr0: 0x10n,
    dr7: 0x400n,
    dr6: 0xffff0ff0n,
    rflags: 2n,
    g_pat: 0x0007_0406_0007_0406n,
    xcr0: 1n,
    ...changes,
  });
}
