/** @module How `lab demo` shows what it does: each command as it would be typed, really run, with what it prints and how it ends. */
import { BootsealError } from '../core/errors.ts';
import { errorOf, kindOf, OWN_COMMAND, type Printed, type Run, runInside } from './inner-run.ts';
import type { Io, Out } from './io.ts';
import { printable } from './io.ts';

/** Letters of a terminal's line. */
const WIDTH = 118;

/** What a command is expected to do. */
export interface Expected {
  /** Its exit status. */
  readonly status?: number;
  /** What of its output is shown to people: the part of each line that matches. */
  readonly show?: RegExp;
}

/** Shows steps, commands and what a guest says: to people as text, to programs as one JSON object a line. */
export class Stage {
  readonly #io: Io;
  readonly #inside: Io;
  readonly #json: boolean;
  readonly #run: Run;
  readonly #start = Date.now();
  #step = 0;

  /** Commands run in `folder`. */
  constructor(io: Io, folder: string, run: Run, json: boolean) {
    this.#io = io;
    this.#inside = { ...io, cwd: folder };
    this.#json = json;
    this.#run = run;
  }

  /** Begins a step. */
  step(title: string): void {
    this.#step++;
    this.#show({ event: 'step', step: this.#step, title }, bold(this.#io.stdout, `${this.#step}. ${title}`));
  }

  /** Says something that belongs to no command. */
  say(text: string): void {
    this.#show({ event: 'note', text }, `   ${text}`);
  }

  /** Shows a line that a guest has printed. */
  guest(line: string): void {
    this.#show({ event: 'guest', line, encrypted: false }, `   | ${line}`);
  }

  /** Runs a command and shows it. Throws `io` when it could not read or write a file, `tool` when it ends otherwise than expected. */
  async run(words: readonly string[], { status = 0, show = /(?!)/ }: Expected = {}): Promise<Readonly<Printed>> {
    if (!this.#json) this.typed(words);
    const shown = await this.quietly(words, status);
    if (this.#json) this.#show({ event: 'command', words, status, error: errorOf(shown) ?? null }, '');
    for (const line of `${shown.stdout}${shown.stderr}`.split('\n')) {
      const part = show.exec(line)?.[0].trim();
      if (part && !this.#json) this.#line(`     ${cut(part)}`);
    }
    if (status !== 0 && !this.#json) this.#line(`     (exit status ${status})`);
    return shown;
  }

  /** Shows a command that is run by other means. */
  typed(words: readonly string[], behind = ''): void {
    if (this.#json) this.#show({ event: 'command', words, status: null, error: null }, '');
    else this.#line(`${wrapped(words)}${behind}`);
  }

  /** Runs a command without showing it; throws as {@link run}. */
  async quietly(words: readonly string[], status = 0): Promise<Readonly<Printed>> {
    const shown = { stdout: '', stderr: '' };
    const ended = await this.start(words, shown);
    if (ended === status) return shown;
    throw new BootsealError(
      kindOf(ended),
      `bootseal ${words.join(' ')} ended with ${ended}, not ${status}: ${errorOf(shown)}`,
      { hint: OWN_COMMAND },
    );
  }

  /** Runs a command and returns its exit status; what it prints is added to `shown`, and each piece is given to `take`. */
  start(words: readonly string[], shown: Printed, take?: (text: string) => void): Promise<number> {
    return runInside(this.#run, this.#inside, words, shown, take);
  }

  /** Ends the demonstration. */
  end(text: string): void {
    const seconds = Math.round((Date.now() - this.#start) / 100) / 10;
    this.#show(
      { event: 'done', seconds, encrypted: false },
      bold(this.#io.stdout, `Done in ${seconds.toFixed(1)} s: ${text}`),
    );
  }

  #show(event: Readonly<Record<string, unknown>>, text: string): void {
    if (this.#json) this.#io.stdout.write(`${JSON.stringify(event)}\n`);
    else this.#line(text);
  }

  #line(text: string): void {
    // Only what is bold, which is ours, has escape sequences.
    this.#io.stdout.write(`${text.startsWith(BOLD) ? text : text.split('\n').map(printable).join('\n')}\n`);
  }
}

const BOLD = '\x1b[1m';

function bold(out: Out, text: string): string {
  return out.isTTY && !process.env['NO_COLOR'] ? `${BOLD}${text}\x1b[0m` : text;
}

function cut(text: string): string {
  return text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text;
}

/** Returns the command line, broken between options; an option and its value stay together. */
function wrapped(words: readonly string[]): string {
  const pieces: string[] = [];
  for (const word of words) {
    const quoted = /^[\w./=,-]+$/.test(word) ? word : `'${word}'`;
    const isValue = !word.startsWith('-') && /^--\S+$/.test(pieces.at(-1) ?? '');
    if (isValue) pieces.push(`${pieces.pop()} ${quoted}`);
    else pieces.push(quoted);
  }
  const lines = ['   $ bootseal'];
  for (const piece of pieces) {
    const last = lines.at(-1) ?? '';
    if (last.length + piece.length > WIDTH - 4) lines.push(`       ${piece}`);
    else lines[lines.length - 1] = `${last} ${piece}`;
  }
  return lines.join(' \\\n');
}
