/** @module Everything that a command touches outside its arguments, so that tests run commands in-process. */
import { randomFillSync } from 'node:crypto';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { readBounded, readSmallFile, streamLargeFile, tooLarge } from '../host/files.ts';
import { ioError } from '../host/io-error.ts';
import { unlessStopped } from '../host/signals.ts';
import { standardStream } from './standard-stream.ts';

/** Where text goes. */
export interface Out {
  /** What cannot be written at once is told to `lost`, or else to whoever made the stream. */
  write(text: string | Uint8Array, lost?: (error: NodeJS.ErrnoException) => void): void;
  readonly isTTY: boolean;
}

/** A command's world. */
export interface Io {
  readonly stdin: AsyncIterable<Uint8Array | string>;
  readonly stdout: Out;
  readonly stderr: Out;
  /** Relative paths start here. */
  readonly cwd: string;
  now(): Date;
  randomBytes(size: number): Uint8Array;
}

/** Returns the world of a real process, which writes to these streams. */
export function processIo(stdout = standardStream(1), stderr = standardStream(2)): Io {
  return {
    // Standard input takes milliseconds to load, and few commands read it.
    get stdin() {
      return process.stdin;
    },
    stdout,
    stderr,
    cwd: process.cwd(),
    now: () => new Date(),
    randomBytes: (size) => randomFillSync(new Uint8Array(size)),
  };
}

/** Returns `file` as an absolute path. */
export function resolvePath(io: Io, file: string): string {
  if (file === '') {
    throw new BootsealError('usage', 'the name of a file is empty', {
      hint: 'a variable of the shell that was never set gives such a name',
    });
  }
  return path.resolve(io.cwd, file);
}

const stdinTaken = new WeakSet<Io>();

/** Returns standard input, which can be read only once; throws `usage` the second time. */
function takeStdin(io: Io): AsyncIterable<Uint8Array | string> {
  if (stdinTaken.has(io)) {
    throw new BootsealError('usage', 'standard input can be read only once', {
      hint: 'give - once, and files for the others',
    });
  }
  stdinTaken.add(io);
  return io.stdin;
}

/** Yields standard input, which can be read only once; throws `usage` the second time, `io` when it cannot be read. */
export async function* streamStdin(io: Io): AsyncGenerator<Uint8Array> {
  const pieces = takeStdin(io)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await unlessStopped(pieces.next());
      if (next.done === true) return;
      yield typeof next.value === 'string' ? Buffer.from(next.value) : next.value;
    }
  } catch (cause) {
    throw ioError(cause, 'standard input', 'read');
  } finally {
    // Not waited for: it would wait for the bytes that were asked for last.
    pieces.return?.().catch(() => undefined);
  }
}

/**
 * Reads a small file, or standard input for `-`. Throws `io`, `usage` for a second `-`, `format` beyond `limit` bytes, in
 * messages that name the file `shown`.
 */
export async function readInput(io: Io, file: string, limit: number, shown?: string): Promise<Uint8Array> {
  if (file !== '-') return readSmallFile(resolvePath(io, file), limit, shown);
  return unlessStopped(readBounded(takeStdin(io), limit, 'standard input'));
}

/**
 * As readInput for an option that names a file with a secret or key: what was typed is not repeated, since people type the secret
 * itself; `what` is said in its place, and `hint`.
 */
export async function readHidden(io: Io, file: string, limit: number, what: string, hint: string): Promise<Uint8Array> {
  try {
    return await readInput(io, file, limit, what);
  } catch (error) {
    if (!(error instanceof BootsealError) || error.kind !== 'io') throw error;
    // Without the cause, whose text has the path.
    throw new BootsealError('io', error.message, { hint });
  }
}

/** Feeds a file, or standard input for `-`, to `take` a piece at a time; returns its length. Throws `io`, `format` beyond `limit` bytes. */
export async function streamInput(
  io: Io,
  file: string,
  take: (bytes: Uint8Array) => void,
  limit: number,
): Promise<number> {
  if (file !== '-') return streamLargeFile(resolvePath(io, file), take, limit);
  let total = 0;
  for await (const chunk of takeStdin(io)) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    total += bytes.length;
    if (total > limit) throw tooLarge('standard input', limit);
    take(bytes);
  }
  return total;
}

/**
 * Prints the result of a command that has made files, before these are there for good. Throws `io` when it cannot be written; that nobody
 * reads it is no failure.
 */
export function printResult(io: Io, text: string): void {
  let lost: NodeJS.ErrnoException | undefined;
  io.stdout.write(text, (error) => {
    lost ??= error;
  });
  if (lost !== undefined && lost.code !== 'EPIPE') throw ioError(lost, 'the result', 'write');
}

/** Writes one remark for the person at the terminal: `bootseal: warning: text`. */
export function remark(io: Io, level: 'warning' | 'note' | 'error' | 'hint', text: string): void {
  io.stderr.write(`bootseal: ${level}: ${printable(text)}\n`);
}

/** Returns `text` with control characters as `\\u…`: names of files may come from elsewhere and must not command the terminal. */
export function printable(text: string): string {
  return text.replace(CONTROL, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Returns lines for people, each {@link printable} and with a newline behind it: what is in a name makes no line of its own. */
export function printableLines(lines: readonly string[]): string {
  return lines.map((line) => `${printable(line)}\n`).join('');
}

/** Unicode's categories Cc, Zl and Zp, and the marks that change the direction of text. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
