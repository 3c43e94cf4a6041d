import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { bootseal, scratch } from './script.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.writeFileSync(path.join(folder, 'base.img'), fixture('initrd/etc.cpio'));
  fs.writeFileSync(path.join(folder, 'conf'), 'abc');
});
afterEach(() => remove());

it('shows no control character of a name', async () => {
  const name = 'bootseal\n\u001b[2Jx';
  const added = await bootseal(
    ['initrd', 'add', '--base', 'base.img', '--file', `${name}=conf`, '--out', 'o\rut'],
    folder,
  );
  expect(added.status).toBe(0);
  expect(added.stdout.split('\n').slice(0, 2)).toEqual([
    '0644  bootseal\\u000a\\u001b[2Jx, 3 bytes',
    expect.stringMatching(/^o\\u000dut: \d+ bytes, /),
  ]);
  const shown = await bootseal(['initrd', 'inspect', 'o\rut'], folder);
  expect(shown.stdout).toContain('bootseal: "bootseal\\n\\u001b[2Jx"\n');
  const json = await bootseal(['initrd', 'inspect', 'o\rut', '--json'], folder);
  expect(JSON.parse(json.stdout).bootseal).toEqual([name]);
});

it('adds no file under a name that Linux leaves out', async () => {
  const ran = await bootseal(
    ['initrd', 'add', '--base', 'base.img', '--file', `${'x'.repeat(300)}=conf`, '--out', 'no.img'],
    folder,
  );
  expect(ran.status).toBe(2);
  expect(ran.stderr).toContain('more than 255 bytes');
  expect(fs.existsSync(path.join(folder, 'no.img'))).toBe(false);
});
