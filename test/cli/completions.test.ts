import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bashScript } from '../../src/cli/completions/bash.ts';
import { fishScript } from '../../src/cli/completions/fish.ts';
import { zshScript } from '../../src/cli/completions/zsh.ts';
import { describeWith } from '../needs.ts';
import { sampleTree } from './sample-tree.ts';
import { bootseal, scratch } from './script.ts';

const INSTALL = 'run npm test as root once, or install it with apt-get';
let folder: string;
let remove: () => void;

beforeAll(() => {
  ({ folder, remove } = scratch());
  const tree = sampleTree();
  fs.writeFileSync(path.join(folder, 'bash'), bashScript(tree));
  fs.writeFileSync(path.join(folder, 'zsh'), zshScript(tree));
  fs.writeFileSync(path.join(folder, 'fish'), fishScript(tree));
});
afterAll(() => remove());

/** What is typed, the cursor at its end, and what the shell must then offer: nothing means file names. */
const CASES: readonly (readonly [typed: string, offered: readonly string[]])[] = [
  ['bootseal ', ['measure', 'lint']],
  ['bootseal me', ['measure']],
  ['bootseal -', ['--version', '-V', '--help', '-h']],
  ['bootseal measure ', ['sev', 'snp']],
  ['bootseal measure snp --f', ['--firmware', '--format']],
  ['bootseal measure snp --format ', ['hex', 'base64']],
  ['bootseal measure snp --json --format b', ['base64']],
  ['bootseal measure snp --firmware ', []],
  ['bootseal measure snp -f ', []],
  ['bootseal measure snp ', []],
  ['bootseal lint s', ['sev', 'snp']],
  ['bootseal measure sev --format ', []],
];

function output(program: string, args: readonly string[]): string[] {
  const text = execFileSync(program, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: '/usr/bin:/bin', HOME: folder },
  });
  return text.split('\n').filter((line) => line !== '');
}

describe('the bash script', () => {
  it.each(CASES)('completes %j', (typed, offered) => {
    const words = typed.split(' ');
    const drive = `source ./bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bootseal; printf '%s\\n' "\${COMPREPLY[@]}"`;
    expect(output('bash', ['--norc', '-c', drive, 'bash', ...words])).toEqual(offered);
  });

  it('is free of syntax errors and registers itself for bootseal', () => {
    expect(output('bash', ['--norc', '-c', 'source ./bash; complete -p bootseal'])).toEqual([
      'complete -o bashdefault -o default -F _bootseal bootseal',
    ]);
  });
});

describeWith({ name: 'zsh', files: ['/usr/bin/zsh'], how: INSTALL }, 'the zsh script', () => {
  it.each(CASES)('completes %j', (typed, offered) => {
    // The completion system's own functions are replaced by ones that print what they are given.
    const drive = `compdef() {}; _files() {}
      compadd() { shift; for w in "$@"; [[ $w == $PREFIX* ]] && print -r -- $w }
      _describe() { for w in "\${(@P)\${@[-1]}}"; [[ $w == $PREFIX* ]] && print -r -- \${w%%:*} }
      source ./zsh; words=("$@"); CURRENT=$#; PREFIX=\${words[-1]}; _bootseal; true`;
    expect(output('zsh', ['-f', '-c', drive, 'zsh', ...typed.split(' ')])).toEqual(offered);
  });
});

describeWith({ name: 'fish', files: ['/usr/bin/fish'], how: INSTALL }, 'the fish script', () => {
  it.each(CASES.filter(([typed]) => !typed.endsWith('-')))('completes %j', (typed, offered) => {
    const found = output('fish', ['--no-config', '-c', 'source ./fish; complete -C $argv[1]', '--', typed]);
    const words = found.map((line) => line.split('\t')[0] ?? '').filter((word) => !FILES.includes(word));
    expect(words.toSorted()).toEqual(offered.toSorted());
  });
});

const FILES = ['bash', 'zsh', 'fish'];

describe('bootseal completions', () => {
  it.each(['bash', 'zsh', 'fish'])('prints the script for %s with every command in it', async (shell) => {
    const { status, stdout, stderr } = await bootseal(['completions', shell], folder);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`printed by: bootseal completions ${shell}`);
    expect(stdout).toContain("'bootseal completions'");
  });

  it('puts the script into an object with --json', async () => {
    const { stdout: script } = await bootseal(['completions', 'zsh'], folder);
    const { status, stdout } = await bootseal(['completions', 'zsh', '--json'], folder);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ shell: 'zsh', script });
  });

  it('refuses another shell', async () => {
    const { status, stdout, stderr } = await bootseal(['completions', 'tcsh'], folder);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('bash, zsh, fish');
  });
});
