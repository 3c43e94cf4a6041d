import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';

const MADE_BY = path.join(import.meta.dirname, '..', '..', '..', 'src', 'lab', 'psp', 'new-key.ts');

describe('a new key', () => {
  it('is exported again and again, however often garbage is collected meanwhile', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bootseal-new-key-'));
    try {
      const script = path.join(folder, 'script.mjs');
      const source = `import { ecKey } from ${JSON.stringify(MADE_BY)};
        for (let i = 0; i < 300; i++) {
          const key = ecKey();
          for (let k = 0; k < 30; k++) key.export({ format: 'jwk' });
        }
        console.log('done');`;
      await build({
        stdin: { contents: source, resolveDir: folder },
        bundle: true,
        platform: 'node',
        format: 'esm',
        outfile: script,
      });
      const run = ['--max-semi-space-size=1', script];
      expect(execFileSync(process.execPath, run, { timeout: 60_000, encoding: 'utf8' })).toBe('done\n');
    } finally {
      fs.rmSync(folder, { recursive: true });
    }
  });
});
