/** @module The package as npm packs it, unpacked into a folder of its own with its declared dependencies and nothing else. */
import { execFileSync, spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scratch } from '../cli/script.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const { version, dependencies, man } = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
  dependencies: Record<string, string>;
  man: string[];
};

let folder: string;
let remove: () => void;
const installed = (...names: string[]) => path.join(folder, 'node_modules', 'bootseal', ...names);

beforeAll(() => {
  ({ folder, remove } = scratch());
  // The build leaves dist alone when it was made from these very sources.
  execFileSync(process.execPath, ['-e', "require('./bin/setup/project.js').build()"], { cwd: ROOT });
  const packed = execFileSync(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--offline', '--pack-destination', folder],
    {
      cwd: ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
  fs.mkdirSync(installed(), { recursive: true });
  execFileSync('tar', ['-xzf', path.join(folder, filename), '--strip-components=1', '-C', installed()]);
  for (const name of Object.keys(dependencies)) {
    fs.mkdirSync(path.dirname(path.join(folder, 'node_modules', name)), { recursive: true });
    fs.symlinkSync(path.join(ROOT, 'node_modules', name), path.join(folder, 'node_modules', name));
  }
}, 120_000);
afterAll(() => remove());

/** Runs the installed command as the link that npm makes. */
function command(...args: string[]) {
  const link = path.join(folder, 'bootseal');
  if (!fs.existsSync(link)) fs.symlinkSync(installed('bin', 'bootseal.js'), link);
  const { status, stdout, stderr } = spawnSync(process.execPath, [link, ...args], { cwd: folder, encoding: 'utf8' });
  return { status, stdout, stderr };
}

const works = () => ({ status: 0, stdout: `${version}\n`, stderr: '' });

describe('the installed package', () => {
  it('starts', () => {
    expect(command('--version')).toEqual(works());
  });

  it.each(['firmware', 'measure', 'image'])('has %s, whichever bundle that is in', (name) => {
    expect(command(name, '--help').stdout).toMatch(new RegExp(`^Usage: bootseal ${name} `));
  });

  it.each(['sev', 'sev-es', 'snp', 'tdx', 'igvm'])('measures %s, whichever bundle that is in', (platform) => {
    expect(command('measure', platform, '--help').stdout).toMatch(new RegExp(`^Usage: bootseal measure ${platform} `));
    expect(command('help', 'measure').stdout).toMatch(new RegExp(`^  ${platform} \\[options\\]`, 'm'));
  });

  it('is a library', () => {
    const script = "import * as all from 'bootseal'; console.log(all.PROFILES[0].name, typeof all.measure)";
    const printed = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(printed).toBe('qemu function\n');
    expect(fs.existsSync(installed('dist', 'index.d.ts'))).toBe(true);
  });

  it('finds its templates', () => {
    const { status, stdout, stderr } = command('initrd', 'hooks', '--for', 'initramfs-tools', '--out', 'hooks');
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^0755 {2}usr\/lib\/bootseal\/unlock, /m);
    const unlock = (folder: string) => fs.readFileSync(path.join(folder, 'unlock'), 'utf8');
    expect(unlock(path.join(folder, 'hooks/usr/lib/bootseal'))).toBe(unlock(path.join(ROOT, 'templates/guest')));
  });

  it('has every man page, the documents and the licence, and no trace of how it was built', () => {
    const pages = fs.readdirSync(path.join(ROOT, 'man')).map((name) => `./man/${name}`);
    expect(man.toSorted()).toEqual(pages.toSorted());
    for (const name of [...man, 'docs/session.md', 'README.md', 'CHANGELOG.md', 'LICENSE']) {
      expect(fs.existsSync(installed(name)), name).toBe(true);
    }
    expect(fs.readdirSync(installed()).sort()).toEqual(
      ['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'dist', 'docs', 'man', 'package.json', 'templates'].sort(),
    );
    expect(fs.readdirSync(installed('bin')).sort()).toEqual(['bootseal.js', 'bundle.js', 'package.json']);
    expect(fs.existsSync(installed('dist', '.made-from'))).toBe(false);
  });
});

describe('the compiled code beside the bundle', () => {
  const compiled = () => installed('dist', 'bootseal.compiled');
  let good: Buffer;
  beforeAll(() => {
    good = fs.readFileSync(compiled());
  });

  /** Returns `good` with one changed byte. */
  function changedAt(at: number): Buffer {
    const bytes = Buffer.from(good);
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    return bytes;
  }

  it('may be absent', () => {
    fs.rmSync(compiled(), { force: true });
    expect(command('--version')).toEqual(works());
  });

  it.each([
    ['empty', () => Buffer.of()],
    ['garbage', () => Buffer.alloc(5000, 'garbage')],
    ['cut', () => good.subarray(0, good.length >> 1)],
    ['changed in its head', () => changedAt(40)],
    [
      'changed in its middle',
      () => Buffer.concat([good.subarray(0, 100_000), Buffer.alloc(64, 'X'), good.subarray(100_064)]),
    ],
    ['changed at its end', () => changedAt(good.length - 1)],
  ])('may be %s', (_, bytes) => {
    fs.writeFileSync(compiled(), bytes());
    expect(command('--version')).toEqual(works());
  });

  it('is not taken for another bundle of the same length', () => {
    const bundle = installed('dist', 'bootseal.cjs');
    const source = fs.readFileSync(bundle, 'utf8');
    fs.writeFileSync(compiled(), good);
    fs.writeFileSync(bundle, source.replaceAll('make the session, transport keys', 'MAKE the session, transport keys'));
    expect(command('--help').stdout).toContain('MAKE the session');
    fs.writeFileSync(bundle, source);
    expect(command('--help').stdout).toContain('make the session');
  });
});
