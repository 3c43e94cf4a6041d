import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLabPlatform, openLabPlatform, readLabPlatform } from '../../../src/lab/psp/platform.ts';
import { scratch } from '../../cli/script.ts';
import { HINT } from '../../failure.ts';

const { folder, remove } = scratch();
const lab = path.join(folder, 'lab');
beforeAll(() => createLabPlatform(lab));
afterAll(remove);

describe('the platform of a lab', () => {
  it('keeps its private keys to its owner and says what it is', () => {
    const mode = (name: string) => (fs.statSync(path.join(lab, name)).mode & 0o777).toString(8);
    expect(mode('pdh.key')).toBe('600');
    expect(mode('pek.key')).toBe('600');
    expect(fs.readFileSync(path.join(lab, 'README'), 'utf8')).toContain('NOT encrypted');
    expect(fs.readFileSync(path.join(lab, 'ark.cert')).subarray(4, 20).toString()).toBe('bootseal lab ARK');
    expect(fs.readFileSync(path.join(lab, 'ask.cert')).subarray(4, 36).toString()).toBe(
      'bootseal lab ASKbootseal lab ARK',
    );
  });

  it('is made once: not over another, and read the same each time', async () => {
    await expect(createLabPlatform(lab)).rejects.toMatchObject({ kind: 'io', hint: 'choose another name' });
    const [first, second] = [await openLabPlatform(lab), await readLabPlatform(lab)];
    expect(second.chain).toEqual(first.chain);
    expect(second.pdhKey).toEqual(first.pdhKey);
    const made = path.join(folder, 'new', 'lab');
    expect((await openLabPlatform(made)).pdhKey).toEqual((await openLabPlatform(made)).pdhKey);
  });

  it.each([
    'no key at all',
    fs.readFileSync('test/fixtures/sev-snp-measure/id_key_test.pem', 'utf8').replace('P', 'Q'),
  ])('names a broken key, without what is in it', async (pem) => {
    const copy = fs.mkdtempSync(path.join(folder, 'copy-'));
    fs.cpSync(lab, copy, { recursive: true });
    fs.writeFileSync(path.join(copy, 'pdh.key'), pem);
    const error = await readLabPlatform(copy).catch((cause: Error) => cause);
    expect(error).toMatchObject({ kind: 'format', hint: HINT, message: 'pdh.key: not a private key on P-384' });
  });
});
