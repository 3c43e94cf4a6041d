/**
 * @module The kernel hash table that QEMU puts into the guest for `kernel-hashes=on`: what AmdSev OVMF checks a direct-boot
 * kernel, initrd and command line against (QEMU target/i386/sev.c, sev_add_kernel_loader_hashes).
 */
import { bytes, layout, reserved, u16le } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { checkArea, type Placed } from '../firmware/areas.ts';
import type { Area } from '../firmware/firmware.ts';
import { guidToBytes } from '../guid.ts';

const TABLE_GUID = guidToBytes('9438d606-4f22-4cc9-b479-a793d411fd21');
const CMDLINE_GUID = guidToBytes('97d02dd8-bd20-4c94-aa78-e7714d36ab2a');
const INITRD_GUID = guidToBytes('44baf731-3a2f-4bd7-9af1-41e29169781d');
const KERNEL_GUID = guidToBytes('4de79437-abd2-427f-b835-d5b172d2045b');

const Entry = layout('SevHashTableEntry', { guid: bytes(16), length: u16le, hash: bytes(32) });

const Table = layout('PaddedSevHashTable', {
  guid: bytes(16),
  length: u16le,
  cmdline: Entry,
  initrd: Entry,
  kernel: Entry,
  padding: reserved(8),
});

/** Bytes of the table with its padding to a multiple of 16. */
export const HASH_TABLE_SIZE = Table.size;

/** SHA-256 (32 bytes) of what is booted. */
export interface KernelHashes {
  readonly kernel: Uint8Array;
  /** Of the empty string when there is no initrd. */
  readonly initrd: Uint8Array;
  /** Of the command line and one NUL byte; of the NUL byte alone when there is none. */
  readonly cmdline: Uint8Array;
}

/** Returns the 176 bytes that the host adds to guest memory. */
export function kernelHashTable(hashes: KernelHashes): Uint8Array {
  const entry = (guid: Uint8Array, hash: Uint8Array) => ({ guid, length: Entry.size, hash });
  return Table.pack({
    guid: TABLE_GUID,
    length: Table.offset.padding,
    cmdline: entry(CMDLINE_GUID, hashes.cmdline),
    initrd: entry(INITRD_GUID, hashes.initrd),
    kernel: entry(KERNEL_GUID, hashes.kernel),
  });
}

/** Returns the firmware's hash area; throws `format` when the firmware has none that QEMU could use. */
export function usableHashArea(firmware: Placed): Area {
  const area = firmware.hashArea;
  if (area === undefined) {
    throw new BootsealError('format', 'the firmware has no area for kernel hashes, so it cannot measure a kernel', {
      hint: 'use a build of OvmfPkg/AmdSev/AmdSevX64.dsc, or leave --kernel out; `bootseal firmware inspect` shows what a file has',
    });
  }
  if (area.size < HASH_TABLE_SIZE) {
    throw new BootsealError(
      'format',
      `the firmware's hash area has ${area.size} bytes, the table needs ${HASH_TABLE_SIZE}`,
      { hint: 'take an OVMF build that measures the kernel, such as OvmfPkg/AmdSev' },
    );
  }
  return checkArea('hash area', area, firmware);
}
