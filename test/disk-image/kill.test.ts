import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { e2fsprogs } from '../differential/ext4-peer.ts';
import { describeWith } from '../needs.ts';
import { noise, start, tool } from './raw-image.ts';

/** In all; `BOOTSEAL_KILLS=36` for a short form. */
const KILLS = Number(process.env['BOOTSEAL_KILLS'] ?? 200);
const SHAPES = 6;
const KILLS_OF_EACH = Math.ceil(KILLS / SHAPES);
const SIZE = 16 << 20;

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
});
afterEach(() => remove());

const at = (name: string) => path.join(folder, name);
const isThere = (name: string) => fs.existsSync(at(name));

/** A disk to be made; `header` when it is detached. */
interface Shape {
  readonly args: readonly string[];
  readonly header: boolean;
}

const DETACHED: Shape = { args: ['--detached-header', 'header'], header: true };
const BUILD = ['image', 'build', '--from', 'raw', '--new-key', 'key', '--out', 'disk'];

/** Runs a build and sends it a signal after so many milliseconds; returns how it ended. */
async function interrupted(args: readonly string[], signal: NodeJS.Signals, after: number) {
  const build = start(args, folder);
  const end = once(build, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  await sleep(after);
  build.kill(signal);
  return end;
}

const KEPT = ['raw', 'payload', 'old'];

function clear(): void {
  for (const name of fs.readdirSync(folder)) if (!KEPT.includes(name)) fs.rmSync(at(name));
}

/** Runs the build that nobody interrupts; returns how long it takes. */
async function wholeBuild(args: readonly string[]): Promise<number> {
  const began = performance.now();
  const [status] = (await once(start(args, folder), 'exit')) as [number | null];
  expect(status).toBe(0);
  return performance.now() - began;
}

/** Decrypts the disk with the files beside it, and holds it against its manifest and against what it was made from. */
async function expectWholeDisk({ header }: Shape, payload: Buffer): Promise<void> {
  const opening = ['disk', '--key-file', 'key', ...(header ? ['--header', 'header'] : [])];
  expect(await bootseal(['image', 'verify', ...opening], folder)).toMatchObject({ status: 0 });
  expect(await bootseal(['image', 'extract', ...opening, '--out', 'back'], folder)).toMatchObject({ status: 0 });
  expect(fs.readFileSync(at('back')).includes(payload), 'what was encrypted comes back').toBe(true);
  expect(isThere('disk.json')).toBe(true);
}

/** Kills builds at times spread over the whole build; `check` looks at what is there, and says whether the disk is the new one. */
async function killAll(args: readonly string[], prepare: () => void, check: () => Promise<boolean>): Promise<void> {
  prepare();
  const whole = await wholeBuild(args);
  expect(await check()).toBe(true);
  let early = 0;
  for (let run = 0; run < KILLS_OF_EACH; run++) {
    clear();
    prepare();
    await interrupted(args, 'SIGKILL', whole * (0.3 + (0.8 * (run + Math.random())) / KILLS_OF_EACH));
    if (!(await check())) early++;
  }
  expect(early).toBeGreaterThan(0);
}

async function killNew(shape: Shape, payload: Buffer): Promise<void> {
  await killAll(
    [...BUILD, ...shape.args],
    () => undefined,
    async () => {
      const names = ['disk', 'disk.json', 'key', ...(shape.header ? ['header'] : [])];
      const isPart = (name: string) => /^(disk|disk\.json|header|key)\.[0-9a-f]{12}\.part$/.test(name);
      const others = fs.readdirSync(folder).filter((name) => ![...KEPT, ...names].includes(name));
      expect(others.filter((name) => !isPart(name))).toEqual([]);
      // The disk comes last: whoever finds it finds what opens it.
      if (isThere('disk')) await expectWholeDisk(shape, payload);
      return isThere('disk');
    },
  );
}

const TIMEOUT = 60_000 + KILLS_OF_EACH * 6000;

describe(`a build that is killed, ${KILLS_OF_EACH} times`, () => {
  it.each<[string, Shape]>([
    ['a detached header', DETACHED],
    ['integrity tags', { args: ['--integrity', 'hmac'], header: false }],
    ['a GPT', { args: ['--shape', 'gpt'], header: false }],
    ['qcow2', { args: ['--format', 'qcow2'], header: false }],
  ])('leaves no disk that is not whole: %s', { timeout: TIMEOUT }, async (_name, shape) => {
    const payload = noise(SIZE);
    fs.writeFileSync(at('raw'), payload);
    await killNew(shape, payload);
  });

  it('leaves all of the old disk or all of the new one with --force, or between two renames both', {
    timeout: TIMEOUT,
  }, async () => {
    const names = ['disk', 'disk.json', 'header'];
    const payload = noise(SIZE);
    fs.writeFileSync(at('raw'), noise(SIZE));
    await wholeBuild([...BUILD, ...DETACHED.args]);
    fs.mkdirSync(at('old'));
    for (const name of names) fs.renameSync(at(name), at(`old/${name}`));
    clear();
    fs.writeFileSync(at('raw'), payload);
    const isOld = (name: string, of = name) => fs.readFileSync(at(name)).equals(fs.readFileSync(at(`old/${of}`)));
    const isKept = (name: string) =>
      fs.readdirSync(folder).some((other) => {
        return other.startsWith(`${name}.`) && other.endsWith('.part.old') && isOld(other, name);
      });
    await killAll(
      [...BUILD, ...DETACHED.args, '--force'],
      () => {
        for (const name of names) fs.copyFileSync(at(`old/${name}`), at(name));
      },
      async () => {
        const old = names.filter((name) => isOld(name));
        if (old.length === 0) await expectWholeDisk(DETACHED, payload);
        else expect(names.every((name) => old.includes(name) || isKept(name))).toBe(true);
        return old.length === 0;
      },
    );
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('by %s leaves nothing at all', { timeout: 60_000 }, async (signal) => {
    const args = [...BUILD, ...DETACHED.args];
    const payload = noise(SIZE);
    fs.writeFileSync(at('raw'), payload);
    const whole = await wholeBuild(args);
    clear();
    let stopped = 0;
    for (const share of [0.45, 0.6, 0.75, 0.9]) {
      const [, by] = await interrupted(args, signal, whole * share);
      if (by === signal && !isThere('disk')) {
        stopped++;
        expect(fs.readdirSync(folder)).toEqual(['raw']);
      } else await expectWholeDisk(DETACHED, payload);
      clear();
    }
    expect(stopped).toBeGreaterThan(0);
  });
});

describeWith(e2fsprogs, `a sparse build that is killed, ${KILLS_OF_EACH} times`, () => {
  it('leaves no disk that is not whole', { timeout: TIMEOUT }, async () => {
    const payload = noise(SIZE);
    fs.writeFileSync(at('payload'), payload);
    tool('/usr/sbin/mke2fs', ['-q', '-t', 'ext4', '-b', '4096', 'raw', '32M'], folder);
    tool('/usr/sbin/debugfs', ['-w', '-R', 'write payload payload', 'raw'], folder);
    // In one piece, so that it can be looked for.
    expect(fs.readFileSync(at('raw')).includes(payload)).toBe(true);
    await killNew({ args: ['--sparse'], header: false }, payload);
  });
});
