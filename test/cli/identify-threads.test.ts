import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { describeWith } from '../needs.ts';
import { scratch } from './script.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const { folder, remove } = scratch();

const BUILT = {
  name: 'the built command',
  files: [path.join(ROOT, 'dist', 'bootseal.cjs')],
  how: 'node bin/setup.js builds it',
};

describeWith(BUILT, 'identify on many threads', () => {
  afterAll(remove);

  it('prints nothing of its own accord', () => {
    fs.writeFileSync(path.join(folder, 'fw'), fixture('debian-ovmf/OVMF.amdsev_2026.08.fd'));
    const args = ['identify', '07'.repeat(48), '--firmware', 'fw', '--threads', '16'];
    const ran = spawnSync(process.execPath, [path.join(ROOT, 'bin', 'bootseal.js'), ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(ran.status).toBe(1);
    const remarks = ran.stderr.split('\n').filter((line) => line !== '' && !line.startsWith('bootseal: '));
    expect(remarks).toEqual([]);
  });
});
