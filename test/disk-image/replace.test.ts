/** @module A disk of several files that takes the place of another one: all of it, or nothing. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { noise } from './raw-image.ts';

const COMMAND = path.join(import.meta.dirname, '..', '..', 'bin', 'bootseal.js');
const canMount = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;

describeWith(
  { name: 'unshare with user namespaces', files: canMount ? [] : ['/unshare'], how: 'allow user namespaces' },
  'a disk that cannot be replaced',
  () => {
    // As a container has it whose volume is that file: it can be written to, and not be replaced.
    it('keeps its header, its manifest and its key', () => {
      const { folder, remove } = scratch();
      try {
        fs.writeFileSync(path.join(folder, 'raw'), noise(1 << 20));
        const first = [
          'image',
          'build',
          '--from',
          'raw',
          '--new-key',
          'key',
          '--out',
          'disk',
          '--detached-header',
          'header',
        ];
        expect(spawnSync(process.execPath, [COMMAND, ...first], { cwd: folder }).status).toBe(0);
        const before = contents(folder);
        const again = `mount --bind disk disk || exit 99
          "$0" "$1" image build --from raw --new-key other --out disk --detached-header header --force`;
        const ran = spawnSync('unshare', ['-rm', 'sh', '-c', again, process.execPath, COMMAND], {
          cwd: folder,
          encoding: 'utf8',
        });
        expect(ran.stderr).toMatch(/error: cannot write .*disk: /);
        expect(ran.status).toBe(5);
        expect(contents(folder)).toEqual(before);
      } finally {
        remove();
      }
    });
  },
);

const contents = (folder: string) =>
  Object.fromEntries(
    fs.readdirSync(folder).map((name) => [name, fs.readFileSync(path.join(folder, name)).toString('base64')]),
  );
