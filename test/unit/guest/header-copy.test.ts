import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { copyHeader, type HeaderCopy, withHeaderFile } from '../../../src/guest/header-copy.ts';
import { scratch } from '../../cli/script.ts';
import { HINT } from '../../failure.ts';
import { fixture } from '../../fixtures.ts';
import { guestWith } from '../../guest-tree.ts';
import { memoryDisk } from '../../luks-image.ts';

let folder: string;
let remove: () => void;
beforeEach(() => {
  ({ folder, remove } = scratch());
  fs.mkdirSync(path.join(folder, 'run'));
});
afterEach(() => remove());

const files = () => fs.readdirSync(path.join(folder, 'run'));

describe('the header as a file', () => {
  let copy: HeaderCopy;
  beforeEach(async () => {
    copy = await copyHeader(memoryDisk(fixture('luks/cs261-l2-pbkdf2-512.img')), false, undefined);
  });

  it('is there for its user alone and for as long as it is used, also when that fails', async () => {
    const guest = guestWith(folder, new Uint8Array(0));
    const used = withHeaderFile(guest, copy, async (file) => {
      expect(fs.readFileSync(file).equals(copy.bytes)).toBe(true);
      expect(fs.statSync(file).mode & 0o777).toBe(0o600);
      throw new TypeError('used');
    });
    await expect(used).rejects.toThrow(new TypeError('used'));
    expect(files()).toEqual([]);
  });

  it('is gone before a signal ends the process', async () => {
    const seen: number[] = [];
    const onSignal = () => void seen.push(files().length);
    process.on('SIGTERM', onSignal);
    try {
      await withHeaderFile(guestWith(folder, new Uint8Array(0)), copy, async () => {
        process.kill(process.pid, 'SIGTERM');
        await vi.waitFor(() => expect(seen).toEqual([1]));
      });
      // Given on, as without a handler it would have been at once.
      await vi.waitFor(() => expect(seen).toEqual([1, 0]));
    } finally {
      process.off('SIGTERM', onSignal);
    }
  });

  it('is refused where it cannot be written', async () => {
    const guest = guestWith(path.join(folder, 'none'), new Uint8Array(0));
    await expect(withHeaderFile(guest, copy, async () => 1)).rejects.toMatchObject({ kind: 'io', hint: HINT });
  });
});
