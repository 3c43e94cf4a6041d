import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { expect, it } from 'vitest';
import { describeWith } from '../needs.ts';

const TEMPLATES = path.join(import.meta.dirname, '..', '..', 'templates');

/** Every script among the templates: what is no script has a name that tells. */
const SCRIPTS = fs
  .readdirSync(TEMPLATES, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !/\.(c|service|md|conf)$/.test(entry.name))
  .map((entry) => path.join(entry.parentPath, entry.name));

describeWith(
  { name: 'shellcheck', files: ['/usr/bin/shellcheck'], how: 'run npm test as root once, or install shellcheck' },
  'shellcheck',
  () => {
    it.each(SCRIPTS.map((file) => path.relative(TEMPLATES, file)))('has nothing to say about %s', (name) => {
      const ran = spawnSync('/usr/bin/shellcheck', ['-x', path.join('templates', name)], {
        cwd: path.join(TEMPLATES, '..'),
        encoding: 'utf8',
      });
      expect(ran.stdout).toBe('');
      expect(ran.status).toBe(0);
    });
  },
);
