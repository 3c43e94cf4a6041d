import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { scratch } from '../cli/script.ts';
import { noise, start } from './raw-image.ts';

/** `BOOTSEAL_KILLS=200` for the long form. */
const KILLS = Number(process.env['BOOTSEAL_KILLS'] ?? 30);
const SIZE = 24 << 20;
const HEADER = 16 << 20;

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(path.join(folder, 'raw'), noise(SIZE));
});
afterEach(() => remove());

const BUILD = ['image', 'build', '--from', 'raw', '--new-key', 'key', '--out', 'disk', '--detached-header', 'header'];
const FILES = { disk: SIZE, header: HEADER, key: 44 };
const bytesOf = (name: string): number | undefined =>
  fs.statSync(path.join(folder, name), { throwIfNoEntry: false })?.size;

/** Runs a build and sends it a signal after so many milliseconds; returns how it ended. */
async function interrupted(signal: NodeJS.Signals, after: number) {
  const build = start(BUILD, folder);
  const end = once(build, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  await sleep(after);
  build.kill(signal);
  return end;
}

function clear(): void {
  for (const name of fs.readdirSync(folder)) if (name !== 'raw') fs.rmSync(path.join(folder, name));
}

/** How long a build takes that nobody interrupts. */
async function wholeBuild(): Promise<number> {
  const began = performance.now();
  const [status] = (await once(start(BUILD, folder), 'exit')) as [number | null];
  expect(status).toBe(0);
  const took = performance.now() - began;
  clear();
  return took;
}

describe('a build that is killed', () => {
  it(`leaves no name with half a file, ${KILLS} times`, { timeout: 20_000 + KILLS * 3000 }, async () => {
    const whole = await wholeBuild();
    let early = 0;
    for (let run = 0; run < KILLS; run++) {
      // Spread over the whole build, the end of which matters most.
      await interrupted('SIGKILL', whole * (0.3 + 0.8 * Math.random()));
      for (const [name, size] of Object.entries(FILES)) expect([undefined, size]).toContain(bytesOf(name));
      if (bytesOf('disk') === undefined) early++;
      else {
        // The disk comes last: whoever finds it finds what opens it.
        expect(bytesOf('header')).toBe(HEADER);
        expect(JSON.parse(fs.readFileSync(path.join(folder, 'disk.json'), 'utf8')).imageBytes).toBe(SIZE);
        expect(fs.readFileSync(path.join(folder, 'key'), 'latin1')).toMatch(/^[A-Za-z0-9+/]{43}=$/);
      }
      const others = fs
        .readdirSync(folder)
        .filter((name) => !['raw', 'disk', 'disk.json', 'header', 'key'].includes(name));
      expect(others.every((name) => /^(disk|disk\.json|header|key)\.[0-9a-f]{12}\.part$/.test(name))).toBe(true);
      clear();
    }
    expect(early).toBeGreaterThan(0);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('by %s leaves nothing at all', { timeout: 60_000 }, async (signal) => {
    const whole = await wholeBuild();
    let stopped = 0;
    for (const share of [0.45, 0.6, 0.75, 0.9]) {
      const [status, by] = await interrupted(signal, whole * share);
      if (by === signal && bytesOf('disk') === undefined) {
        stopped++;
        expect(fs.readdirSync(folder)).toEqual(['raw']);
      } else expect(bytesOf('disk'), `status ${status}, signal ${by}`).toBe(SIZE);
      clear();
    }
    expect(stopped).toBeGreaterThan(0);
  });
});
