import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  FailedProgram,
  feedProgram,
  filterProgram,
  inheritedFile,
  needProgram,
  type Run,
  runProgram,
  startProgram,
} from '../../../src/host/program.ts';
import { scratch } from '../../cli/script.ts';
import { failure, HINT } from '../../failure.ts';

const program = (name: string) => ({ name, package: 'coreutils' });

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

async function* pieces(...all: Uint8Array[]) {
  yield* all;
}

describe('runProgram', () => {
  it('passes arguments as they are: no shell reads them', async () => {
    const args = ['%s|', '$(id)', '; ls', "'", '*'];
    expect(await runProgram(program('printf'), { args })).toEqual({ stdout: "$(id)|; ls|'|*|", stderr: '' });
  });

  it('feeds standard input, which else is empty', async () => {
    expect((await runProgram(program('cat'), { args: [] }, 'abc')).stdout).toBe('abc');
    expect((await runProgram(program('cat'), { args: [] })).stdout).toBe('');
  });

  it('shows the program nothing of the environment but what it is given', async () => {
    process.env['BOOTSEAL_TEST_SECRET'] = 'x';
    try {
      const { stdout } = await runProgram(program('env'), { args: [], env: { GIVEN: '1' } });
      expect(stdout.split('\n').map((line) => line.split('=')[0])).toEqual(
        expect.arrayContaining(['PATH', 'LC_ALL', 'GIVEN']),
      );
      expect(stdout).not.toContain('BOOTSEAL_TEST_SECRET');
    } finally {
      delete process.env['BOOTSEAL_TEST_SECRET'];
    }
  });

  it('hands over open files, also those that have no name any more', async () => {
    const names = ['a', 'b'].map((name) => path.join(folder, name));
    for (const name of names) fs.writeFileSync(name, path.basename(name));
    const files = names.map((name) => fs.openSync(name, 'r'));
    try {
      for (const name of names) fs.unlinkSync(name);
      const { stdout } = await runProgram(program('cat'), { args: [inheritedFile(1), inheritedFile(0)], files });
      expect(stdout).toBe('ba');
    } finally {
      for (const file of files) fs.closeSync(file);
    }
  });

  it.each<[string, Partial<Run>]>([
    ['an argument', { args: ['a', 'correct\0horse'] }],
    ['a variable', { env: { NAME: 'correct\0horse' } }],
    ['the folder', { cwd: '/correct\0horse' }],
  ])('refuses a NUL in %s, and does not repeat it', async (where, over) => {
    const run = { args: [], ...over };
    const refused = {
      kind: 'format',
      message: `${where} for printf holds a NUL, which no program can be given`,
      hint: HINT,
    };
    await expect(runProgram(program('printf'), run)).rejects.toMatchObject(refused);
    expect(failure(() => startProgram(program('printf'), run))).toEqual(refused);
    await expect(feedProgram(program('printf'), run, pieces())).rejects.toMatchObject(refused);
    await expect(collect(filterProgram(program('printf'), run, pieces()))).rejects.toMatchObject(refused);
  });

  it('tells what is missing and where it comes from', async () => {
    await expect(runProgram(program('no-such-program'), { args: [] })).rejects.toMatchObject({
      kind: 'tool',
      message: 'no-such-program is not installed',
      hint: 'on Debian: apt-get install coreutils',
    });
  });

  it('also where PATH has a file of that name that may not be run, or a folder that may not be searched', async () => {
    fs.writeFileSync(path.join(folder, 'no-such-program'), '#!/bin/sh\n', { mode: 0o644 });
    vi.stubEnv('PATH', folder);
    await expect(runProgram(program('no-such-program'), { args: [] })).rejects.toMatchObject({
      message: 'no-such-program is not installed',
    });
    expect(() => needProgram(program('no-such-program'))).toThrow(/not installed/);
    fs.chmodSync(path.join(folder, 'no-such-program'), 0o755);
    expect(await runProgram(program('no-such-program'), { args: [] })).toMatchObject({ stdout: '' });
    vi.unstubAllEnvs();
  });

  it('tells the status of what failed and its last words', async () => {
    await expect(runProgram(program('ls'), { args: ['/none'] })).rejects.toMatchObject({
      kind: 'tool',
      status: 2,
      message: "ls failed (status 2): ls: cannot access '/none': No such file or directory",
      hint: 'the reason is its own: look into its manual (man ls)',
    });
    await expect(runProgram(program('false'), { args: [] })).rejects.toMatchObject({
      message: 'false failed (status 1)',
    });
  });

  it('tells the signal that ended it', async () => {
    const args = ['-c', 'kill -9 $$'];
    const killed = runProgram(program('sh'), { args });
    await expect(killed).rejects.not.toBeInstanceOf(FailedProgram);
    await expect(killed).rejects.toMatchObject({
      message: 'sh failed (ended by SIGKILL)',
      hint: expect.stringContaining('too little memory'),
    });
  });

  it.each([
    ['SIGBUS', 'kill -BUS $$', 'TMPDIR'],
    ['SIGXFSZ', 'ulimit -f 1; exec head -c 1000000 /dev/zero > "$0"', 'ulimit -f'],
  ])('says of %s what it is about: a file that was to grow, where no room is', async (signal, script, hint) => {
    const args = ['-c', script, path.join(folder, 'file')];
    await expect(runProgram(program('sh'), { args })).rejects.toMatchObject({
      kind: 'io',
      message: `sh failed (ended by ${signal})`,
      hint: expect.stringContaining(hint),
    });
  });

  it('keeps all that a failed program said, and tells the last of it', async () => {
    const args = ['-c', 'seq 1000 >&2; exit 3'];
    const lines = Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`).join('');
    await expect(runProgram(program('sh'), { args })).rejects.toMatchObject({
      words: ': 997; 998; 999; 1000',
      stderr: lines,
    });
  });

  it('ends it when told to stop, and throws the reason', async () => {
    const controller = new AbortController();
    const ran = runProgram(program('sleep'), { args: ['60'], stop: controller.signal });
    setTimeout(() => controller.abort(new Error('stopped')), 20);
    await expect(ran).rejects.toThrow('stopped');
  });

  it('refuses output without end', async () => {
    await expect(runProgram(program('yes'), { args: [] })).rejects.toMatchObject({ kind: 'tool', hint: HINT });
  });
});

describe('needProgram', () => {
  it('tells what is missing before anything is started', () => {
    expect(() => needProgram(program('cat'))).not.toThrow();
    expect(() => needProgram({ name: 'no-such-program', package: 'some-package' })).toThrow(
      expect.objectContaining({
        kind: 'tool',
        message: 'no-such-program is not installed',
        hint: 'on Debian: apt-get install some-package',
      }),
    );
  });
});

describe('feedProgram', () => {
  async function* pieces(count: number, after?: Error) {
    for (let i = 0; i < count; i++) yield new Uint8Array(1 << 16);
    if (after !== undefined) throw after;
  }

  it('gives a program all of the input and returns what it said', async () => {
    const args = ['-c', 'wc -c >&2'];
    await expect(feedProgram(program('sh'), { args }, pieces(20))).resolves.toMatchObject({ stderr: `${20 << 16}\n` });
  });

  it('throws the verdict of a program that does not wait for the end', async () => {
    const args = ['-c', 'echo enough >&2; exit 3'];
    await expect(feedProgram(program('sh'), { args }, pieces(200))).rejects.toMatchObject({
      status: 3,
      words: ': enough',
    });
  });

  it('throws what the input throws, when the program has seen its end and is done', async () => {
    const done = path.join(folder, 'done');
    const run = { args: ['-c', 'cat >/dev/null; sleep 0.2; touch "$0"; exit 1', done] };
    await expect(feedProgram(program('sh'), run, pieces(3, new Error('broken')))).rejects.toThrow('broken');
    expect(fs.existsSync(done)).toBe(true);
  });
});

describe('startProgram', () => {
  it('lets the caller talk with it', async () => {
    const running = startProgram(program('cat'), { args: [] });
    running.stdin.end('hello');
    expect((await collect(running.stdout)).toString()).toBe('hello');
    await running.ended;
  });

  it('tells that it failed', async () => {
    const running = startProgram(program('no-such-program'), { args: [] });
    await expect(running.ended).rejects.toMatchObject({ kind: 'tool', hint: HINT });
  });
});

describe('filterProgram', () => {
  it('passes a stream through, larger than any pipe', async () => {
    const bytes = randomBytes(3 << 20);
    const out = await collect(
      filterProgram(program('cat'), { args: [] }, pieces(bytes.subarray(0, 5), bytes.subarray(5))),
    );
    expect(out.equals(bytes)).toBe(true);
  });

  it('fails when the program does, and when it ends before its input', async () => {
    const much = pieces(...Array.from({ length: 64 }, () => randomBytes(1 << 16)));
    await expect(collect(filterProgram(program('false'), { args: [] }, much))).rejects.toMatchObject({
      kind: 'tool',
      hint: HINT,
    });
  });

  it('throws what its input throws', async () => {
    // biome-ignore lint/correctness/useYield: it fails before
    async function* broken(): AsyncGenerator<Uint8Array> {
      throw new Error('broken');
    }
    await expect(collect(filterProgram(program('cat'), { args: [] }, broken()))).rejects.toThrow('broken');
  });

  it('ends the program when the reader has enough', async () => {
    async function* endless() {
      for (;;) yield randomBytes(1 << 16);
    }
    for await (const piece of filterProgram(program('cat'), { args: [] }, endless())) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
  });
});
