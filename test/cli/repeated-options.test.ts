import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
afterAll(remove);
beforeAll(() => fs.writeFileSync(path.join(folder, 'fw'), fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin')));

const measure = ['measure', 'snp', '--firmware', 'fw'];

describe('an option that takes one value', () => {
  it.each<[string, readonly string[]]>([
    ['--cpu', [...measure, '--cpu', 'EPYC-v4', '--cpu', 'EPYC-Milan']],
    ['--vcpus', [...measure, '--cpu', 'EPYC-v4', '--vcpus', '4', '--vcpus=8']],
    ['--cpu', [...measure, '--cpu', 'EPYC-v4', '--cpu', 'EPYC-v4']],
    ['--root', ['session', 'create', '--root', 'milan,genoa', '--root', 'turin,rome']],
  ])('is refused when it is given twice: %s', async (option, args) => {
    const ran = await bootseal(args, folder);
    expect(ran).toMatchObject({ status: 2, stdout: '' });
    expect(ran.stderr).toContain(`error: ${option} is given twice`);
    expect(ran.stderr).toContain('hint: ');
  });

  it('is another thing than one that collects, and a flag', async () => {
    const twice = ['--firmware', 'fw', '--firmware', 'fw'];
    const ran = await bootseal(['identify', '00'.repeat(48), ...twice, '--vcpus', '1', '--json', '--json'], folder);
    expect(ran.status).toBe(1);
    expect(ran.stderr).not.toContain('twice');
  });
});
