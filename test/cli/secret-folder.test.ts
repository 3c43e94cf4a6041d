import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openPacket } from '../../src/core/secret/packet-cipher.ts';
import { parseSecretTable } from '../../src/core/secret/table.ts';
import { parseRecord } from '../../src/core/session/record.ts';
import { transportKeys, writeLaunch } from '../launch-record.ts';
import { bootseal, scratch } from './script.ts';

const PASSPHRASE = 'correct horse battery staple';
const NOW = new Date('2026-11-23T09:00:00.000Z');
const iv = new Uint8Array(16).fill(0xa5);

let folder: string;
let remove: () => void;
const file = (...names: string[]) => path.join(folder, ...names);
const text = (...names: string[]) => fs.readFileSync(file(...names), 'utf8');
const build = ['secret', 'build', '--record', 'launch/record.json', '--measurement', 'launch/measurement.b64'];
const sealing = [...build, '--secret', 'disk-passphrase=passphrase', '--out', 'packet'];

beforeEach(() => {
  ({ folder, remove } = scratch());
  writeLaunch(file('launch'), ['area=0x810000:0xc00']);
  fs.writeFileSync(file('passphrase'), PASSPHRASE);
});
afterEach(() => remove());

describe('the folder of secret build', () => {
  it('holds the same packet for virsh, for QMP and as bytes, under the IV that was drawn', async () => {
    const ran = await bootseal(sealing, folder, { randomBytes: (size) => iv.slice(0, size), now: () => NOW });
    expect(ran.status).toBe(0);
    expect(fs.readdirSync(file('packet')).sort()).toEqual([
      'header.b64',
      'header.bin',
      'qmp.json',
      'secret.b64',
      'secret.bin',
    ]);
    const header = fs.readFileSync(file('packet', 'header.bin'));
    const payload = fs.readFileSync(file('packet', 'secret.bin'));
    expect(text('packet', 'header.b64')).toBe(`${header.toString('base64')}\n`);
    expect(text('packet', 'secret.b64')).toBe(`${payload.toString('base64')}\n`);
    expect(JSON.parse(text('packet', 'qmp.json'))).toEqual({
      execute: 'sev-inject-launch-secret',
      arguments: {
        'packet-header': header.toString('base64'),
        secret: payload.toString('base64'),
        gpa: 0x810000,
      },
    });
    expect(new Uint8Array(header.subarray(4, 20))).toEqual(iv);
    const measurement = text('launch', 'measurement.b64').trim();
    const table = openPacket({ header, payload }, transportKeys(0), Buffer.from(measurement, 'base64').subarray(0, 32));
    expect(parseSecretTable(table).entries).toEqual([
      { guid: '736869e5-84f0-4973-92ec-06879ce3da0b', value: new Uint8Array(Buffer.from(PASSPHRASE)) },
    ]);
    expect(parseRecord(text('launch', 'record.json')).used).toEqual({ at: NOW.toISOString(), measurement });
  });

  it('takes 64 secrets and refuses 65', async () => {
    const secrets = (count: number) =>
      Array.from({ length: count }, (_, i) => [
        '--secret',
        `${String(i).padStart(8, '0')}-0000-0000-0000-000000000001=one`,
      ]).flat();
    fs.writeFileSync(file('one'), 'x');
    const many = await bootseal([...build, ...secrets(65), '--out', 'packet'], folder);
    expect([many.status, fs.existsSync(file('packet'))]).toEqual([2, false]);
    expect(many.stderr).toContain('65 entries, a guest sees only 64');
    expect((await bootseal([...build, ...secrets(64), '--out', 'packet'], folder)).status).toBe(0);
  });

  it('leaves the record used when it cannot be written, so that no second packet is ever made', async () => {
    const inTheWay = () => {
      fs.mkdirSync(file('packet', 'of somebody else'), { recursive: true });
      return NOW;
    };
    const failed = await bootseal(sealing, folder, { now: inTheWay });
    expect([failed.status, failed.stdout]).toEqual([5, '']);
    expect(failed.stderr).toMatch(/hint: no secret has left, but the record is spent: .*make a new session/);
    expect(failed.stderr).not.toContain('--force to replace');
    expect(fs.readdirSync(file('packet'))).toEqual(['of somebody else']);
    expect(fs.readdirSync(folder).sort()).toEqual(['launch', 'packet', 'passphrase']);
    expect(parseRecord(text('launch', 'record.json')).used?.at).toBe(NOW.toISOString());
    fs.rmSync(file('packet'), { recursive: true });
    const again = await bootseal(sealing, folder);
    expect([again.status, fs.existsSync(file('packet'))]).toEqual([2, false]);
    expect(again.stderr).toContain(`was used at ${NOW.toISOString()}`);
  });

  it('says what is in the way, and spends nothing, before the record is marked', async () => {
    fs.mkdirSync(file('packet', 'of somebody else'), { recursive: true });
    const failed = await bootseal(sealing, folder);
    expect(failed.status).toBe(5);
    expect(failed.stderr).toContain('--force');
    expect(failed.stderr).not.toContain('spent');
    expect(parseRecord(text('launch', 'record.json')).used).toBeNull();
  });

  it('appears for one of several that run at the same time', async () => {
    const runs = Array.from({ length: 6 }, (_, i) =>
      bootseal([...build, '--secret', 'disk-passphrase=passphrase', '--out', `packet${i}`], folder),
    );
    const statuses = (await Promise.all(runs)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 0).length).toBe(1);
    expect(statuses.filter((status) => status === 2).length).toBe(5);
    expect(fs.readdirSync(folder).filter((name) => name.startsWith('packet')).length).toBe(1);
  });
});
