import * as fs from 'node:fs';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import * as library from '../../src/index.ts';
import { bootseal, scratch } from '../cli/script.ts';
import { fixture } from '../fixtures.ts';
import { writeLaunch } from '../launch-record.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const LIBRARY = path.join(ROOT, 'src', 'index.ts');
const example = /```ts\n([\s\S]*?)```/.exec(fs.readFileSync(path.join(ROOT, 'docs', 'library.md'), 'utf8'))?.[1] ?? '';

/** What the compiler says of the examples under the project's own settings, with `bootseal` as the library's source. */
function complaints(...sources: readonly string[]): readonly (readonly string[])[] {
  const { compilerOptions } = ts.readConfigFile(path.join(ROOT, 'tsconfig.json'), ts.sys.readFile).config as {
    compilerOptions: object;
  };
  const { options } = ts.convertCompilerOptionsFromJson({ ...compilerOptions, paths: { bootseal: [LIBRARY] } }, ROOT);
  const virtual = new Map(sources.map((source, i) => [path.join(ROOT, 'docs', `example-${i}.ts`), source]));
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists } = host;
  host.readFile = (name) => virtual.get(name) ?? readFile(name);
  host.fileExists = (name) => virtual.has(name) || fileExists(name);
  const program = ts.createProgram([...virtual.keys()], options, host);
  return [...virtual.keys()].map((name) =>
    ts
      .getPreEmitDiagnostics(program, program.getSourceFile(name))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
  );
}

describe('the example of docs/library.md', () => {
  it('compiles', () => {
    const [right, wrong] = complaints(example, example.replace("'sev-es'", "'sgx'"));
    expect(right).toEqual([]);
    expect(wrong?.join()).toContain('sgx');
  }, 120_000);

  it('does what it says, with the digests of the command', async () => {
    const { folder, remove } = scratch();
    try {
      const file = (name: string, bytes: Uint8Array | string) => {
        fs.writeFileSync(path.join(folder, name), bytes);
        return path.join(folder, name);
      };
      const firmware = file('fw', fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin'));
      const kernel = file('kernel', fixture('synthetic/kernel.bin'));
      const script = file('example.ts', example.replace("'bootseal'", `'${pathToFileURL(LIBRARY)}'`));
      const found = (await import(script)) as {
        expectedDigests(firmware: string, kernel: string, cmdline: string): { digests: readonly { digest: string }[] };
        handOver(packet: library.Packet, gpa: number | undefined): Readonly<Record<string, string>>;
        release(firmware: string, kernel: string): string;
      };
      expect(found.release(firmware, kernel)).toMatch(/^2 vCPUs, table of 3072 bytes, command of 42\d\d$/);
      const args = [
        'measure',
        'sev-es',
        '--firmware',
        'fw',
        '--kernel',
        'kernel',
        '--cmdline',
        'x y',
        '--vcpus',
        '1,2,4',
        '--cpu',
        'EPYC-Milan',
        '--json',
      ];
      const { stdout } = await bootseal(args, folder);
      const { results } = JSON.parse(stdout) as { results: { digest: string }[] };
      expect(found.expectedDigests(firmware, kernel, 'x y').digests.map(({ digest }) => digest)).toEqual(
        results.map(({ digest }) => digest),
      );

      writeLaunch(path.join(folder, 'launch'), []);
      file('passphrase', 'correct horse');
      const build =
        'secret build --record launch/record.json --measurement launch/measurement.b64 --secret disk-passphrase=passphrase --out packet';
      expect(await bootseal(build.split(' '), folder)).toMatchObject({ status: 0 });
      const made = (name: string) => fs.readFileSync(path.join(folder, 'packet', name));
      const packet = { header: new Uint8Array(made('header.bin')), payload: new Uint8Array(made('secret.bin')) };
      const record = library.parseRecord(fs.readFileSync(path.join(folder, 'launch', 'record.json'), 'utf8'));
      for (const [name, text] of Object.entries(found.handOver(packet, record.firmware.secretArea?.base))) {
        expect(`${text}\n`, name).toBe(made(name).toString());
      }
    } finally {
      remove();
    }
  });
});

describe('what `firmware inspect` and `lint --platform` compute', () => {
  it('is in the library, with the same answers', async () => {
    const { folder, remove } = scratch();
    try {
      const image = fixture('sev-snp-measure/ovmf_AmdSev_suffix.bin');
      fs.writeFileSync(path.join(folder, 'fw'), image);
      const found: library.Inspection = library.inspectFirmware(image);
      const verdicts: library.Verdicts = found.verdicts;
      const { stdout } = await bootseal(['firmware', 'inspect', 'fw', '--json'], folder);
      expect(JSON.parse(stdout).serves).toEqual(verdicts);
      expect(Object.keys(verdicts)).toEqual(Object.keys(library.FEATURES));
      const one: library.Verdict = library.servesPlatform(image, found.firmware, 'snp');
      const answer: library.Answer = one.answer;
      expect(answer).toBe(verdicts.snp.answer);
      expect(Object.keys(library.CONTENTS)).toContain(found.contents);
    } finally {
      remove();
    }
  });
});
