import * as fs from 'node:fs';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { fixture } from '../fixtures.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');
const LIBRARY = path.join(ROOT, 'src', 'index.ts');
const example = /```ts\n([\s\S]*?)```/.exec(fs.readFileSync(path.join(ROOT, 'docs', 'library.md'), 'utf8'))?.[1] ?? '';

/** What the compiler says of the example under the project's own settings, with `bootseal` as the library's source. */
function complaints(source: string): readonly string[] {
  const file = path.join(ROOT, 'docs', 'example.ts');
  const config = ts.readConfigFile(path.join(ROOT, 'tsconfig.json'), ts.sys.readFile).config as {
    compilerOptions: object;
  };
  const { options } = ts.convertCompilerOptionsFromJson(
    { ...config.compilerOptions, paths: { bootseal: [LIBRARY] } },
    ROOT,
  );
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists, getSourceFile } = host;
  host.readFile = (name) => (name === file ? source : readFile(name));
  host.fileExists = (name) => name === file || fileExists(name);
  host.getSourceFile = (name, version, ...rest) =>
    name === file ? ts.createSourceFile(name, source, version) : getSourceFile(name, version, ...rest);
  return ts
    .getPreEmitDiagnostics(ts.createProgram([file], options, host))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

describe('the example of docs/library.md', () => {
  it('compiles', () => {
    expect(complaints(example)).toEqual([]);
    expect(complaints(example.replace("'sev-es'", "'sgx'")).join()).toContain('sgx');
  });

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
        release(firmware: string, kernel: string): string;
      };
      expect(found.release(firmware, kernel)).toBe('2 vCPUs, table of 3072 bytes');
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
    } finally {
      remove();
    }
  });
});
