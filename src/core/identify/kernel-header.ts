/**
 * @module The kernel with what a VMM writes into its setup header before it is measured. QEMU leaves it alone in guests of SEV since it
 * hashes kernels (6.2); in others it did not until 10.2, and other VMMs and forks do as it did.
 */
import { BootsealError } from '../errors.ts';
import { withQemuHeader } from '../measurement/setup-header.ts';

/** As many bytes of a kernel as its setup header ends in (Linux Documentation/arch/x86/boot.rst). */
export const SETUP_HEADER_BYTES = 0x268;

/** Bytes that are written over those of the kernel. */
export interface HeaderChange {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** From type_of_loader to cmd_line_ptr. */
const CHANGED = { from: 0x210, to: 0x22c } as const;

const MIB = 2 ** 20;
/** The address of the initrd depends on the memory below 4 GiB: from 2.75 GiB on q35 has 2 GiB of it there, as with 2 GiB in all; what lies between is not tried. */
const MEMORIES = [2048 * MIB, 1024 * MIB, 512 * MIB];

/**
 * Returns each way in which the header of a kernel that begins with `head` may have been changed, with an initrd of that many bytes or
 * without one; none for what is no Linux kernel that is loaded high.
 */
export function headerChanges(head: Uint8Array, initrdBytes?: number): readonly HeaderChange[] {
  if (head.length < SETUP_HEADER_BYTES) return [];
  const header = head.subarray(0, SETUP_HEADER_BYTES);
  const memories = initrdBytes === undefined ? [undefined] : MEMORIES;
  const changes = memories.flatMap((memory) => {
    const bytes = changed(header, initrdBytes, memory);
    return bytes === undefined ? [] : [{ at: CHANGED.from, bytes }];
  });
  return changes.filter(({ bytes }, i) => changes.findIndex((other) => isSame(other.bytes, bytes)) === i);
}

/** Undefined where there is nothing to write, or no room for the initrd. */
function changed(
  header: Uint8Array,
  initrdSize: number | undefined,
  memory: number | undefined,
): Uint8Array | undefined {
  try {
    const whole = withQemuHeader(header, { cmdline: new Uint8Array(), initrdSize, memory });
    return isSame(whole, header) ? undefined : new Uint8Array(whole.subarray(CHANGED.from, CHANGED.to));
  } catch (error) {
    if (error instanceof BootsealError && error.kind === 'usage') return undefined;
    throw error;
  }
}

const isSame = (one: Uint8Array, other: Uint8Array) => one.every((byte, i) => byte === other[i]);
