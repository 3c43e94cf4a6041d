import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { accountWith, dmesgOf, firmwareWith, MILAN } from '../explain-launches.ts';
import { bootseal, scratch } from './script.ts';

const { folder, remove } = scratch();
const file = (name: string) => path.join(folder, name);
const explain = ['explain', 'snp', '--firmware', 'fw', '--cpu-signature', `0x${MILAN.toString(16)}`];

beforeAll(() => {
  fs.writeFileSync(file('fw'), firmwareWith());
  fs.writeFileSync(file('large.log'), '');
  fs.truncateSync(file('large.log'), (32 << 20) + 1);
});
afterAll(remove);

describe('a log of more than 32 MiB', () => {
  it.each([
    ['--trace', 'kvm_sev'],
    ['--vmsa-dump', "-E 'Save Area|([0-9a-f]{2} ){7}[0-9a-f]{2}$'"],
  ])('is refused with what to take out of it: %s', async (option, pattern) => {
    const ran = await bootseal([...explain, option, 'large.log'], folder);
    expect(ran).toMatchObject({ status: 3, stdout: '' });
    expect(ran.stderr).toContain('large.log is larger than 33554432 bytes');
    expect(ran.stderr).toContain(
      `hint: give what matters of it: grep ${pattern} LOG; of several launches the last is compared`,
    );
  });

  it('is another thing than one that is not there', async () => {
    const ran = await bootseal([...explain, '--trace', 'nowhere'], folder);
    expect(ran.status).toBe(5);
    expect(ran.stderr).not.toContain('grep');
  });

  it('has in those lines all of a dump', () => {
    const [, pattern = ''] = /-E '(.*)'/.exec(`-E 'Save Area|([0-9a-f]{2} ){7}[0-9a-f]{2}$'`) ?? [];
    for (const size of [0x408, 0x670]) {
      const lines = dmesgOf(accountWith().vmsas?.pages ?? [], size)
        .trimEnd()
        .split('\n');
      expect(lines.filter((line) => new RegExp(pattern).test(line))).toEqual(lines);
    }
  });
});

describe('a dump of random bytes', () => {
  it('is answered with as many values of a field as a person can look at', async () => {
    const pages = new Uint8Array(600 * 4096);
    // A generator of numbers, so that each run has the same.
    let state = 1;
    for (let i = 0; i < pages.length; i++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      pages[i] = state >>> 24;
    }
    fs.writeFileSync(file('random.bin'), pages);
    const typed = [...explain, '--vcpus', '600', '--vmsa-dump', 'random.bin'];
    const { stdout, status } = await bootseal([...typed, '--json'], folder);
    expect(status).toBe(1);
    const { unexplained, causes } = JSON.parse(stdout);
    const named = (name: string) =>
      [unexplained, ...causes.map(({ differences }: { differences: unknown }) => differences)]
        .flat()
        .filter((one) => one.name === name);
    const selectors = named('es.selector');
    expect(selectors).toHaveLength(18);
    expect(selectors.at(-1)).toMatchObject({ expected: '0x0', found: null, vcpu: 17, vcpus: 583 });
    // The boot processor, sixteen others, and the rest; no cause is made of the rest alone.
    expect(named('sev_features')).toHaveLength(18);
    const { stdout: text } = await bootseal(typed, folder);
    expect(text.length).toBeLessThan(20_000);
  });
});
