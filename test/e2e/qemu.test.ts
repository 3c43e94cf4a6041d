import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Machine, runMachine } from '../../src/lab/qemu.ts';
import { scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';
import { GUEST } from './guest-tree.ts';

describeWith(GUEST, 'a machine', () => {
  let folder: string;
  let remove: () => void;
  let idle: Machine;
  beforeAll(() => {
    ({ folder, remove } = scratch());
    // QEMU's own firmware finds nothing to boot from and waits.
    idle = { boot: {}, memory: 64, disks: [], serial: [path.join(folder, 'console')] };
  });
  afterAll(() => remove());

  it('is killed at its deadline', async () => {
    expect(await runMachine(idle, 500)).toBe('deadline');
  });

  it('is killed when nobody wants it any more', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 300);
    await expect(runMachine(idle, 20_000, controller.signal)).rejects.toThrow(/abort/);
    await expect(runMachine(idle, 20_000, controller.signal)).rejects.toThrow(/abort/);
  });

  it('that QEMU refuses is an error with what it says', async () => {
    const disks = [{ file: path.join(folder, 'missing'), serial: 'x' }];
    await expect(runMachine({ ...idle, disks }, 20_000)).rejects.toMatchObject({
      kind: 'tool',
      message: expect.stringMatching(/missing/),
    });
  });
});
