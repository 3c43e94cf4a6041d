/**
 * @module What a VMM hands to the platform before a guest runs, in QEMU's order: the firmware, the kernel hash table, and for SEV-ES the
 * vCPUs (qemu/qemu target/i386/sev.c; hw/i386/x86-common.c).
 */
import type { OpenChannel } from './psp/channel.ts';
import type { Measured, PspGuest } from './psp/guest.ts';

/** Bytes as they lie in the guest's memory. */
export interface MemoryPiece {
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

/** A guest that is to be launched. */
export interface GuestLaunch {
  /** As the host asks for it, which may be another than the owner's. */
  readonly policy: number;
  /** Undefined for a guest without an owner. */
  readonly owner: Omit<OpenChannel, 'policy'> | undefined;
  readonly firmware: MemoryPiece;
  /** Undefined without `kernel-hashes=on`. */
  readonly hashTable: MemoryPiece | undefined;
  /** A page for each vCPU; not handed over for plain SEV. */
  readonly vmsas: readonly Uint8Array[];
}

/** Loads the guest and returns what the platform measured. Throws FirmwareError where the platform refuses. */
export function loadGuest(guest: PspGuest, { policy, owner, firmware, hashTable, vmsas }: GuestLaunch): Measured {
  guest.launchStart(policy, owner);
  guest.launchUpdateData(firmware.gpa, firmware.bytes);
  if (hashTable !== undefined) guest.launchUpdateData(hashTable.gpa, hashTable.bytes);
  for (const page of vmsas) guest.launchUpdateVmsa(page);
  return guest.launchMeasure();
}
