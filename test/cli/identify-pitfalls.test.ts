/** @module Launches that owners did not expect, made by other programs (vectors/identify.json): found, named, and given again by the lines that are printed. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { fixture, vectors } from '../fixtures.ts';
import { describeWith, type Needed } from '../needs.ts';
import { bootseal, scratch } from './script.ts';

interface Case {
  readonly pitfall: string;
  readonly digest: string;
  /** Where that is not the digest itself. */
  readonly evidence?: string;
  readonly tik?: string;
  readonly options?: readonly string[];
  readonly firmware: string;
  readonly svsm?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly finds: object;
}

const ROOT = path.join(import.meta.dirname, '..', '..');
const BUILT: Needed = {
  name: 'the built command',
  files: [path.join(ROOT, 'dist', 'bootseal.cjs')],
  how: 'node bin/setup.js builds it',
};
const { folder, remove } = scratch();

/** Runs lines of shell in which `bootseal` is the built command. */
function shell(lines: readonly string[]): string {
  const command = `bootseal() { ${process.execPath} ${path.join(ROOT, 'bin', 'bootseal.js')} "$@"; }`;
  const ran = spawnSync('sh', ['-c', [command, ...lines].join('\n')], { cwd: folder, encoding: 'utf8' });
  return ran.stdout.trim();
}

describeWith(BUILT, 'identify finds and names', () => {
  beforeEach(() => {
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder);
  });
  afterAll(remove);

  it.each(vectors<{ cases: readonly Case[] }>('identify.json').cases)('$pitfall', async (one) => {
    const args = ['identify', one.evidence ?? one.digest, ...(one.options ?? [])];
    for (const [role, name] of [
      ['firmware', 'fw'],
      ['svsm', 'svsm'],
      ['kernel', 'kernel'],
      ['initrd', 'initrd'],
      ['tik', 'tik'],
    ] as const) {
      const file = one[role];
      if (file === undefined) continue;
      fs.writeFileSync(path.join(folder, name), fixture(file));
      args.push(`--${role}`, name);
    }
    if (one.cmdline !== undefined) args.push('--cmdline', one.cmdline);
    const ran = await bootseal([...args, '--json'], folder);
    const { match, reproduce } = JSON.parse(ran.stdout);
    expect(match).toMatchObject(one.finds);
    expect(shell(reproduce)).toBe(one.digest);
    const said = await bootseal(args, folder);
    const differs = said.stdout.split('\n').filter((line) => line.startsWith('differs'));
    expect(differs).toHaveLength(1);
  });
});
