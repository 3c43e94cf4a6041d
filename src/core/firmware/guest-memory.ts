/** @module Where guests have memory: what a firmware asks the host to fill has to lie there. */
import type { Area } from './firmware.ts';

/**
 * Ranges below 4 GiB in which no PC of QEMU has RAM: the window of VGA (hw/pci-host/q35.c and i440fx.c, "smram-region"), and from
 * 3.5 GiB on, where that of i440fx ends (hw/i386/pc_piix.c; q35's ends at 2.75 GiB), unless max-ram-below-4g was raised.
 */
const WITHOUT_RAM: readonly Area[] = [
  { base: 0xa0000, size: 0x20000 },
  { base: 0xe0000000, size: 0x20000000 },
];

/** What is wrong with an area outside of it, for messages. */
export const NO_MEMORY = 'lies where the machines of QEMU have no memory';

/** Says whether a part of an area below 4 GiB is outside of the RAM of QEMU's machines, however much they are given. */
export function isOutsideMemory(area: Area): boolean {
  return WITHOUT_RAM.some((hole) => area.base < hole.base + hole.size && hole.base < area.base + area.size);
}
