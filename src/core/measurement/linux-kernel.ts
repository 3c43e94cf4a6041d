/** @module What makes a file a Linux kernel for QEMU's -kernel on x86 (Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). */

/** "HdrS" at byte 0x202, since boot protocol 2.00. */
const HEADER = { at: 0x202, magic: [0x48, 0x64, 0x72, 0x53] } as const;

/**
 * Says whether a file that starts with `head` has the header of a Linux kernel. QEMU starts an initrd with no other, and measures no hash
 * table for multiboot kernels and ELF files with a PVH note (hw/i386/x86-common.c, x86_load_linux).
 */
export function isLinuxKernel(head: Uint8Array): boolean {
  return HEADER.magic.every((byte, i) => head[HEADER.at + i] === byte);
}
