/** `lab attack`: every move is really made, what stopped it is seen, and one that was not stopped is a failure. */
import { spawn, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeMoves } from '../../src/cli/lab-attack.ts';
import type { Ground } from '../../src/cli/lab-ground.ts';
import { MOVES, type Move } from '../../src/cli/lab-moves.ts';
import { bootseal } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST, GUEST_TREE } from './guest-tree.ts';
import { useLabFolder } from './lab-guest-files.ts';

const DEADLINE = 600_000;
const COMMAND = path.resolve('bin/bootseal.js');

describeWith(GUEST, 'lab attack', () => {
  const at = useLabFolder();

  it(
    'makes every move, and each is stopped by what has to stop it',
    async () => {
      const { status, stdout, stderr } = await bootseal(
        ['lab', 'attack', '--firmware', 'fw', '--system', GUEST_TREE, '--json'],
        at('.'),
      );
      expect(status, stdout + stderr).toBe(0);
      const events = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const done = { event: 'done', moves: MOVES.length, stopped: MOVES.length, encrypted: false };
      expect(events.pop()).toMatchObject(done);
      expect(events.map(({ move }) => move)).toEqual(MOVES.map(({ name }) => name));
      const words = {
        'the measurement, against the record': 'the launch measurement is not the expected one',
        "the session's MACs: the platform refuses it": 'LAUNCH_START: BAD_MEASUREMENT',
        'launch prepare, by the manifest': 'swapped.img is not the disk of disk.img.json',
        "AMD's roots, which are pinned": "none of AMD's root keys",
        'keys that are fresh for each session': 'the launch measurement is not the expected one',
        "the packet's MAC: the platform refuses it": "fw_error=11 'Bad measurement'",
        'the record, which is spent': 'this is another launch',
        'the guest, which knows the header of its disk':
          "the guest says: the header of /dev/vda is not the owner's: its SHA-256",
        'the guest, which looks only where its firmware says': 'the guest says: the secret area is empty: nothing was',
      };
      expect(new Set(events.map(({ by }) => by))).toEqual(new Set(Object.keys(words)));
      for (const { by, seen, stopped } of events) {
        expect(stopped).toBe(true);
        expect(seen).toContain(words[by as keyof typeof words]);
      }
    },
    DEADLINE,
  );

  it(
    'leaves no process and no file after SIGINT',
    async () => {
      const child = spawn(process.execPath, [COMMAND, 'lab', 'attack', '--firmware', 'fw', '--system', GUEST_TREE], {
        cwd: at('.'),
        env: { ...process.env, TMPDIR: at('tmp') },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stderr = '';
      child.stderr.on('data', (bytes: Buffer) => {
        stderr += bytes.toString();
      });
      const ended = new Promise<string | null>((resolve) => child.on('close', (_, signal) => resolve(signal)));
      await new Promise<void>((resolve) =>
        child.stdout.on('data', (bytes: Buffer) => bytes.toString().includes('a tampered kernel') && resolve()),
      );
      child.kill('SIGINT');
      expect({ by: await ended, stderr }).toEqual({ by: 'SIGINT', stderr: '' });
      const machines = spawnSync('pgrep', ['-f', `qemu-system-x86_64.*${at('.')}`], { encoding: 'utf8' }).stdout;
      expect(machines).toBe('');
      expect(fs.readdirSync(at('tmp'))).toEqual([]);
    },
    DEADLINE,
  );
});

describe('makeMoves', () => {
  const ground = { clear: async () => undefined } as unknown as Ground;
  const move = (name: string, stopped: boolean): Move => ({
    name,
    by: 'a lock',
    make: async () => ({ stopped, seen: 'x; y' }),
  });
  async function made(moves: readonly Move[], json: boolean) {
    let stdout = '';
    const out = {
      isTTY: false,
      write: (text: string | Uint8Array) => {
        stdout += text;
      },
    };
    const io = { stdout: out } as unknown as Parameters<typeof makeMoves>[0];
    const error = await makeMoves(io, ground, moves, { stop: new AbortController().signal, json }).catch((e) => e);
    return { stdout, error };
  }

  it('fails when one was not stopped, after all were made', async () => {
    const { stdout, error } = await made([move('one', true), move('two', false), move('three', true)], false);
    expect(error).toMatchObject({ kind: 'mismatch', message: 'not stopped: two' });
    expect(stdout).toMatch(/^one +stopped by a lock\n +x\ntwo +NOT STOPPED\n +x\nthree +stopped by a lock\n/m);
    expect(stdout).toContain('2 of 3 moves were stopped');
  });

  it('says nothing of a move that a signal cut short', async () => {
    const stop = new AbortController();
    const cut: Move = {
      name: 'cut',
      by: 'a lock',
      make: async () => {
        stop.abort();
        return { stopped: false, seen: 'nothing' };
      },
    };
    let stdout = '';
    const io = {
      stdout: {
        write: (text: string) => {
          stdout += text;
        },
      },
    } as unknown as Parameters<typeof makeMoves>[0];
    const made = makeMoves(io, ground, [move('one', true), cut], { stop: stop.signal, json: true });
    await expect(made).rejects.toMatchObject({ name: 'AbortError' });
    expect(stdout).toMatch(/^{"event":"move","move":"one"[^\n]*\n$/);
  });

  it('says the same in JSON', async () => {
    const { stdout, error } = await made([move('two', false)], true);
    expect(error).toMatchObject({ kind: 'mismatch' });
    const [first, last] = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(first).toEqual({ event: 'move', move: 'two', stopped: false, by: 'a lock', seen: 'x; y' });
    expect(last).toMatchObject({ event: 'done', moves: 1, stopped: 0 });
  });
});
