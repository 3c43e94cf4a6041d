import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { bootseal, scratch } from '../../cli/script.ts';
import { fixture } from '../../fixtures.ts';

const { folder, remove } = scratch();
afterAll(remove);

it('warns of a guest that its host can debug', async () => {
  const quote = fixture('go-tdx-guest/cos-113-tdx-quote.dat').slice();
  quote[0x30 + 0x78] = (quote[0x30 + 0x78] ?? 0) | 1;
  fs.writeFileSync(path.join(folder, 'quote'), quote);
  fs.writeFileSync(path.join(folder, 'ccel'), fixture('go-tdx-guest/ccel_data.dat'));
  const { status, stdout, stderr } = await bootseal(['verify', 'ccel', 'ccel', '--quote', 'quote', '--json'], folder);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ debug: true });
  expect(stderr).toContain('warning: the quote is of a guest that its host can debug');
});
