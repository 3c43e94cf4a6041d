/**
 * @module External programs: the one place where they are started. Arguments go as they are, there is no shell, and a program
 * sees nothing of the environment but what it is given.
 */
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { execa, type Options } from 'execa';
import { BootsealError } from '../core/errors.ts';
import { OTHER_TMPDIR } from './io-error.ts';

/** A program and where it comes from. */
export interface Program {
  readonly name: string;
  /** Debian's package. */
  readonly package: string;
}

/** A program that ran and ended with a status other than 0. */
export class FailedProgram extends BootsealError {
  readonly status: number;
  /** What it said last, after a colon and a blank; empty for nothing. */
  readonly words: string;
  /** All that it said; at most 1 MiB. */
  readonly stderr: string;

  constructor(name: string, status: number, words = '', stderr = words) {
    super('tool', `${name} failed (status ${status})${words}`, {
      hint: `the reason is its own: look into its manual (man ${name})`,
    });
    this.status = status;
    this.words = words;
    this.stderr = stderr;
  }
}

/** How a program is run. */
export interface Run {
  readonly args: readonly string[];
  /** Variables beside PATH, and LC_ALL=C for messages that do not change. */
  readonly env?: Readonly<Record<string, string>>;
  /** Open files, which the program finds as {@link inheritedFile}(0), (1), … */
  readonly files?: readonly number[];
  readonly cwd?: string;
  readonly stop?: AbortSignal | undefined;
}

/** A program that runs, to talk with. */
export interface Running {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Also collected for the message when it fails. */
  readonly stderr: Readable;
  /** Done when the program has ended well; throws `tool` when it failed, and what `stop` was aborted with. */
  readonly ended: Promise<{ readonly stderr: string }>;
  kill(): void;
}

/** mke2fs and its like lie where ordinary users do not look. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Characters that a program may print before it is ended. */
const MAX_OUTPUT = 1 << 20;

/** Returns the path under which a program finds the open file with this number in {@link Run.files}. */
export function inheritedFile(number: number): string {
  return `/proc/self/fd/${FIRST_INHERITED + number}`;
}

const FIRST_INHERITED = 3;

/**
 * Runs a program to its end and returns what it printed.
 *
 * @param input for its standard input, which else is empty
 * @throws `tool` when it is missing, fails or prints more than 1 MiB, {@link FailedProgram} when that was its own verdict; `io` when it
 * was ended because a file of it could not grow; `format` for
 * an argument with a NUL; what `stop` was aborted with
 */
export async function runProgram(
  program: Program,
  run: Run,
  input: Uint8Array | string = '',
): Promise<{ readonly stdout: string; readonly stderr: string }> {
  checkRun(program, run);
  return outcome(program, run, execa(program.name, run.args, { ...options(run), input }));
}

/** Starts a program to talk with: standard input and output are the caller's to write and to read to the end. Throws `format`. */
export function startProgram(program: Program, run: Run): Running {
  checkRun(program, run);
  const child = execa(program.name, run.args, { ...options(run), buffer: { stdout: false, stderr: true } });
  const ended = outcome(program, run, child);
  // Whoever waits for it is told; a program that ends early also breaks the streams, which is told by `ended`.
  ended.catch(() => undefined);
  child.stdin.on('error', () => undefined);
  return { stdin: child.stdin, stdout: child.stdout, stderr: child.stderr, ended, kill: () => child.kill('SIGKILL') };
}

/**
 * Feeds `input` to a program and yields what it makes of it, as a filter such as a decompressor; ends it when the reader stops.
 *
 * @throws as {@link runProgram}; what `input` throws
 */
export async function* filterProgram(
  program: Program,
  run: Run,
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const child = startProgram(program, run);
  const feeding = feed(child.stdin, input).catch((error: unknown) => {
    child.kill();
    return error;
  });
  try {
    for await (const piece of child.stdout) yield piece as Uint8Array;
    const failed = await feeding;
    if (failed !== undefined) throw failed;
    await child.ended;
  } finally {
    child.kill();
  }
}

/**
 * Feeds `input` to a program and waits for its end; when `input` breaks off, so does what the program reads.
 *
 * @throws as {@link runProgram}; what `input` throws, when the program has ended as well
 */
export async function feedProgram(
  program: Program,
  run: Run,
  input: AsyncIterable<Uint8Array>,
): Promise<{ readonly stderr: string }> {
  const child = startProgram(program, run);
  child.stdout.resume();
  const feeding = feed(child.stdin, input).catch((error: unknown) => {
    child.stdin.destroy();
    return { error };
  });
  const [failed, ended] = await Promise.allSettled([feeding, child.ended]);
  if (failed.status === 'fulfilled' && failed.value !== undefined) throw failed.value.error;
  if (ended.status === 'rejected') throw ended.reason;
  return ended.value;
}

async function feed(stdin: Writable, input: AsyncIterable<Uint8Array>): Promise<undefined> {
  for await (const piece of input) {
    if (stdin.destroyed || stdin.writableEnded) return;
    if (!stdin.write(piece)) await drained(stdin);
  }
  stdin.end();
}

/** Waits until there is room again, or nobody reads any more. */
function drained(stdin: Writable): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stdin.off('drain', done);
      stdin.off('close', done);
      resolve();
    };
    stdin.on('drain', done);
    stdin.on('close', done);
  });
}

/** Texts out of headers and tables of others come here too. Throws `format`, without the text: a secret may have been put there. */
function checkRun({ name }: Program, { args, env = {}, cwd = '' }: Run): void {
  const given: readonly (readonly [string, readonly string[]])[] = [
    ['an argument', args],
    ['a variable', Object.entries(env).flat()],
    ['the folder', [cwd]],
  ];
  const found = given.find(([, texts]) => texts.some((text) => text.includes('\0')));
  if (found === undefined) return;
  throw new BootsealError('format', `${found[0]} for ${name} holds a NUL, which no program can be given`, {
    hint: 'look for the NUL in what was typed, and in the header, token or file that the text comes from',
  });
}

/** Any open file can be passed on; execa's types stop at 9. */
type AnyFile = 3;

function options({ env = {}, files = [], cwd, stop }: Run) {
  return {
    env: { PATH: programPath(), LC_ALL: 'C', ...env },
    extendEnv: false,
    reject: false,
    stripFinalNewline: false,
    maxBuffer: MAX_OUTPUT,
    stdio: ['pipe', 'pipe', 'pipe', ...(files as readonly AnyFile[])],
    ...(cwd === undefined ? {} : { cwd }),
    ...(stop === undefined ? {} : { cancelSignal: stop, forceKillAfterDelay: 1000 }),
  } as const satisfies Options;
}

/** What is looked at of an execa result, whatever its options were. */
interface Ended {
  readonly failed: boolean;
  readonly code?: string | undefined;
  readonly isTerminated: boolean;
  readonly signal?: string | undefined;
  readonly exitCode?: number | undefined;
  readonly stdout?: unknown;
  readonly stderr?: unknown;
}

async function outcome(program: Program, { stop }: Run, child: PromiseLike<Ended>) {
  const ended = await child;
  stop?.throwIfAborted();
  if (!ended.failed) return { stdout: `${ended.stdout ?? ''}`, stderr: `${ended.stderr ?? ''}` };
  // Of a PATH with a folder that may not be searched the system says EACCES when it finds nothing.
  if (ended.code === 'ENOENT' || (ended.code === 'EACCES' && !isInstalled(program))) throw notInstalled(program);
  const stderr = `${ended.stderr ?? ''}`;
  const words = lastWords(stderr);
  if (!ended.isTerminated && ended.exitCode !== undefined)
    throw new FailedProgram(program.name, ended.exitCode, words, stderr);
  const why = ended.isTerminated ? `ended by ${ended.signal}` : ended.code;
  const room = ended.isTerminated ? NO_ROOM[ended.signal ?? ''] : undefined;
  const hint = room ?? hintOf(program, ended);
  throw new BootsealError(room === undefined ? 'tool' : 'io', `${program.name} failed (${why})${words}`, { hint });
}

/** What ends a program whose file could not grow: one that it had mapped (SIGBUS), or beyond the limit of the process. */
const NO_ROOM: Readonly<Record<string, string>> = {
  SIGBUS: `the folder of temporary files (TMPDIR) may be full: ${OTHER_TMPDIR}`,
  SIGXFSZ: 'a file would have become larger than the limit for this process: raise it (ulimit -f)',
};

function hintOf({ name }: Program, { isTerminated }: Ended): string {
  return isTerminated
    ? 'look what ended it: a person, too little memory (the kernel log says so), or more output than is taken here'
    : `look whether ${name} runs by hand`;
}

function notInstalled(program: Program): BootsealError {
  return new BootsealError('tool', `${program.name} is not installed`, {
    hint: `on Debian: apt-get install ${program.package}`,
  });
}

/** Throws `tool` when a program is missing that another one is going to start. */
export function needProgram(program: Program): void {
  if (!isInstalled(program)) throw notInstalled(program);
}

/** What a failed program said last. */
function lastWords(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '');
  return lines.length === 0 ? '' : `: ${lines.slice(-MAX_LINES).join('; ').slice(-MAX_WORDS)}`;
}

const MAX_LINES = 4;
const MAX_WORDS = 600;

/** Says whether a program could be started: whether there is one of this name where programs are looked for. */
export function isInstalled({ name }: Program): boolean {
  return programPath()
    .split(':')
    .some((folder) => folder !== '' && mayRun(path.resolve(folder, name)));
}

function mayRun(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

function programPath(): string {
  return `${PATH}:${process.env['PATH'] ?? ''}`;
}
