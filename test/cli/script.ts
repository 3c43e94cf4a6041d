/**
 * @module Runs the command-line scripts of test/cli: a script says what is typed and what must come of it, and bootseal runs
 * in this process. A script is lines of verbs, then files in the form of Go's txtar (`-- name --`).
 *
 *     bootseal ARGS…          must end with status 0      ! bootseal ARGS…   must not
 *     status N                of the last run              stdin FILE         for the next run
 *     stdout REGEX            (also: stderr; `! stdout`)   cmp FILE FILE      the same bytes (`stdout` for the last output)
 *     exists FILE             (also: `! exists`)           mode FILE 600      permission bits
 *     fixture NAME FILE       copies a fixture             json PATH VALUE    a value in the last --json output
 *     copy FILE FILE          edit FILE REGEX TEXT         remove FILE
 *     flip FILE OFFSET        the lowest bit of a byte
 *     keep FILE               what the last run printed
 *     launch FOLDER WORD…     a record with its keys and measurement (launch-record.ts)
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { expect } from 'vitest';
import type { Io } from '../../src/cli/io.ts';
import { run } from '../../src/cli/main.ts';
import { fixture } from '../fixtures.ts';
import { writeLaunch } from '../launch-record.ts';

/** What one run printed. */
export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one command line in-process in the folder `cwd`. Time and randomness are the real ones unless given. */
export async function bootseal(args: readonly string[], cwd: string, over: Partial<Io> = {}): Promise<Ran> {
  const texts = { stdout: '', stderr: '' };
  const out = (name: 'stdout' | 'stderr') => ({
    isTTY: false,
    write: (text: string | Uint8Array) => {
      texts[name] += typeof text === 'string' ? text : Buffer.from(text).toString('latin1');
    },
  });
  const io: Io = {
    stdin: (async function* () {})(),
    stdout: out('stdout'),
    stderr: out('stderr'),
    cwd,
    now: () => new Date(),
    randomBytes: (size) => new Uint8Array(randomBytes(size)),
    ...over,
  };
  const status = await run(args, io);
  return { status, ...texts };
}

/** Returns a new empty folder and how to remove it. */
export function scratch(): { readonly folder: string; remove(): void } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bootseal-test-'));
  return { folder, remove: () => fs.rmSync(folder, { recursive: true, force: true }) };
}

/** Runs a script; fails the test at the first line that does not hold, naming it. */
export async function runScript(text: string): Promise<void> {
  const { folder, remove } = scratch();
  try {
    const [verbs, files] = split(text);
    for (const [name, body] of files) {
      fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      fs.writeFileSync(path.join(folder, name), body);
    }
    let last: Ran = { status: 0, stdout: '', stderr: '' };
    let stdin: Uint8Array | undefined;
    for (const [number, line] of verbs) {
      const words = splitWords(line);
      const negated = words[0] === '!';
      const [verb = '', ...args] = negated ? words.slice(1) : words;
      const where = `line ${number}: ${line}\n--- stdout\n${last.stdout}--- stderr\n${last.stderr}---`;
      const file = (i: number) => path.join(folder, args[i] ?? '');
      const read = (i: number) =>
        args[i] === 'stdout' ? last.stdout : args[i] === 'stderr' ? last.stderr : fs.readFileSync(file(i), 'latin1');
      switch (verb) {
        case 'bootseal': {
          const input = stdin;
          stdin = undefined;
          last = await bootseal(
            args,
            folder,
            input === undefined
              ? {}
              : {
                  stdin: (async function* () {
                    yield input;
                  })(),
                },
          );
          const shown = `line ${number}: ${line}\nstatus ${last.status}\n--- stdout\n${last.stdout}--- stderr\n${last.stderr}---`;
          expect(last.status !== 0, shown).toBe(negated);
          expect(last.status, shown).not.toBe(70);
          expectNoSecrets(folder, last, shown);
          if (negated) expect(last.stderr, `no hint: ${shown}`).toMatch(HINT);
          break;
        }
        case 'status':
          expect(last.status, where).toBe(Number(args[0]));
          break;
        case 'stdout':
        case 'stderr':
          expect(new RegExp(args[0] ?? '', 'm').test(last[verb]), where).toBe(!negated);
          break;
        case 'stdin':
          stdin = fs.readFileSync(file(0));
          break;
        case 'cmp':
          expect(read(0) === read(1), where).toBe(!negated);
          break;
        case 'exists':
          expect(fs.existsSync(file(0)), where).toBe(!negated);
          break;
        case 'mode':
          expect((fs.statSync(file(0)).mode & 0o777).toString(8), where).toBe(args[1]);
          break;
        case 'fixture':
          fs.mkdirSync(path.dirname(file(1)), { recursive: true });
          fs.writeFileSync(file(1), fixture(args[0] ?? ''));
          break;
        case 'launch':
          writeLaunch(file(0), args.slice(1));
          break;
        case 'keep':
          fs.writeFileSync(file(0), last.stdout);
          break;
        case 'copy':
          fs.cpSync(file(0), file(1), { recursive: true });
          break;
        case 'edit': {
          const before = fs.readFileSync(file(0), 'utf8');
          const after = before.replace(new RegExp(args[1] ?? '', 'm'), args[2] ?? '');
          expect(after, where).not.toBe(before);
          fs.writeFileSync(file(0), after);
          break;
        }
        case 'flip': {
          const bytes = fs.readFileSync(file(0));
          const at = Number(args[1]);
          expect(at < bytes.length, where).toBe(true);
          bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
          fs.writeFileSync(file(0), bytes);
          break;
        }
        case 'remove':
          fs.rmSync(file(0), { recursive: true });
          break;
        case 'json': {
          const value = (args[0] ?? '')
            .split('.')
            .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], JSON.parse(last.stdout));
          const text = typeof value === 'string' ? value : JSON.stringify(value);
          expect(text === args[1], `${where} found ${text}`).toBe(!negated);
          break;
        }
        default:
          throw new Error(`unknown verb in ${where}`);
      }
    }
  } finally {
    remove();
  }
}

/** No output may hold what a file named `tk` or `….secret` holds, in no form of writing it. */
/** Every failure says what to try, as text or in the JSON. */
const HINT = /^bootseal: hint: \S|"hint":"[^"]/m;

function expectNoSecrets(folder: string, { stdout, stderr }: Ran, shown: string): void {
  for (const name of fs.readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (!/(^|\/)tk$|\.secret$/.test(name)) continue;
    const secret = fs.readFileSync(path.join(folder, name));
    if (secret.length < 8) continue;
    const trimmed = secret.toString('latin1').trim();
    for (const form of [trimmed, secret.toString('hex'), secret.toString('base64').replace(/=*$/, '')]) {
      expect(`${stdout}${stderr}`.toLowerCase().includes(form.toLowerCase()), `${name} is printed: ${shown}`).toBe(
        false,
      );
    }
  }
}

function split(text: string): [[number, string][], Map<string, string>] {
  const verbs: [number, string][] = [];
  const files = new Map<string, string>();
  let name: string | undefined;
  text.split('\n').forEach((line, i) => {
    const header = /^-- (\S+) --$/.exec(line);
    if (header?.[1] !== undefined) {
      name = header[1];
      files.set(name, '');
    } else if (name !== undefined) files.set(name, `${files.get(name)}${line}\n`);
    else if (line.trim() !== '' && !line.startsWith('#')) verbs.push([i + 1, line.trim()]);
  });
  for (const [key, body] of files) files.set(key, body.replace(/\n$/, ''));
  return [verbs, files];
}

/** Splits at blanks; single quotes keep a word together and '' inside them is a quote. */
function splitWords(line: string): string[] {
  return [...line.matchAll(/'((?:[^']|'')*)'|(\S+)/g)].map(
    (found) => found[1]?.replaceAll("''", "'") ?? found[2] ?? '',
  );
}
