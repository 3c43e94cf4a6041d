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
async function allocated(size: number, at = 0): Promise<number> {
  const name = path.join(folder, `${size}`);
  const handle = await fs.promises.open(name, 'w');
  try {
    await handle.truncate(at + size);
    await allocate(handle, name, { at, size });
    const stat = await handle.stat();
    expect(stat.size).toBe(at + size);
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

    it('gives them to nothing else', async () => {
      expect(await allocated(SIZE, 64 * 2 ** 20)).toBeLessThan(SIZE + 2 ** 20);
    });

    it('leaves a small one to what is written', async () => {
      expect(await allocated(2 ** 20)).toBe(0);
    });

    it('leaves it to the writing where the file takes no blocks', async () => {
      const handle = await fs.promises.open('/dev/null', 'w');
      try {
        await expect(allocate(handle, '/dev/null', { at: 0, size: SIZE })).resolves.toBeUndefined();
      } finally {
        await handle.close();
      }
    });
  },
);
