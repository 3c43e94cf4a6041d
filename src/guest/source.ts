/** @module Where a guest finds its secrets, as one thing for all of the places. */

import type { GuestTable } from '../core/guest/table.ts';
import type { Guid } from '../core/guid.ts';
import type { TableEntry } from '../core/secret/table.ts';

/** What to do when there is no secret of a name. */
export const SHOWN_BY_LIST = '`bootseal guest list` shows what is there';

/** What to do when a secret is found again after it was erased. */
export const STILL_THERE = 'do not take it for gone: end the guest, and use the secret no more';

/** A place with secrets. */
export interface SecretSource {
  readonly kind: 'securityfs' | 'memory' | 'file';
  /** For a person: the folder, the address or the file. */
  readonly place: string;
  /** Reads everything; the values are the caller's to wipe. Throws `io`, `tool`. */
  read(): Promise<FoundSecrets>;
  /**
   * Erases one entry and looks whether it is gone. Throws `io` when there is none, or when it is still there.
   */
  erase(guid: Guid): Promise<void>;
  /**
   * Erases everything, also what cannot be read as a table, and looks whether it is gone. Returns how many entries there were. Throws
   * `io` when something is left, or may be: behind the entries that the kernel's driver shows.
   */
  eraseAll(): Promise<number>;
}

/** What is at that place. */
export interface FoundSecrets {
  /** What Linux shows, or would. */
  readonly entries: readonly TableEntry[];
  /** How the area reads; undefined where the kernel's driver has read it already. */
  readonly table: GuestTable | undefined;
}
