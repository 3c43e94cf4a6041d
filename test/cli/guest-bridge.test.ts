import { createCipheriv } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DISK, KBC, secretArea, writeTree } from '../guest-tree.ts';
import { bootseal, scratch } from './script.ts';

const key = Uint8Array.from({ length: 32 }, (_, i) => i * 7);
const encoded = Buffer.from(key).toString('base64');

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  writeTree(folder, {
    'table.bin': secretArea([
      [KBC, JSON.stringify({ 'default/key/key_id1': encoded })],
      [DISK, 'correct horse'],
    ]),
    'bad.bin': secretArea([[KBC, '{"default/key/key_id1": "correct horse battery"}']]),
    'empty.bin': secretArea([[DISK, '']]),
    'twice.bin': secretArea([[KBC, `{"a": "correct horse", "a": "${encoded}"}`]]),
    'none.bin': secretArea([[DISK, 'correct horse']]),
  });
});
afterEach(() => remove());

const bridge = async (words: readonly string[], input?: string) => {
  const stdin = (async function* () {
    if (input !== undefined) yield input;
  })();
  const ran = await bootseal(['guest', 'bridge', ...words], folder, { stdin });
  expect(ran.stderr).not.toMatch(/horse|battery/);
  expect(ran.stderr).not.toContain(encoded);
  return ran;
};

describe('guest bridge offline-fs-kbc', () => {
  it('writes the keys and other secrets, for their owner only', async () => {
    const words = ['offline-fs-kbc', '--table', 'table.bin', '--out', 'keys.json'];
    const ran = await bridge([...words, '--resource', 'default/disk/root=disk-passphrase', '--json']);
    expect(JSON.parse(ran.stdout)).toEqual({
      out: 'keys.json',
      resources: ['default/disk/root', 'default/key/key_id1'],
    });
    expect(JSON.parse(fs.readFileSync(path.join(folder, 'keys.json'), 'utf8'))).toEqual({
      'default/key/key_id1': encoded,
      'default/disk/root': Buffer.from('correct horse').toString('base64'),
    });
    expect(fs.statSync(path.join(folder, 'keys.json')).mode & 0o777).toBe(0o600);
    expect((await bridge(words)).status).toBe(5);
    expect((await bridge([...words, '--force'])).stdout).toBe('keys.json: default/key/key_id1\n');
  });

  it('does not replace the table that it reads', async () => {
    const refused = await bridge(['offline-fs-kbc', '--table', 'table.bin', '--out', 'table.bin', '--force']);
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain('table.bin would be written, and is one of the files that are read');
  });

  it('leaves nothing when something is wrong', async () => {
    const out = ['--out', 'no.json'];
    const bad = await bridge(['offline-fs-kbc', '--table', 'bad.bin', ...out]);
    expect(bad.status).toBe(3);
    expect(bad.stderr).toContain('keys: the key default/key/key_id1 is not base64');
    const twice = await bridge(['offline-fs-kbc', '--table', 'twice.bin', ...out]);
    expect(twice.status).toBe(3);
    expect(twice.stderr).toContain('keys: a name stands twice in it');
    const resource = ['--no-keys', '--resource', 'a/b/c=disk-passphrase'];
    const empty = await bridge(['offline-fs-kbc', '--table', 'empty.bin', ...resource, ...out]);
    expect(empty.status).toBe(3);
    expect(empty.stderr).toContain('the secret for a/b/c is empty');
    expect((await bridge(['offline-fs-kbc', '--table', 'none.bin', ...out])).status).toBe(5);
    expect((await bridge(['offline-fs-kbc', '--table', 'none.bin', '--no-keys', ...out])).status).toBe(2);
    expect((await bridge(['offline-fs-kbc', '--table', 'table.bin', '--out', '-'])).status).toBe(2);
    const again = ['--resource', 'default/key/key_id1=disk-passphrase'];
    expect((await bridge(['offline-fs-kbc', '--table', 'table.bin', ...again, ...out])).status).toBe(2);
    for (const text of ['a', 'a/b=disk-passphrase', 'a/b/c=hello']) {
      expect((await bridge(['offline-fs-kbc', '--table', 'table.bin', '--resource', text, ...out])).status).toBe(2);
    }
    const named = ['--resource', 'a/b=disk-passphrase'];
    expect(await bridge(['offline-fs-kbc', '--table', 'table.bin', ...named, ...out])).toMatchObject({
      stderr:
        'bootseal: error: --resource: a key id is neither a word nor of the form repository/type/tag\n' +
        'bootseal: hint: a key id looks like default/key/disk or kbs:///default/key/disk\n',
    });
    expect(fs.existsSync(path.join(folder, 'no.json'))).toBe(false);
  });
});

describe('guest bridge ocicrypt', () => {
  const layerKey = '{"symkey":"c3lt","cipheroptions":{}}';
  function request(kid: string, wrappingKey = key): string {
    const iv = Buffer.alloc(12, 5);
    const cipher = createCipheriv('aes-256-gcm', wrappingKey, iv);
    const wrapped = Buffer.concat([cipher.update(layerKey), cipher.final(), cipher.getAuthTag()]);
    const packet = { kid, wrapped_data: wrapped.toString('base64'), iv: iv.toString('base64'), wrap_type: 'A256GCM' };
    const annotation = Buffer.from(JSON.stringify(packet)).toString('base64');
    return JSON.stringify({ op: 'keyunwrap', keywrapparams: {}, keyunwrapparams: { dc: {}, annotation } });
  }

  it('unwraps the key of a layer', async () => {
    const ran = await bridge(['ocicrypt', '--table', 'table.bin'], request('kbs:///default/key/key_id1'));
    expect(ran).toMatchObject({ status: 0, stderr: '' });
    const { optsdata } = JSON.parse(ran.stdout).keyunwrapresults;
    expect(Buffer.from(optsdata).toString()).toBe(layerKey);
  });

  it('does not for another key, and answers nothing', async () => {
    const other = await bridge(['ocicrypt', '--table', 'table.bin'], request('key_id1', new Uint8Array(32)));
    expect(other).toMatchObject({ status: 4, stdout: '' });
    expect((await bridge(['ocicrypt', '--table', 'table.bin'], request('key_id2'))).status).toBe(4);
    expect((await bridge(['ocicrypt', '--table', 'table.bin'], '{"op":"keywrap"}')).status).toBe(2);
    expect((await bridge(['ocicrypt', '--table', 'table.bin'], 'hello')).status).toBe(3);
    expect((await bridge(['ocicrypt', '--table', 'none.bin'], request('key_id1'))).status).toBe(5);
    const terminal = { isTTY: true, write: () => expect.unreachable() };
    const words = ['guest', 'bridge', 'ocicrypt', '--table', 'table.bin'];
    expect((await bootseal(words, folder, { stdout: terminal })).status).toBe(2);
  });
});
