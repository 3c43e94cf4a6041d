import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type LaunchRecord, printRecord } from '../../../src/core/session/record.ts';
import { readRecord, useRecord } from '../../../src/host/record.ts';
import { scratch } from '../../cli/script.ts';

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

beforeEach(() => {
  ({ folder, remove } = scratch());
  file = path.join(folder, 'record.json');
  fs.writeFileSync(file, printRecord(RECORD), { mode: 0o600 });
});
afterEach(() => remove());

describe('useRecord', () => {
  it('writes the time and the measurement, keeps everything else and leaves no other file', async () => {
    const expected = { ...RECORD, used: { at: '2026-11-23T08:00:00.000Z', measurement: MEASUREMENT } };
    expect(await useRecord(file, MEASUREMENT, NOW)).toEqual(expected);
    expect(await readRecord(file)).toEqual(expected);
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    expect(fs.readdirSync(folder)).toEqual(['record.json']);
  });

  it('refuses a used record and leaves it as it is', async () => {
    await useRecord(file, MEASUREMENT, NOW);
    const before = fs.readFileSync(file, 'utf8');
    await expect(useRecord(file, 'other', new Date(0))).rejects.toMatchObject({
      kind: 'usage',
      message: expect.stringContaining(`used at 2026-11-23T08:00:00.000Z for the measurement ${MEASUREMENT}`),
      hint: expect.stringContaining('one launch'),
    });
    expect(fs.readFileSync(file, 'utf8')).toBe(before);
    expect(fs.readdirSync(folder)).toEqual(['record.json']);
  });

  it('lets one of many callers through, whichever name they use', async () => {
    const link = path.join(folder, 'link.json');
    fs.symlinkSync('record.json', link);
    const calls = Array.from({ length: 20 }, (_, i) => useRecord(i % 2 === 0 ? file : link, `launch ${i}`, NOW));
    const outcomes = await Promise.allSettled(calls);
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(won).toHaveLength(1);
    expect((await readRecord(file)).used).toEqual(won[0]?.value.used);
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ kind: 'usage' });
    }
    expect(fs.lstatSync(link).isSymbolicLink()).toBe(true);
    expect(fs.readdirSync(folder).sort()).toEqual(['link.json', 'record.json']);
  });

  it('refuses while a lock lies there, even a stale one, and does not remove it', async () => {
    fs.writeFileSync(`${file}.lock`, '999999\n');
    await expect(useRecord(file, MEASUREMENT, NOW)).rejects.toMatchObject({
      kind: 'usage',
      message: expect.stringContaining('record.json.lock exists'),
      hint: expect.stringContaining('remove'),
    });
    expect(await readRecord(file)).toEqual(RECORD);
    expect(fs.existsSync(`${file}.lock`)).toBe(true);
    fs.rmSync(`${file}.lock`);
    expect((await useRecord(file, MEASUREMENT, NOW)).used?.measurement).toBe(MEASUREMENT);
  });

  it('leaves no lock behind a record that cannot be read', async () => {
    fs.writeFileSync(file, '{"format":');
    await expect(useRecord(file, MEASUREMENT, NOW)).rejects.toMatchObject({ kind: 'format' });
    expect(fs.readdirSync(folder)).toEqual(['record.json']);
  });

  it('says io for a record that is not there', async () => {
    await expect(useRecord(path.join(folder, 'none.json'), MEASUREMENT, NOW)).rejects.toMatchObject({ kind: 'io' });
    expect(fs.readdirSync(folder)).toEqual(['record.json']);
  });
});

describe('readRecord', () => {
  it('refuses a file that no record needs', async () => {
    fs.writeFileSync(file, ' '.repeat((1 << 20) + 1));
    await expect(readRecord(file)).rejects.toMatchObject({ kind: 'format' });
  });
});
