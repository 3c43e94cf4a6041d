/** @module What the thread that hashes shares with the one that started it. */

/** What a worker is started with; file descriptors are the process's and so the same in every thread. */
export interface VerityWorkerData {
  readonly salt: Uint8Array;
  readonly source: { readonly file: string; readonly fd: number; readonly size: number };
  readonly target: {
    readonly file: string;
    readonly fd: number;
    /** Place of the data. */
    readonly dataAt: number;
    /** Bytes: whole blocks, at least as many as the source has. */
    readonly dataSize: number;
    /** Place of the digests of the data. */
    readonly digestsAt: number;
  };
  /** Of three numbers, at the places of SHARED. */
  readonly shared: Int32Array;
}

/** What one worker takes at a time: 256 blocks, whose digests are two. */
export const PIECE: number = 1 << 20;
