/** @module The memory of QEMU's machine q35 (hw/i386/pc_q35.c). */
import { BootsealError } from '../errors.ts';

/** From this size on QEMU's q35 puts only LOW_MEMORY below 4 GiB, and the rest above. */
const SPLIT_FROM = 0xb000_0000;
const LOW_MEMORY = 0x8000_0000;

/** QEMU rounds the size of memory up to this. */
const MEMORY_UNIT = 8192;

/** Bytes; more than a machine has. */
const MOST_MEMORY = 2 ** 46;

/** Returns how many of the guest's bytes of memory lie below 4 GiB. */
export function memoryBelow4GiB(memory: number): number {
  return memory >= SPLIT_FROM ? LOW_MEMORY : memory;
}

/** Throws `usage` for a size of memory (bytes) that QEMU would round, or that no guest has. */
export function checkMemory(memory: number): void {
  if (Number.isInteger(memory) && memory > 0 && memory % MEMORY_UNIT === 0 && memory <= MOST_MEMORY) return;
  throw new BootsealError('usage', `${memory} bytes of memory are not a multiple of ${MEMORY_UNIT} up to 64T`, {
    hint: 'QEMU rounds what it gets as -m: give the size that the guest has, such as 2048M or 2G',
  });
}
