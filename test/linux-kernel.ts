/** @module Linux kernels for tests: EFI programs with the setup header of Documentation/arch/x86/boot.rst. */
import { u16, u32 } from './firmware-image.ts';
import { type PeParts, peProgram } from './pe-program.ts';

/** Fields of the header that matter to who boots it. */
export interface HeaderFields {
  /** The boot protocol's; 2.15. */
  readonly version?: number;
  readonly loadflags?: number;
  readonly xloadflags?: number;
  readonly initrdMax?: number;
  /** What the kernel says of its version. */
  readonly release?: string;
  /** What the fields hold that a loader fills in. */
  readonly rest?: number;
}

/** A bzImage of 0x1400 bytes that can be loaded anywhere. */
export function linuxKernel(fields: HeaderFields = {}, parts: PeParts = {}): Uint8Array {
  const { version = 0x20f, loadflags = 1, xloadflags = 0x3f, initrdMax = 0x7fffffff, rest = 0, release } = fields;
  const setup = { at: 0x400, contents: new Uint8Array(0x1000).fill(0x90) };
  const kernel = peProgram({ sections: [setup], ...parts });
  kernel.fill(rest, 0x1f1, 0x268);
  kernel.set([1], 0x1f1);
  kernel.set(u32(0x53726448), 0x202);
  kernel.set(u16(version), 0x206);
  kernel.set([loadflags], 0x211);
  kernel.set(u32(initrdMax), 0x22c);
  kernel.set(u16(xloadflags), 0x236);
  if (release !== undefined) {
    kernel.set(u16(0x300), 0x20e);
    kernel.set(Buffer.from(`${release}\0`, 'latin1'), 0x500);
  }
  return kernel;
}
