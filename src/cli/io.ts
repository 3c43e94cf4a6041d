/** @module Everything that a command touches outside its arguments, so that tests run commands in-process. */
import { randomFillSync } from 'node:crypto';
import * as path from 'node:path';
import { BootsealError } from '../core/errors.ts';
import { readBounded, readSmallFile, streamFile } from '../host/files.ts';

/** Where text goes. */
export interface Out {
  write(text: string | Uint8Array): void;
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

/** Returns the world of a real process. */
export function processIo(): Io {
  const out = (stream: NodeJS.WriteStream): Out => ({
    write: (text) => void stream.write(text),
    isTTY: stream.isTTY === true,
  });
  return {
    stdin: process.stdin,
    stdout: out(process.stdout),
    stderr: out(process.stderr),
    cwd: process.cwd(),
    now: () => new Date(),
    randomBytes: (size) => randomFillSync(new Uint8Array(size)),
  };
}

/** Returns `file` as an absolute path. */
export function resolvePath(io: Io, file: string): string {
  return path.resolve(io.cwd, file);
}

const stdinTaken = new WeakSet<Io>();

/** Returns standard input, which can be read only once; throws `usage` the second time. */
function takeStdin(io: Io): AsyncIterable<Uint8Array | string> {
  if (stdinTaken.has(io)) throw new BootsealError('usage', 'standard input can be read only once');
  stdinTaken.add(io);
  return io.stdin;
}

/** Reads a small file, or standard input for `-`. Throws `io`, `usage` for a second `-`, `format` beyond `limit` bytes. */
export async function readInput(io: Io, file: string, limit: number): Promise<Uint8Array> {
  if (file !== '-') return readSmallFile(resolvePath(io, file), limit);
  return readBounded(takeStdin(io), limit, 'standard input');
}

/** Feeds a file of any size, or standard input for `-`, to `take` a piece at a time; returns its length in bytes. */
export async function streamInput(io: Io, file: string, take: (bytes: Uint8Array) => void): Promise<number> {
  if (file !== '-') return streamFile(resolvePath(io, file), take);
  let total = 0;
  for await (const chunk of takeStdin(io)) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    total += bytes.length;
    take(bytes);
  }
  return total;
}

/** Writes one remark for the person at the terminal: `bootseal: warning: text`. */
export function remark(io: Io, level: 'warning' | 'note', text: string): void {
  io.stderr.write(`bootseal: ${level}: ${text}\n`);
}
