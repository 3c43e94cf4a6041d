/** @module The lines that `identify` prints, run in a shell where every name that they would choose is taken. */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { withQemuHeader } from '../../src/core/measurement/setup-header.ts';
import { fixture, vectors } from '../fixtures.ts';
import { linuxKernel } from '../linux-kernel.ts';
import { describeWith, type Needed } from '../needs.ts';
import { bootseal, scratch } from './script.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const BUILT: Needed = {
  name: 'the built command',
  files: [path.join(ROOT, 'dist', 'bootseal.cjs')],
  how: 'node bin/setup.js builds it',
};
const { folder, remove } = scratch();
const at = (name: string) => path.join(folder, name);

/** Runs lines of shell in which `bootseal` is the built command. */
function shell(lines: readonly string[], cwd = folder, input: Uint8Array = new Uint8Array()): string {
  const command = `bootseal() { ${process.execPath} ${path.join(ROOT, 'bin', 'bootseal.js')} "$@"; }`;
  return spawnSync('sh', ['-c', [command, ...lines].join('\n')], { cwd, encoding: 'utf8', input }).stdout.trim();
}

/** What is in a folder now; files below it are not looked at. */
const contents = (where = folder) =>
  Object.fromEntries(
    fs
      .readdirSync(where, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => [name, fs.readFileSync(path.join(where, name)).toString('base64')]),
  );

async function linesFor(args: readonly string[], cwd = folder): Promise<readonly string[]> {
  const { stdout } = await bootseal(['identify', ...args, '--json'], cwd);
  return JSON.parse(stdout).reproduce;
}

/** What `measure` prints for a digest that is to be found. */
const measured = async (args: readonly string[]) => (await bootseal(['measure', ...args], folder)).stdout.trim();

describeWith(BUILT, 'the lines of identify destroy no input', () => {
  beforeEach(() => fs.mkdirSync(folder, { recursive: true }));
  afterEach(remove);

  /** A whole image and what of it is the code. */
  function wholeImage(): { readonly image: Uint8Array; readonly code: Uint8Array } {
    const image = new Uint8Array(0x200000);
    const suffix = fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin');
    image.set(suffix, image.length - suffix.length);
    return { image, code: image.subarray(0x20000) };
  }

  it('when firmware, kernel and command line have the names that it would choose', async () => {
    const { image, code } = wholeImage();
    const kernel = linuxKernel();
    const initrd = new Uint8Array(70001);
    const other = withQemuHeader(kernel, { cmdline: Buffer.from('a\n'), initrdSize: initrd.length, memory: 2 ** 30 });
    for (const [name, bytes] of Object.entries({ 'the-code': code, other, 'the-line': Buffer.from('a\n') })) {
      fs.writeFileSync(at(name), bytes);
    }
    fs.writeFileSync(at('code.fd'), image);
    fs.writeFileSync(at('kernel.changed'), kernel);
    fs.writeFileSync(at('code-2.fd'), initrd);
    fs.writeFileSync(at('cmdline.bin'), 'a\n');
    const guest = ['--vcpus', '1', '--cpu', 'EPYC-v4'];
    const booted = ['--kernel', 'other', '--initrd', 'code-2.fd', '--cmdline-file', 'the-line'];
    const digest = await measured(['snp', '--firmware', 'the-code', ...booted, ...guest]);
    const before = contents();
    const believed = ['--kernel', 'kernel.changed', '--initrd', 'code-2.fd', '--cmdline-file', 'cmdline.bin'];
    const lines = await linesFor([digest, '--firmware', 'code.fd', ...believed, ...guest]);
    expect(lines.at(-1)).toContain(
      '--firmware code-3.fd --kernel kernel-2.changed --initrd code-2.fd --cmdline-file cmdline-2.bin',
    );
    expect(shell(lines)).toBe(digest);
    expect(contents()).toMatchObject(before);
  });

  it('when the firmware whose metadata are reordered is named so', async () => {
    interface Case {
      readonly pitfall: string;
      readonly digest: string;
      readonly firmware: string;
    }
    const { cases } = vectors<{ cases: readonly Case[] }>('identify.json');
    const one = cases.find(({ pitfall }) => pitfall === 'sections of a newer edk2');
    if (one === undefined) throw new Error('no such case');
    fs.writeFileSync(at('reordered.fd'), fixture(one.firmware));
    fs.writeFileSync(at('kernel'), fixture('synthetic/kernel.bin'));
    fs.writeFileSync(at('initrd'), fixture('synthetic/initrd.bin'));
    const before = contents();
    const booted = ['--kernel', 'kernel', '--initrd', 'initrd', '--cmdline', 'console=ttyS0'];
    const lines = await linesFor([one.digest, '--firmware', 'reordered.fd', ...booted, '--cpu', 'EPYC-Milan']);
    expect(shell(lines)).toBe(one.digest);
    expect(contents()).toMatchObject(before);
  });

  it('when they are run where the input is, and not where identify was, nor over a file or a link that is no input', async () => {
    const { image, code } = wholeImage();
    const [elsewhere, here] = [at('elsewhere'), at('here')];
    for (const one of [elsewhere, here]) fs.mkdirSync(one);
    fs.writeFileSync(at('the-code'), code);
    fs.writeFileSync(path.join(elsewhere, 'code.fd'), image);
    fs.writeFileSync(path.join(here, 'code-2.fd'), 'precious');
    fs.symlinkSync('nowhere', path.join(here, 'code-3.fd'));
    const digest = await measured(['snp', '--firmware', 'the-code', '--cpu', 'EPYC-v4']);
    const before = [contents(elsewhere), contents(here)];
    const args = [digest, '--firmware', path.join(elsewhere, 'code.fd'), '--vcpus', '1', '--cpu', 'EPYC-v4'];
    const lines = await linesFor(args, here);
    for (const one of [elsewhere, here]) expect(shell(lines, one)).toBe(digest);
    expect(contents(elsewhere)).toMatchObject(before[0] ?? {});
    expect(contents(here)).toMatchObject(before[1] ?? {});
    expect(fs.existsSync(path.join(here, 'nowhere'))).toBe(false);
  });

  it('when a line cannot be run: none behind it is', async () => {
    const kernel = linuxKernel({ rest: 7 });
    fs.writeFileSync(at('fw'), fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
    fs.writeFileSync(at('k'), kernel);
    fs.writeFileSync(
      at('other'),
      withQemuHeader(kernel, { cmdline: Buffer.from('a'), initrdSize: undefined, memory: undefined }),
    );
    const digest = await measured([
      'snp',
      '--firmware',
      'fw',
      '--kernel',
      'other',
      '--cmdline',
      'a',
      '--cpu',
      'EPYC-v4',
    ]);
    const args = [digest, '--firmware', 'fw', '--kernel', 'k', '--cmdline', 'a', '--vcpus', '1', '--cpu', 'EPYC-v4'];
    const lines = await linesFor(args);
    expect(lines).toHaveLength(3);
    expect(shell(lines)).toBe(digest);
    fs.rmSync(at('kernel.changed'));
    fs.rmSync(at('k'));
    expect(shell(lines)).toBe('');
    expect(fs.existsSync(at('kernel.changed'))).toBe(false);
  });

  it.each([
    ['kernel', '-', 'fw'],
    ['firmware', 'k', '-'],
  ])('when the %s came from standard input, which they read again', async (_, believedKernel, believedFirmware) => {
    const { image, code } = wholeImage();
    const kernel = linuxKernel({ rest: 7 });
    fs.writeFileSync(at('fw'), image);
    fs.writeFileSync(at('code'), code);
    fs.writeFileSync(at('k'), kernel);
    fs.writeFileSync(
      at('other'),
      withQemuHeader(kernel, { cmdline: Buffer.from('a'), initrdSize: undefined, memory: undefined }),
    );
    const of = ['--cmdline', 'a', '--cpu', 'EPYC-v4'];
    const digest = await measured(['snp', '--firmware', 'code', '--kernel', 'other', ...of]);
    const input = believedKernel === '-' ? kernel : image;
    const args = [digest, '--firmware', believedFirmware, '--kernel', believedKernel, '--vcpus', '1', ...of];
    const stdin = (async function* () {
      yield input;
    })();
    const { stdout, stderr } = await bootseal(['identify', ...args, '--json'], folder, { stdin });
    expect(stderr).toContain('note: the lines read standard input where identify did: give it to them again');
    expect(shell(JSON.parse(stdout).reproduce, folder, input)).toBe(digest);
  });

  it('with a note where an input is one of those that a shell makes for <(command)', async () => {
    const { code } = wholeImage();
    fs.writeFileSync(at('code'), code);
    const digest = await measured(['snp', '--firmware', 'code', '--cpu', 'EPYC-v4']);
    const fd = fs.openSync(at('code'), 'r');
    const args = ['identify', digest, '--firmware', `/dev/fd/${fd}`, '--cpu', 'EPYC-v4', '--vcpus', '1'];
    const { stdout, stderr } = await bootseal(args, folder).finally(() => fs.closeSync(fd));
    expect(stdout).toContain(`--firmware /dev/fd/${fd} `);
    expect(stderr).toContain(
      `note: the lines name /dev/fd/${fd}, which only identify could read: put the file's own name there`,
    );
    const named = await bootseal(
      ['identify', digest, '--firmware', 'code', '--cpu', 'EPYC-v4', '--vcpus', '1'],
      folder,
    );
    expect(named.stderr).not.toContain('only identify could read');
  });
});
