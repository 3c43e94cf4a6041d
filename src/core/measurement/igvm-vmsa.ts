/**
 * @module What QEMU makes of a VMSA in an IGVM file. It copies the state into its own vCPU, from which KVM makes the VMSA that is
 * measured, and stops at what would be lost on the way. Read in QEMU target/i386/sev.c, check_sev_features and
 * check_vmsa_supported (1c980ea of the mirror p-b-o/qemu-ci).
 */
import { KVM_VMSA_GPA } from './profiles.ts';
import { Vmsa } from './vmsa.ts';
import { VMSA_FIELDS } from './vmsa-fields.ts';

/** What of the page QEMU looks at, bytes: its struct sev_es_save_area ends with the YMM registers (target/i386/sev.h). */
const SAVE_AREA = Vmsa.size - Vmsa.fields.reserved_670.size;

/** What it can hand to KVM; of segments each part. */
const TAKEN: ReadonlySet<string> = new Set(
  (
    'es cs ss ds fs gs gdtr ldtr idtr tr efer cr4 cr3 cr0 dr7 dr6 rflags rip rsp rax g_pat rcx rdx rbx rbp rsi rdi ' +
    'r8 r9 r10 r11 r12 r13 r14 r15 sev_features xcr0 mxcsr x87_fcw'
  ).split(' '),
);

const LOST = VMSA_FIELDS.filter(({ name, at }) => at < SAVE_AREA && !TAKEN.has(name.replace(/\..*/, '')));

/** As many names as a message has. */
const NAMED = 4;

/** Says at what of a VMSA (4096 bytes) QEMU stops; undefined where it takes it. */
export function qemuStopsAtVmsa(platform: 'snp' | 'sev-es', gpa: bigint, page: Uint8Array): string | undefined {
  if (gpa !== KVM_VMSA_GPA) return `a VMSA at 0x${gpa.toString(16)}: KVM has it at 0x${KVM_VMSA_GPA.toString(16)}`;
  if (claimsOtherPlatform(platform, page)) {
    const features = `sev_features 0x${Vmsa.unpack(page).sev_features.toString(16)}`;
    return platform === 'snp'
      ? `a VMSA with ${features}: bit 0 (SNP_ACTIVE) is not set`
      : `a VMSA with ${features}: bit 0 (SNP_ACTIVE) is set, which SEV-ES has not`;
  }
  const lost = fieldsThatQemuLoses(page);
  if (lost.length === 0) return undefined;
  const more = lost.length > NAMED ? ` and ${lost.length - NAMED} more` : '';
  return `a VMSA with fields that it cannot hand to KVM: ${lost.slice(0, NAMED).join(', ')}${more}`;
}

/** Says whether bit 0 of the VMSA's features is that of the other platform. */
export function claimsOtherPlatform(platform: 'snp' | 'sev-es', page: Uint8Array): boolean {
  return (Vmsa.unpack(page).sev_features & 1n) !== (platform === 'snp' ? 1n : 0n);
}

/** Returns the names of the fields that QEMU stops at unless they are zero. */
export function fieldsThatQemuLoses(page: Uint8Array): readonly string[] {
  return LOST.filter(({ at, size }) => !isZero(page.subarray(at, at + size))).map(({ name }) => name);
}

/** Says whether there is something behind what QEMU looks at. */
export function hasBytesBehindSaveArea(page: Uint8Array): boolean {
  return !isZero(page.subarray(SAVE_AREA));
}

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
