import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bootseal, scratch } from '../cli/script.ts';
import { describeWith } from '../needs.ts';

const COMPRESS: readonly (readonly [name: string, program: string, ...args: string[]])[] = [
  ['gzip', '/usr/bin/gzip', '-c'],
  ['bzip2', '/usr/bin/bzip2', '-c'],
  ['lzma', '/usr/bin/xz', '--format=lzma', '-c'],
  ['xz', '/usr/bin/xz', '--check=crc32', '--block-size=200000', '-c'],
  ['lzo', '/usr/bin/lzop', '-c'],
  ['lz4', '/usr/bin/lz4', '-l', '-qc'],
  ['zstd', '/usr/bin/zstd', '-qc', '-T2'],
];

const needed = {
  name: 'cpio with bzip2, lz4, lzop, xz and zstd',
  files: ['/usr/bin/cpio', ...COMPRESS.map(([, program]) => program ?? '')],
  how: 'apt-get install cpio bzip2 lz4 lzop xz-utils zstd',
};

let folder: string;
let remove: () => void;
const at = (name: string) => path.join(folder, name);
const run = (program: string, args: readonly string[], input?: Uint8Array, cwd = folder) =>
  execFileSync(program, args, { cwd, maxBuffer: 1 << 28, ...(input === undefined ? {} : { input }) });

/** Some megabytes, half of which compress: more than a block of each format. */
function fill(tree: string): void {
  fs.mkdirSync(path.join(tree, 'usr/lib/deep/er'), { recursive: true });
  fs.symlinkSync('usr/lib', path.join(tree, 'lib'));
  const noise = Uint8Array.from({ length: 1_500_000 }, (_, i) => (i * 2654435761) >>> 11);
  fs.writeFileSync(path.join(tree, 'usr/lib/noise'), noise);
  fs.writeFileSync(path.join(tree, 'usr/lib/deep/er/zeros'), new Uint8Array(9_000_000));
  fs.writeFileSync(path.join(tree, 'usr/lib/shared'), 'one file');
  fs.linkSync(path.join(tree, 'usr/lib/shared'), path.join(tree, 'usr/lib/again'));
}

describeWith(needed, 'initrds of GNU cpio and the programs that compress them', () => {
  let plain: Uint8Array;
  beforeAll(() => {
    ({ folder, remove } = scratch());
    fill(at('tree'));
    const names = run('/usr/bin/find', ['.'], undefined, at('tree'));
    plain = run('/usr/bin/cpio', ['-o', '-H', 'newc', '--quiet'], names, at('tree'));
    fs.writeFileSync(at('none.img'), plain);
    fs.writeFileSync(at('added'), 'added content');
    for (const [name, program = '', ...args] of COMPRESS)
      fs.writeFileSync(at(`${name}.img`), run(program, args, plain));
  });
  afterAll(() => remove());

  it.each(['none', ...COMPRESS.map(([name]) => name)])(
    '%s: is inspected, added to and still read by cpio',
    async (name) => {
      const seen = await bootseal(['initrd', 'inspect', `${name}.img`, '--json'], folder);
      expect(seen.stderr).toBe('');
      const [segment] = JSON.parse(seen.stdout).segments;
      expect(segment).toMatchObject({ offset: 0, compression: name, endKnown: !['bzip2', 'lzma'].includes(name) });
      // Of hard links GNU cpio gives the content to the last.
      expect(segment.content).toMatchObject({ members: 10, bytes: 1_500_000 + 9_000_000 + 8 + 7 });
      if (name !== 'none') expect(segment.bytes).toBe(fs.statSync(at(`${name}.img`)).size);

      const add = await bootseal(
        [
          'initrd',
          'add',
          '--base',
          `${name}.img`,
          '--file',
          'lib/new/file=added,0755',
          '--out',
          `${name}.new`,
          '--json',
        ],
        folder,
      );
      expect(add.stderr).toBe('');
      const { offset, bytes } = JSON.parse(add.stdout).segment;
      const made = fs.readFileSync(at(`${name}.new`));
      expect(offset % 4).toBe(0);
      expect(made.length).toBe(offset + bytes);
      const base = fs.readFileSync(at(`${name}.img`));
      expect(made.subarray(0, base.length).equals(base)).toBe(true);
      expect(made.subarray(base.length, offset).every((byte) => byte === 0)).toBe(true);

      const out = at(`${name}.out`);
      fs.mkdirSync(out);
      run('/usr/bin/cpio', ['-i', '-d', '--quiet', '--preserve-modification-time'], made.subarray(offset), out);
      expect(fs.readFileSync(path.join(out, 'usr/lib/new/file'), 'utf8')).toBe('added content');
      expect(fs.statSync(path.join(out, 'usr/lib/new/file')).mode & 0o777).toBe(0o755);
      expect(fs.statSync(path.join(out, 'usr/lib/new/file')).mtimeMs).toBe(0);
      expect(fs.existsSync(path.join(out, 'lib'))).toBe(false);

      const again = JSON.parse((await bootseal(['initrd', 'inspect', `${name}.new`, '--json'], folder)).stdout);
      const found = again.segments.map((one: { offset: number }) => one.offset);
      expect(found).toEqual(segment.endKnown ? [0, offset] : [0]);
    },
  );

  it('does not replace one of several names', async () => {
    const ran = await bootseal(
      ['initrd', 'add', '--base', 'gzip.img', '--file', 'lib/again=added', '--out', 'no.img'],
      folder,
    );
    expect(ran.status).toBe(2);
    expect(ran.stderr).toContain('is one of several names of one file');
  });
});
