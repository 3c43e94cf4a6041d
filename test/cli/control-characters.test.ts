/** @module Names of files with control characters in them: they make no line of their own, and do not command the terminal. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fixture } from '../fixtures.ts';
import { bootseal, type Ran, scratch } from './script.ts';

const { folder, remove } = scratch();
/** A name that tries to be a line of its own, in red. */
const odd = (name: string) => `x\x1b[31m\nmatch      ${name}`;
const SHOWN = 'x\\u001b[31m\\u000amatch      ';

beforeEach(() => fs.mkdirSync(folder, { recursive: true }));
afterEach(remove);

async function run(...args: readonly string[]): Promise<Ran> {
  const ran = await bootseal(args, folder);
  expect(ran.stdout).not.toMatch(/^match/m);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  expect(ran.stdout).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
  return ran;
}

describe('names with control characters', () => {
  it('identify', async () => {
    const firmware = fixture('sev-snp-measure/ovmf_OvmfX64_suffix.bin');
    fs.writeFileSync(path.join(folder, odd('fd')), firmware);
    fs.writeFileSync(path.join(folder, 'kernel'), 'k');
    const args = ['identify', '07'.repeat(48), '--firmware', odd('fd'), '--kernel', 'kernel', '--cpu', 'EPYC'];
    const { stdout } = await run(...args);
    expect(stdout).toContain(`ruled out  ${SHOWN}fd for snp with a kernel: `);
  });

  it('image build, its keys and verify', async () => {
    fs.writeFileSync(path.join(folder, 'raw'), new Uint8Array(512));
    const built = await run('image', 'build', '--from', 'raw', '--new-key', odd('key'), '--out', odd('disk'));
    expect(built).toMatchObject({ status: 0, stdout: expect.stringContaining(`\nmanifest  ${SHOWN}disk.json\n`) });
    fs.copyFileSync(path.join(folder, `${odd('disk')}.json`), path.join(folder, 'old.json'));
    fs.writeFileSync(path.join(folder, 'next'), 'correct horse battery staple');
    const keys = ['--key-file', odd('key'), '--new-key-file', 'next', '--kdf', 'pbkdf2', '--kdf-iterations', '1000'];
    const added = await run('image', 'add-key', odd('disk'), ...keys);
    expect(added).toMatchObject({ status: 0, stdout: expect.stringContaining(`\nmanifest: ${SHOWN}disk.json\n`) });
    fs.copyFileSync(path.join(folder, 'old.json'), path.join(folder, `${odd('disk')}.json`));
    const verified = await run('image', 'verify', odd('disk'), '--key-file', 'next');
    expect(verified.status).toBe(1);
    expect(verified.stdout).toContain(SHOWN);
  });

  it('initrd hooks, in lines that can still be run', async () => {
    const { stdout } = await run('initrd', 'hooks', '--for', 'dracut', '--out', odd('hooks'));
    expect(stdout).toContain(`"$(printf 'x\\033[31m\\012match      hooks')"`);
  });
});
