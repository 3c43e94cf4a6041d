import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { allocate } from '../../../src/host/image/allocate.ts';
import { scratch } from '../../cli/script.ts';
import { describeWith } from '../../needs.ts';

const { folder, remove } = scratch();
const SIZE = 257 * 2 ** 20;

/** Says how many bytes of a new file of `size` bytes have blocks after it was given them. */
async function allocated(size: number): Promise<number> {
  const name = path.join(folder, `${size}`);
  const handle = await fs.promises.open(name, 'w');
  try {
    await handle.truncate(size);
    await allocate(handle, name, size);
    const stat = await handle.stat();
    expect(stat.size).toBe(size);
    return stat.blocks * 512;
  } finally {
    await handle.close();
  }
}

const hasProgram = spawnSync('fallocate', ['--version']).error === undefined;

describeWith(
  { name: 'fallocate', files: hasProgram ? [] : ['/usr/bin/fallocate'], how: 'apt-get install util-linux' },
  'allocate',
  () => {
    afterAll(remove);

    it('gives a large file its blocks', async () => {
      expect(await allocated(SIZE)).toBeGreaterThanOrEqual(SIZE);
    });

    it('leaves a small one to what is written', async () => {
      expect(await allocated(2 ** 20)).toBe(0);
    });

    it('leaves it to the writing where the file takes no blocks', async () => {
      const handle = await fs.promises.open('/dev/null', 'w');
      try {
        await expect(allocate(handle, '/dev/null', SIZE)).resolves.toBeUndefined();
      } finally {
        await handle.close();
      }
    });
  },
);
