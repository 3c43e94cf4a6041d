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
  'a file system that becomes full',
  () => {
    // The larger one is refused before it is written.
    it.each([24, 300])('is a clear error that leaves nothing, of %i MiB', (mebibytes) => {
      const { folder, remove } = scratch();
      try {
        fs.writeFileSync(path.join(folder, 'raw'), noise(1 << 20));
        fs.truncateSync(path.join(folder, 'raw'), mebibytes * 2 ** 20);
        fs.mkdirSync(path.join(folder, 'full'));
        const script = `mount -t tmpfs -o size=30m none full || exit 99
          "$0" "$1" image build --from raw --new-key full/key --out full/disk
          status=$?; echo "left:" $(ls -A full); exit $status`;
        const args = ['-rm', 'sh', '-c', script, process.execPath, COMMAND];
        const ran = spawnSync('unshare', args, { cwd: folder, encoding: 'utf8' });
        expect(ran).toMatchObject({ status: 5, stdout: 'left:\n' });
        expect(ran.stderr).toMatch(/error: cannot write .*full\/disk: no space left on the device/);
      } finally {
        remove();
      }
    });
  },
);
