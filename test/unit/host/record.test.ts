import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LaunchRecord, printRecord } from '../../../src/core/session/record.ts';
import { readRecord, useRecord } from '../../../src/host/record.ts';
import { scratch } from '../../cli/script.ts';
import { HINT } from '../../failure.ts';

const NOW = new Date('2026-11-23T08:00:00.000Z');
const MEASUREMENT = Buffer.alloc(48, 7).toString('base64');

const RECORD: LaunchRecord = {
  format: 'bootseal-record-1',
  platform: 'sev',
  created: '2026-11-23T07:00:00.000Z',
  policy: 3,
  minimumApi: { major: 0, minor: 17, build: 0 },
  expected: [{ digest: 'ab'.repeat(32) }],
  firmware: { sha256: 'cd'.repeat(32), bytes: 4096, lint: 'enforcing', secretArea: { base: 0x810000, size: 0xc00 } },
  kernelHashes: true,
  platformKey: { pdhSha256: 'ef'.repeat(32), verified: true, root: 'milan' },
  used: null,
};

let folder: string;
let remove: () => void;
let file: string;
let tk: string;

beforeEach(() => {
  ({ folder, remove } = scratch());
  file = path.join(folder, 'record.json');
  fs.writeFileSync(file, printRecord(RECORD), { mode: 0o600 });
  tk = path.join(folder, 'tk');
  fs.writeFileSync(tk, new Uint8Array(32), { mode: 0o600 });
});
afterEach(() => remove());

describe('useRecord', () => {
  it('writes the time and the measurement into both marks and keeps everything else', async () => {
    const expected = { ...RECORD, used: { at: '2026-11-23T08:00:00.000Z', measurement: MEASUREMENT } };
    expect(await useRecord(file, tk, MEASUREMENT, NOW)).toEqual(expected);
    expect(await readRecord(file)).toEqual(expected);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    expect(fs.readdirSync(folder).sort()).toEqual(['record.json', 'tk', 'tk.used']);
    expect(JSON.parse(fs.readFileSync(`${tk}.used`, 'utf8'))).toEqual(expected.used);
    expect(fs.statSync(`${tk}.used`).mode & 0o777).toBe(0o600);
  });

  it('says that the keys are spent when only their mark could be written', async () => {
    const now = new Date(NOW);
    // The record has been read by then; a folder in its place cannot be replaced.
    now.toISOString = () => {
      fs.rmSync(file);
      fs.mkdirSync(path.join(file, 'in the way'), { recursive: true });
      return NOW.toISOString();
    };
    await expect(useRecord(file, tk, MEASUREMENT, now)).rejects.toMatchObject({
      kind: 'io',
      message: expect.stringContaining(`cannot write ${file}`),
      hint: expect.stringMatching(/the record is spent: .*new session/),
    });
    expect(fs.existsSync(`${tk}.used`)).toBe(true);
  });

  it('marks nothing when the record could not be written in its place', async () => {
    const long = path.join(folder, 'r'.repeat(245));
    fs.renameSync(file, long);
    const failed = await useRecord(long, tk, MEASUREMENT, NOW).catch((error: unknown) => error);
    expect(failed).toMatchObject({ kind: 'io', message: expect.stringContaining('the name is too long') });
    expect((failed as { hint: string }).hint).not.toContain('spent');
    expect(fs.existsSync(`${tk}.used`)).toBe(false);
    expect((await readRecord(long)).used).toBeNull();
  });

  it('keeps the hint of what failed while nothing is marked', async () => {
    const error = await useRecord(file, path.join(folder, 'none', 'tk'), MEASUREMENT, NOW).catch((cause) => cause);
    expect(error).toMatchObject({ kind: 'io', hint: expect.stringMatching(/whether the name is right/) });
    expect((await readRecord(file)).used).toBeNull();
  });

  it('refuses a used record and leaves it as it is', async () => {
    await useRecord(file, tk, MEASUREMENT, NOW);
    const before = fs.readFileSync(file, 'utf8');
    await expect(useRecord(file, tk, 'other', new Date(0))).rejects.toMatchObject({
      kind: 'usage',
      message: expect.stringContaining(`used at 2026-11-23T08:00:00.000Z for the measurement ${MEASUREMENT}`),
      hint: expect.stringContaining('one launch'),
    });
    expect(fs.readFileSync(file, 'utf8')).toBe(before);
    expect(fs.readdirSync(folder).sort()).toEqual(['record.json', 'tk', 'tk.used']);
  });

  it('lets one of many callers through, whichever name they use', async () => {
    const link = path.join(folder, 'link.json');
    fs.symlinkSync('record.json', link);
    const calls = Array.from({ length: 20 }, (_, i) => useRecord(i % 2 === 0 ? file : link, tk, `launch ${i}`, NOW));
    const outcomes = await Promise.allSettled(calls);
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(won).toHaveLength(1);
    expect((await readRecord(file)).used).toEqual(won[0]?.value.used);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ kind: 'usage', hint: HINT });
    }
    expect(fs.lstatSync(link).isSymbolicLink()).toBe(true);
    expect(fs.readdirSync(folder).sort()).toEqual(['link.json', 'record.json', 'tk', 'tk.used']);
  });

  it('refuses while a lock lies there, even a stale one, and does not remove it', async () => {
    fs.writeFileSync(`${file}.lock`, '999999\n');
    await expect(useRecord(file, tk, MEASUREMENT, NOW)).rejects.toMatchObject({
      kind: 'usage',
      message: expect.stringContaining('record.json.lock exists'),
      hint: expect.stringContaining('remove'),
    });
    expect(await readRecord(file)).toEqual(RECORD);
    expect(fs.existsSync(`${file}.lock`)).toBe(true);
    fs.rmSync(`${file}.lock`);
    expect((await useRecord(file, tk, MEASUREMENT, NOW)).used?.measurement).toBe(MEASUREMENT);
  });

  it('refuses every copy of a record once its transport keys served', async () => {
    const copies = [file, ...Array.from({ length: 9 }, (_, i) => path.join(folder, `copy${i}.json`))];
    for (const copy of copies.slice(1)) fs.copyFileSync(file, copy);
    fs.symlinkSync('tk', path.join(folder, 'alias'));
    const keys = [tk, path.join(folder, 'alias')];
    const outcomes = await Promise.allSettled(copies.map((copy, i) => useRecord(copy, keys[i % 2] ?? '', `${i}`, NOW)));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      expect(outcome.reason).toMatchObject({ kind: 'usage', hint: expect.stringContaining('one launch') });
      expect(outcome.reason.message).toMatch(/(tk|alias) served a launch before: .*tk\.used exists$/);
    }
    const marked = await Promise.all(copies.map(async (copy) => (await readRecord(copy)).used !== null));
    expect(marked.filter(Boolean)).toHaveLength(1);
    expect(fs.readdirSync(folder).filter((name) => /lock|alias\.used/.test(name))).toEqual([]);
  });

  it.each(['record', 'tk'])('refuses a %s with a second name, which the mark would not reach', async (which) => {
    const other = path.join(folder, 'other');
    fs.linkSync(which === 'tk' ? tk : file, other);
    const [record, keys] = which === 'tk' ? [file, other] : [other, tk];
    for (const [a, b] of [[file, tk] as const, [record, keys] as const]) {
      await expect(useRecord(a, b, MEASUREMENT, NOW)).rejects.toMatchObject({
        kind: 'usage',
        message: expect.stringMatching(/ has 2 names \(hard links\)$/),
        hint: expect.stringContaining('remove the other name'),
      });
    }
    expect(await readRecord(file)).toEqual(RECORD);
    fs.rmSync(other);
    expect((await useRecord(file, tk, MEASUREMENT, NOW)).used).not.toBeNull();
  });

  it('leaves the record unused when the mark beside the keys cannot be made', async () => {
    await expect(useRecord(file, path.join(folder, 'no-tk'), MEASUREMENT, NOW)).rejects.toMatchObject({
      kind: 'io',
      hint: HINT,
    });
    expect(await readRecord(file)).toEqual(RECORD);
    expect(fs.readdirSync(folder).sort()).toEqual(['record.json', 'tk']);
  });

  it('leaves no lock behind a record that cannot be read', async () => {
    fs.writeFileSync(file, '{"format":');
    await expect(useRecord(file, tk, MEASUREMENT, NOW)).rejects.toMatchObject({ kind: 'format', hint: HINT });
    expect(fs.readdirSync(folder).sort()).toEqual(['record.json', 'tk']);
  });

  it('says io for a record that is not there', async () => {
    await expect(useRecord(path.join(folder, 'none.json'), tk, MEASUREMENT, NOW)).rejects.toMatchObject({
      kind: 'io',
      hint: HINT,
    });
    expect(fs.readdirSync(folder).sort()).toEqual(['record.json', 'tk']);
  });
});

describe('readRecord', () => {
  it('refuses a file that no record needs', async () => {
    fs.writeFileSync(file, ' '.repeat((1 << 20) + 1));
    await expect(readRecord(file)).rejects.toMatchObject({ kind: 'format', hint: HINT });
  });
});
