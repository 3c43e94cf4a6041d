import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { cryptsetup } from '../differential/cryptsetup-peer.ts';
import { keyslotsOf, luksIn } from '../torn-writes.ts';
import { noise } from './raw-image.ts';

/** `BOOTSEAL_KILLS=200` for the long form, which leaves out no point at which a change can be cut off. */
const KILLS = Number(process.env['BOOTSEAL_KILLS'] ?? 24);
const IS_LONG = KILLS >= 200;
const COMMAND = path.join(import.meta.dirname, '..', '..', 'bin', 'bootseal.js');
const HOOK = path.join(import.meta.dirname, 'kill-at.cjs');
const HAS_CRYPTSETUP = fs.existsSync('/usr/sbin/cryptsetup');

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const KEYS = { old: 'the old passphrase', stay: 'the one that stays', next: 'the new passphrase' };
type KeyName = keyof typeof KEYS;

interface Change {
  readonly title: string;
  readonly args: readonly string[];
  /** Keys that open before, and those that open after it. */
  readonly before: readonly KeyName[];
  readonly after: readonly KeyName[];
}

const CHEAP = ['--kdf', 'pbkdf2', '--kdf-iterations', '1000'];
const CHANGES: readonly Change[] = [
  {
    title: 'add-key',
    args: ['add-key', '--key-file', 'stay', '--new-key-file', 'next', ...CHEAP],
    before: ['old', 'stay'],
    after: ['old', 'stay', 'next'],
  },
  { title: 'remove-key', args: ['remove-key', '--key-file', 'old'], before: ['old', 'stay'], after: ['stay'] },
  {
    title: 'rekey',
    args: ['rekey', '--key-file', 'old', '--new-key-file', 'next', ...CHEAP],
    before: ['old', 'stay'],
    after: ['stay', 'next'],
  },
];

/** Images to change, each with its manifest, made once. */
const IMAGES: Readonly<Record<string, readonly string[]>> = {
  LUKS2: [],
  'LUKS2 detached': ['--detached-header', 'template.hdr'],
  LUKS1: ['--luks1'],
  'LUKS2 in a partition': ['--shape', 'gpt'],
  'LUKS2 in a partition of qcow2': ['--shape', 'gpt', '--format', 'qcow2'],
  'LUKS1 in qcow2': ['--luks1', '--format', 'qcow2'],
};

beforeAll(async () => {
  fs.writeFileSync(at('raw'), noise(4096));
  for (const [name, key] of Object.entries(KEYS)) fs.writeFileSync(at(name), key);
  for (const [title, options] of Object.entries(IMAGES)) {
    const args = ['image', 'build', '--from', 'raw', '--out', 'template', '--key-file', 'old'];
    const ran = await bootseal([...args, '--recovery-key-file', 'stay', ...CHEAP, ...options], folder);
    expect(ran.status, ran.stderr).toBe(0);
    const kept = at(title.replaceAll(' ', '-'));
    fs.mkdirSync(kept);
    for (const end of ['', '.json', '.hdr'])
      if (fs.existsSync(at(`template${end}`))) fs.renameSync(at(`template${end}`), path.join(kept, `img${end}`));
    for (const name of Object.keys(KEYS)) fs.copyFileSync(at(name), path.join(kept, name));
  }
}, 120_000);

/** Where the header of an image is, and how commands are told. */
function headerOf(cwd: string): { readonly file: string; readonly option: readonly string[] } {
  const apart = fs.existsSync(path.join(cwd, 'img.hdr'));
  return { file: path.join(cwd, apart ? 'img.hdr' : 'img'), option: apart ? ['--header', 'img.hdr'] : [] };
}

/** Runs a change in a process of its own and kills it, at a point of its writing or after some milliseconds; says whether it was. */
async function killed(
  args: readonly string[],
  cwd: string,
  when: { point?: number; after?: number },
): Promise<boolean> {
  const hook = when.point === undefined ? [] : ['--require', HOOK];
  const env = { ...process.env, BOOTSEAL_KILL_AT: String(when.point) };
  const child = spawn(process.execPath, [...hook, COMMAND, 'image', ...args], { cwd, env, stdio: 'ignore' });
  const end = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  if (when.after !== undefined) {
    await Promise.race([sleep(when.after), end]);
    child.kill('SIGKILL');
  }
  const [status, signal] = await end;
  if (signal === null) expect(status).toBe(0);
  return signal === 'SIGKILL';
}

const opening = async (file: string): Promise<readonly KeyName[]> => {
  const disk = await luksIn(new Uint8Array(fs.readFileSync(file)));
  const names = Object.keys(KEYS) as KeyName[];
  const found = await Promise.all(
    names.map(async (name) => ((await keyslotsOf(disk, KEYS[name])).length > 0 ? [name] : [])),
  );
  return found.flat();
};

/** Holds what is there after a kill against what may be, and lets the same command end it. */
async function check({ args, before, after }: Change, cwd: string, where: string): Promise<void> {
  const header = headerOf(cwd);
  const open = await opening(header.file);
  for (const name of before.filter((key) => after.includes(key))) expect(open, where).toContain(name);
  expect([...before, ...after].filter((name) => open.includes(name)).length, where).toBeGreaterThan(0);
  if (after.includes('next') && !after.includes('old')) {
    expect(open.includes('old') || open.includes('next'), `${where}: old or new`).toBe(true);
  }
  if (HAS_CRYPTSETUP) {
    // On a copy, since it mends what it reads.
    const copy = path.join(cwd, 'copy');
    fs.writeFileSync(copy, await luksIn(new Uint8Array(fs.readFileSync(header.file))));
    expect(cryptsetup(['luksDump', '--debug', copy]), where).toMatchObject({ status: 0 });
    expect(cryptsetup(['open', '--test-passphrase', '--key-file', '-', copy], KEYS.stay).status, where).toBe(0);
    expect(await opening(copy), where).toEqual(open);
    fs.rmSync(copy);
  }
  const verify = ['image', 'verify', 'img', '--key-file', 'stay', ...header.option, '--json'];
  const seen = await bootseal(verify, cwd);
  expect([0, 1], `${where}: ${seen.stderr}`).toContain(seen.status);
  const problems: readonly string[] = JSON.parse(seen.stdout).problems;
  const ours = [
    'a change of keys was interrupted: image repair brings it to an end',
    'the two copies of the header do not agree',
  ];
  expect(
    problems.filter((problem) => !ours.includes(problem)),
    where,
  ).toEqual([]);

  const isGone = !after.includes('old') && !open.includes('old');
  const again = await bootseal(
    isGone && args[0] === 'remove-key' ? ['image', 'repair', 'img', ...header.option] : ['image', ...args],
    cwd,
  );
  expect(again.status, `${where}: ${again.stderr}`).toBe(0);
  expect(await opening(header.file), where).toEqual(
    (['old', 'stay', 'next'] as const).filter((name) => after.includes(name)),
  );
  expect(await bootseal(verify, cwd), where).toMatchObject({ status: 0 });
  expect(fs.readFileSync(path.join(cwd, 'img.json'), 'utf8')).not.toContain('keyChange');
}

describe('a change of keys that is killed', () => {
  it(`leaves a header that opens, and can be brought to its end, ${KILLS} times`, {
    timeout: 60_000 + KILLS * 10_000,
  }, async () => {
    const plans = Object.keys(IMAGES).flatMap((image) => CHANGES.map((change) => ({ image, change })));
    let kills = 0;
    const points = new Map<string, number>();
    const done = new Set<string>();
    // The long form goes through the points of every change, one after the other, and only then kills at any moment.
    for (let run = 0; kills < KILLS || (IS_LONG && done.size < plans.length); run++) {
      const { image, change } = plans[run % plans.length] ?? { image: 'LUKS2', change: CHANGES[0] as Change };
      const name = `${image}, ${change.title}`;
      const isDone = done.has(name);
      if (isDone && done.size < plans.length) continue;
      const cwd = at(`run-${run}`);
      fs.cpSync(at(image.replaceAll(' ', '-')), cwd, { recursive: true });
      const wanted = {
        ...change,
        args: [change.args[0] ?? '', 'img', ...change.args.slice(1), ...headerOf(cwd).option],
      };
      const next = points.get(name) ?? 0;
      const point = IS_LONG ? next : Math.floor(Math.random() * (change.title === 'rekey' ? 32 : 16));
      const when = isDone ? { after: 100 + Math.random() * 900 } : { point };
      points.set(name, next + 1);
      const where = `${name}, ${JSON.stringify(when)}`;
      if (await killed(wanted.args, cwd, when)) kills++;
      else if (IS_LONG && !isDone) done.add(name);
      await check(wanted, cwd, where);
      fs.rmSync(cwd, { recursive: true });
    }
  });
});
