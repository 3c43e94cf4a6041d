/** @module The one deliberate exception of bootseal. */

/**
 * What went wrong, as a closed set: callers branch on it and the command line maps each to one exit status.
 *
 * - `mismatch`: well formed and wrong, do not trust it
 * - `usage`: the request makes no sense
 * - `format`: bytes are not what their format says
 * - `key`: no key opens this
 * - `io`: a file could not be read or written
 * - `tool`: an external program is missing or failed
 */
export type ErrorKind = 'mismatch' | 'usage' | 'format' | 'key' | 'io' | 'tool';

/** What an error carries besides its message. */
export interface ErrorDetails {
  /** One sentence that says what to try. */
  readonly hint: string;
  readonly cause?: unknown;
}

/** Says what failed (`kind`), where (the message names the place), and what to try (`hint`); never holds secret bytes. */
export class BootsealError extends Error {
  readonly kind: ErrorKind;
  readonly hint: string;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'BootsealError';
    this.kind = kind;
    this.hint = details.hint;
  }
}
