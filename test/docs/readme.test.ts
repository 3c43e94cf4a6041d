import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { demoDescription } from '../../src/cli/lab-demo.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { fixture } from '../fixtures.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const README = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');

/** A line of the tour as it is typed, and the status that it says it ends with. */
interface Line {
  readonly typed: string;
  readonly status: number;
}

/** Returns the lines of the tour in order: commands after `$`, and the stand-in for the platform. */
function tour(): Line[] {
  const blocks = [...README.matchAll(/```(?:console|sh)\n([\s\S]*?)```/g)].map((found) => found[1] ?? '');
  const lines = blocks.join('').replaceAll('\\\n', ' ').split('\n');
  return lines
    .filter((line) => line.startsWith('$ ') || line.startsWith('node "$OLDPWD/bin/demo/'))
    .map((line) => ({
      typed: line.replace(/^\$ /, '').replace(/\s+# status \d+$/, ''),
      status: Number(/# status (\d+)$/.exec(line)?.[1] ?? 0),
    }));
}

/** Splits as a shell would, as far as the tour needs it. */
const words = (typed: string): string[] =>
  [...typed.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((found) => found[1] ?? found[2] ?? found[3] ?? '');

describe('the tour of the README', () => {
  const { folder, remove } = scratch();
  afterAll(remove);
  fs.writeFileSync(path.join(folder, 'OVMF.amdsev.fd'), fixture('debian-ovmf/OVMF.amdsev_2026.08.fd'));
  fs.writeFileSync(path.join(folder, 'vmlinuz'), fixture('synthetic/kernel.bin'));
  fs.writeFileSync(path.join(folder, 'initrd.img'), fixture('synthetic/initrd.bin'));
  fs.symlinkSync(path.join(ROOT, 'test/fixtures/sev-crate/rome'), path.join(folder, 'rome'));

  beforeAll(async () => {
    fs.writeFileSync(path.join(folder, 'launch.yaml'), demoDescription('sev-es', 'initrd.img'));
    fs.writeFileSync(path.join(folder, 'raw'), 'what the disk holds');
    const build = ['image', 'build', '--from', 'raw', '--new-key', 'disk.key', '--out', 'disk.img'];
    for (const words of [build, ['lab', 'platform', '--out', 'platform']]) {
      expect(await bootseal(words, folder)).toMatchObject({ status: 0 });
    }
  });

  it('has the commands that it is about', () => {
    const commands = tour().flatMap(({ typed }) => (typed.startsWith('bootseal ') ? [words(typed)[1]] : []));
    expect(new Set(commands)).toEqual(new Set(['firmware', 'measure', 'session', 'verify', 'secret', 'launch']));
  });

  it.each(tour())('$typed ends with $status', async ({ typed, status }) => {
    if (typed.startsWith('bootseal ')) {
      const ran = await bootseal(words(typed).slice(1), folder);
      expect(ran.status, ran.stderr).toBe(status);
    } else {
      execFileSync('bash', ['-c', typed], { cwd: folder, env: { ...process.env, OLDPWD: ROOT } });
    }
  });
});

describe('the beginning of the tour', () => {
  it('runs the demo and ends in the folder that it has kept, with the certificates', () => {
    const { folder, remove } = scratch();
    try {
      // test/e2e/lab-demo.test.ts runs the demo; here it is enough that it is called as it can be.
      fs.mkdirSync(path.join(folder, 'bin'));
      const npm = '#!/bin/sh\n[ "$1 $2 $3 $4" = "run demo -- --keep" ] && [ ! -e "$5" ] && mkdir "$5"\n';
      fs.writeFileSync(path.join(folder, 'bin', 'npm'), npm, { mode: 0o755 });
      const block = /```sh\n(alias[\s\S]*?)```/.exec(README)?.[1] ?? '';
      const where = execFileSync('bash', ['-ec', `${block}\npwd; echo "$OLDPWD"`], {
        cwd: ROOT,
        env: { PATH: `${path.join(folder, 'bin')}:${process.env['PATH']}`, TMPDIR: folder },
        encoding: 'utf8',
      });
      const [tour = '', before] = where.trim().split('\n');
      expect(path.dirname(path.dirname(tour))).toBe(folder);
      expect(before).toBe(ROOT);
      expect(fs.existsSync(path.join(tour, 'rome', 'pdh.cert'))).toBe(true);
    } finally {
      remove();
    }
  });
});

describe('documentation', () => {
  const pages = [
    'README.md',
    'CHANGELOG.md',
    'test/README.md',
    ...fs.readdirSync(path.join(ROOT, 'docs')).map((name) => `docs/${name}`),
  ];

  it.each(pages)('%s links only to what is there', (page) => {
    const text = fs.readFileSync(path.join(ROOT, page), 'utf8');
    const targets = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map((found) => found[1] ?? '');
    const missing = targets.filter(
      (target) => !/^https?:/.test(target) && !fs.existsSync(path.join(ROOT, path.dirname(page), target)),
    );
    expect(missing).toEqual([]);
  });

  it.each(pages)('%s opens no disk by the header that the host can write', (page) => {
    const lines = fs.readFileSync(path.join(ROOT, page), 'utf8').split('\n');
    const typed = lines.filter((line) => line.startsWith('$ ') && /cryptsetup (luksO|o)pen /.test(line));
    expect(typed.filter((line) => !line.includes('--header'))).toEqual([]);
  });
});
