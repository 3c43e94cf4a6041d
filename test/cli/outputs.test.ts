import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DISK_PASSPHRASE } from '../../src/core/secret/names.ts';
import { buildSecretTable } from '../../src/core/secret/table.ts';
import { fixture } from '../fixtures.ts';
import { writeLaunch } from '../launch-record.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
const at = (name: string) => path.join(folder, name);
const FIRMWARE = fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin');

beforeAll(() => {
  fs.writeFileSync(at('fw'), FIRMWARE);
  fs.symlinkSync('fw', at('linked'));
  fs.linkSync(at('fw'), at('hard'));
  fs.writeFileSync(at('kernel'), fixture('synthetic/kernel.bin'));
});

/** What a file that is read still holds after a refused command. */
async function refused(args: readonly string[], input: string): Promise<void> {
  const before = fs.readFileSync(at(input));
  const result = await bootseal(args, folder);
  expect(result, result.stderr).toMatchObject({ status: 2, stdout: '' });
  expect(result.stderr).toMatch(/would be written, and is one of the files that are read/);
  expect(fs.readFileSync(at(input)).equals(before)).toBe(true);
}

describe('--out with --force never replaces an input', () => {
  it.each(['fw', './fw', 'linked', 'hard'])('firmware inspect --descriptor: %s', async (out) => {
    await refused(['firmware', 'inspect', 'fw', '--descriptor', '--out', out, '--force'], 'fw');
  });

  it.each(['fw', 'linked', 'kernel'])('measure snp --reference: %s', async (out) => {
    const inputs = ['--firmware', 'fw', '--kernel', 'kernel', '--cpu', 'EPYC-v4'];
    const args = ['measure', 'snp', ...inputs, '--reference', 'rvps', '--out', out, '--force'];
    await refused(args, out === 'kernel' ? 'kernel' : 'fw');
  });

  it('secret inspect --value', async () => {
    const value = new TextEncoder().encode('correct horse battery staple');
    fs.writeFileSync(at('table'), buildSecretTable([{ guid: DISK_PASSPHRASE, form: 'raw', value }], { room: 3072 }));
    const args = ['secret', 'inspect', 'table', '--value', 'disk-passphrase', '--out', 'table', '--force'];
    await refused(args, 'table');
  });

  it('secret open, and secret inspect of a packet', async () => {
    writeLaunch(at('launch'), ['area=0x810000:0xc00']);
    fs.writeFileSync(at('passphrase'), 'correct horse battery staple');
    const of = ['--measurement', 'launch/measurement.b64', '--out'];
    const sealing = ['--record', 'launch/record.json', '--secret', 'disk-passphrase=passphrase', ...of, 'packet'];
    expect(await bootseal(['secret', 'build', ...sealing], folder)).toMatchObject({ status: 0 });
    for (const input of ['launch/tk', 'packet/secret.bin', 'launch/measurement.b64']) {
      await refused(['secret', 'open', 'packet', '--tk', 'launch/tk', ...of, input, '--force'], input);
    }
    const value = ['--value', 'disk-passphrase', '--tk', 'launch/tk', ...of];
    for (const input of ['packet/secret.bin', 'packet/header.bin']) {
      await refused(['secret', 'inspect', 'packet', ...value, input, '--force'], input);
    }
  });

  it('other files are replaced', async () => {
    fs.writeFileSync(at('old'), 'old');
    const args = ['firmware', 'inspect', 'fw', '--descriptor', '--out', 'old', '--force'];
    expect(await bootseal(args, folder)).toMatchObject({ status: 0 });
    expect(JSON.parse(fs.readFileSync(at('old'), 'utf8'))).toBeTypeOf('object');
  });
});
