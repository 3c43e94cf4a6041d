/** @module What is tracked: the folders and files that are described, and no download that somebody left beside them. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = path.join(import.meta.dirname, '..', '..');
const FOLDERS = ['.ci', 'bench', 'bin', 'docs', 'man', 'src', 'templates', 'test'];
const FILES = /^(?:\.gitignore|\.npmrc|[A-Z]+(?:\.md)?|[a-z.-]+\.json|vitest[a-z.]*\.config\.ts)$/;

describe.skipIf(!fs.existsSync(path.join(ROOT, '.git')))('the repository', () => {
  it('has at its top nothing but what is known', () => {
    const tracked = execFileSync('git', ['-C', ROOT, 'ls-files', '-z'], { encoding: 'utf8' }).split('\0');
    const tops = [...new Set(tracked.filter((name) => name !== '').map((name) => name.split('/')[0] ?? ''))];
    expect(tops.length).toBeGreaterThan(FOLDERS.length);
    expect(tops.filter((name) => !FOLDERS.includes(name) && !FILES.test(name))).toEqual([]);
  });
});
