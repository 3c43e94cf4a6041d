import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { writeNewFile } from '../../../src/host/new-file.ts';

const NOBODY = 65534;

/** Only root may become another user. */
describe.skipIf(process.geteuid?.() !== 0)('a file of another user in a sticky folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bootseal-sticky-'));
    fs.chmodSync(folder, 0o1777);
    fs.writeFileSync(path.join(folder, 'raw'), 'old');
    fs.chmodSync(path.join(folder, 'raw'), 0o666);
  });
  afterEach(() => {
    process.seteuid?.(0);
    fs.rmSync(folder, { recursive: true });
  });

  it('is not replaced, and gets no second name that stays', async () => {
    process.seteuid?.(NOBODY);
    const file = path.join(folder, 'raw');
    await expect(writeNewFile(file, 'new', 0o600, true, () => undefined)).rejects.toMatchObject({
      kind: 'io',
      message: `cannot write ${file}: it is of another user, in a folder where only its owner may replace it`,
    });
    expect(fs.readdirSync(folder)).toEqual(['raw']);
    expect(fs.readFileSync(file, 'utf8')).toBe('old');
    await writeNewFile(path.join(folder, 'mine'), 'new', 0o600, true, () => undefined);
    await writeNewFile(path.join(folder, 'mine'), 'newer', 0o600, true, () => undefined);
    expect(fs.readdirSync(folder).sort()).toEqual(['mine', 'raw']);
  });
});
