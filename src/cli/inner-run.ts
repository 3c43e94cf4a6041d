/** @module A command of bootseal's that another one runs, in the same process: what it prints is kept instead of shown. */
import type { ErrorKind } from '../core/errors.ts';
import type { Io, Out } from './io.ts';
import type { run as runCommand } from './main.ts';
import { STATUS } from './status.ts';

/** The command line; given by the caller, as `main.ts` loads every command. */
export type Run = typeof runCommand;

/** What to do when a command of a demonstration does not do what it should. */
export const OWN_COMMAND =
  'mend what it says, such as too little room for temporary files; if it is nothing of yours, please report it';

/** What a command printed so far. */
export interface Printed {
  stdout: string;
  stderr: string;
}

/**
 * Runs a command line in the world of `io` and returns its exit status; what it prints is added to `printed`, and each piece of the
 * result is given to `take`.
 */
export function runInside(
  run: Run,
  io: Io,
  words: readonly string[],
  printed: Printed,
  take?: (text: string) => void,
): Promise<number> {
  const out = (name: keyof Printed): Out => ({
    isTTY: false,
    write: (piece) => {
      const text = typeof piece === 'string' ? piece : Buffer.from(piece).toString('latin1');
      printed[name] += text;
      if (name === 'stdout') take?.(text);
    },
  });
  // Another world for each command: standard input can be read once in each.
  return run(words, { ...io, stdout: out('stdout'), stderr: out('stderr') });
}

/** Returns the kind of the failure of a command that should not have ended so: no room for a file is not the program's fault. */
export function kindOf(status: number): ErrorKind {
  return status === STATUS.io ? 'io' : 'tool';
}

/** Returns the one line in which a command said why it failed. */
export function errorOf({ stderr }: Pick<Printed, 'stderr'>): string | undefined {
  return /(?:error|bug): (.*)/.exec(stderr)?.[1];
}
