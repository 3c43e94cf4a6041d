/** @module A conversation with debugfs, which ends with status 0 also when a command failed: what it prints is the verdict. */
import * as readline from 'node:readline';
import { BootsealError } from '../../core/errors.ts';
import { inheritedFile, startProgram } from '../program.ts';

/** debugfs with a file system open for writing. */
export interface Debugfs {
  /** Runs commands; returns when they are done. Throws `tool` naming `what` for whatever debugfs says against one of them. */
  run(commands: readonly string[], what: string): Promise<void>;
  /** Writes what is still in memory and ends it. Throws `tool`. */
  close(): Promise<void>;
  kill(): void;
}

/** e2fsprogs, for all of its programs. */
export const debugfsProgram = { name: 'debugfs', package: 'e2fsprogs' };

/** debugfs reads lines into a buffer of this size, at least (C's BUFSIZ). */
const MAX_LINE = 8000;

/**
 * Opens the file system in `files[0]`; the others are for the commands to read from.
 *
 * @param time seconds since 1970, which it takes for now
 */
export function openDebugfs(files: readonly number[], time: number, stop: AbortSignal | undefined): Debugfs {
  const env = { E2FSPROGS_FAKE_TIME: `${time}` };
  const child = startProgram(debugfsProgram, { args: ['-w', '-f', '-', inheritedFile(0)], env, files, stop });
  const waiting: { readonly what: string; done(): void; fail(error: unknown): void }[] = [];
  let complaint: string | undefined;
  let started = 0;

  const lines = readline.createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    if (line.startsWith('debugfs: ') || ALLOCATED.test(line)) return;
    if (MARK.test(line)) settle();
    else complaint ??= line;
  });
  // It says its name and version, and else only what went wrong.
  const errors = readline.createInterface({ input: child.stderr });
  errors.on('line', (line) => {
    if (!BANNER.test(line)) complaint ??= line;
  });
  const ended = child.ended.catch((error: unknown) => {
    for (const { fail } of waiting.splice(0)) fail(error);
    throw error;
  });
  ended.catch(() => undefined);

  function settle(): void {
    const first = waiting.shift();
    if (first === undefined) complaint ??= 'it answered what nobody asked';
    else if (complaint === undefined) first.done();
    else first.fail(failed(first.what, complaint));
  }

  return {
    run(commands, what) {
      const long = commands.find((command) => command.length > MAX_LINE);
      if (long !== undefined) {
        throw new BootsealError('format', `${what}: names too long for debugfs`, {
          hint: 'give the file shorter names, or its link a shorter target',
        });
      }
      return new Promise<void>((done, fail) => {
        waiting.push({ what, done, fail });
        child.stdin.write(`${[...commands, `# ${started++}`].join('\n')}\n`, 'latin1');
      });
    },
    async close() {
      child.stdin.end();
      await ended;
      if (complaint !== undefined) throw failed('the file system', complaint);
    },
    kill: child.kill,
  };
}

function failed(what: string, complaint: string): BootsealError {
  const full = /no free|no space|could not allocate/i.test(complaint);
  return new BootsealError('tool', `debugfs failed at ${what}: ${complaint.trim()}`, {
    hint: full
      ? 'give the file system more room with --size'
      : 'make the file system yourself, with mke2fs -b 4096 -d, and build the disk from that',
  });
}

const ALLOCATED = /^Allocated inode: [0-9]+$/;
const MARK = /^# [0-9]+$/;
const BANNER = /^debugfs [0-9][^ ]* \([^)]*\)$|^$/;
