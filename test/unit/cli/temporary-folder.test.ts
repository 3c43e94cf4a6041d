import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { withTemporaryFolder } from '../../../src/cli/temporary-folder.ts';
import { BootsealError } from '../../../src/core/errors.ts';
import { ioError } from '../../../src/host/io-error.ts';
import { scratch } from '../../cli/script.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  vi.stubEnv('TMPDIR', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  remove();
});

describe('withTemporaryFolder', () => {
  it('makes a folder in TMPDIR, and removes it when the work has ended or failed', async () => {
    const used = await withTemporaryFolder('x-', async (made) => {
      fs.writeFileSync(path.join(made, 'file'), '');
      return made;
    });
    expect(path.dirname(used)).toBe(folder);
    const failed = withTemporaryFolder('x-', () => Promise.reject(new BootsealError('key', 'no', { hint: 'none' })));
    await expect(failed).rejects.toMatchObject({ kind: 'key' });
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it('says that nothing can be written there', async () => {
    vi.stubEnv('TMPDIR', path.join(folder, 'nowhere'));
    await expect(withTemporaryFolder('x-', async () => undefined)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${folder}/nowhere: no such file or directory`,
      hint: expect.stringContaining('TMPDIR'),
    });
  });

  it('says that it is full, also of what is written through an open file', async () => {
    const full = (made: string) => {
      fs.symlinkSync('/dev/full', path.join(made, 'full'));
      fs.writeFileSync(path.join(made, 'full'), 'x');
      return Promise.resolve();
    };
    await expect(withTemporaryFolder('x-', full)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${folder}: no space left on the device`,
      hint: expect.stringContaining('TMPDIR'),
    });
    expect(fs.readdirSync(folder)).toEqual([]);
  });

  it('says so too of what was told by name, wherever that was', async () => {
    const told = (place: string) =>
      withTemporaryFolder('x-', (made) => {
        const cause = Object.assign(new Error('x'), { code: 'ENOSPC' });
        return Promise.reject(ioError(cause, place === '' ? path.join(made, 'disk.img') : place, 'write'));
      });
    await expect(told('')).rejects.toMatchObject({
      kind: 'io',
      message: expect.stringMatching(/^cannot write .*x-\w+\/disk\.img: no space left/),
      hint: expect.stringContaining('TMPDIR'),
    });
    await expect(told('/elsewhere')).rejects.toMatchObject({ hint: expect.not.stringContaining('TMPDIR') });
  });

  it('says of the largest size that a file may have that no other folder changes it', async () => {
    const large = Object.assign(new Error('x'), { code: 'EFBIG' });
    await expect(withTemporaryFolder('x-', () => Promise.reject(large))).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${folder}: file too large`,
      hint: expect.stringContaining('ulimit -f'),
    });
  });

  it('leaves alone what failed elsewhere', async () => {
    const elsewhere = Object.assign(new Error('x'), { code: 'EACCES', path: '/elsewhere' });
    await expect(withTemporaryFolder('x-', () => Promise.reject(elsewhere))).rejects.toBe(elsewhere);
    const mistake = new TypeError('x');
    await expect(withTemporaryFolder('x-', () => Promise.reject(mistake))).rejects.toBe(mistake);
  });
});
