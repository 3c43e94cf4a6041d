/** @module What the thread that encrypts shares with the one that started it. */
import type { Units } from '../../core/disk/units.ts';
import type { BootsealError, ErrorKind } from '../../core/errors.ts';
import type { IntegrityLayout } from '../../core/luks/integrity/layout.ts';
import type { TagScheme } from '../../core/luks/integrity/schemes.ts';
import type { SectorSize } from '../xts/xts.ts';
import type { Feed } from './feed.ts';

/** How sectors get tags, and where these go. */
export interface Tagging {
  readonly tags: TagScheme;
  readonly layout: IntegrityLayout;
  readonly ivKey: Uint8Array;
}

/** What a worker is started with; file descriptors are the process's and so the same in every thread. */
export interface WorkerData {
  /** Its memory is transferred: the starter keeps none of it, and the worker wipes it. */
  readonly key: Uint8Array;
  readonly sectorSize: SectorSize;
  readonly tagging?: Tagging | undefined;
  readonly source: {
    readonly file: string;
    readonly fd: number;
    readonly size: number;
    /** Where blocks come from when the source is a stream, and nothing is read from `fd`. */
    readonly feed?: Feed | undefined;
  };
  readonly target: {
    readonly file: string;
    readonly fd: number;
    /** Opened with O_DIRECT, where the file system takes that. */
    readonly directFd: number | undefined;
    /** Place of the first sector, or of the superblock in front of sectors with tags. */
    readonly at: number;
    /** Bytes: whole sectors, at least as many as the source has; the rest are zeros, encrypted as everything. */
    readonly size: number;
    /** The units of it that are written; undefined for all. */
    readonly used?: Units | undefined;
  };
  /** Of three numbers, at the places of {@link SHARED}. */
  readonly shared: Int32Array;
}

/** The numbers that the threads share: the next block that nobody has taken, how many are done, and 1 when all shall stop. */
export const SHARED = { next: 0, done: 1, stop: 2 } as const;

/** What a worker says when it fails. */
export interface WorkerFailure {
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint: BootsealError['hint'];
}
