import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, it } from 'vitest';
import { runScript } from './script.ts';

const scripts = fs.readdirSync(import.meta.dirname).filter((name) => name.endsWith('.txt'));

describe('command-line scripts', () => {
  it.each(scripts)(
    '%s',
    async (name) => {
      await runScript(fs.readFileSync(path.join(import.meta.dirname, name), 'utf8'));
    },
    60_000,
  );
});
