import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { neededBy } from '../../../src/lab/system/elf.ts';
import { writeInitrd } from '../../../src/lab/system/initrd.ts';
import { findKernel, findProgram, withDependencies, withLibraries } from '../../../src/lab/system/system.ts';
import { scratch } from '../../cli/script.ts';
import { hinted } from '../../failure.ts';
import { describeWith } from '../../needs.ts';

let folder: string;
let remove: () => void;
const write = (name: string, bytes: string | Uint8Array) => {
  fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
  fs.writeFileSync(path.join(folder, name), bytes);
};
beforeAll(() => {
  ({ folder, remove } = scratch());
  for (const version of ['6.1.0-9', '6.1.0-56', '6.1.0-100', '7.0']) write(`boot/vmlinuz-${version}`, version);
  for (const version of ['6.1.0-9', '6.1.0-56', '6.1.0-200']) {
    write(
      `lib/modules/${version}/modules.dep`,
      'kernel/a-b.ko.xz: kernel/c.ko.gz kernel/d.ko\nkernel/c.ko.gz: kernel/d.ko\nkernel/d.ko:\n',
    );
    write(`lib/modules/${version}/modules.builtin`, 'kernel/built-in.ko\n');
  }
  write('lib/modules/6.1.0-56/kernel/c.ko.gz', zlib.gzipSync('module c'));
  write('lib/modules/6.1.0-56/kernel/d.ko', 'module d');
  write('usr/sbin/tool', 'no program');
});
afterAll(() => remove());

const kernel = () => findKernel(folder) ?? { version: '', file: '', modules: '' };
const thrown = (work: () => unknown) => {
  try {
    return work();
  } catch (error) {
    return hinted(error).kind;
  }
};

describe('a system', () => {
  it('has as its kernel the newest by number that stands there with its modules', () => {
    expect(kernel()).toEqual({
      version: '6.1.0-56',
      file: 'boot/vmlinuz-6.1.0-56',
      modules: 'lib/modules/6.1.0-56',
    });
    expect(findKernel(path.join(folder, 'boot'))).toBeUndefined();
  });

  it('has programs in the usual places', () => {
    expect(findProgram(folder, 'tool')).toBe('usr/sbin/tool');
    expect(findProgram(folder, 'other')).toBeUndefined();
  });

  it('loads what a module needs before it, and nothing that is built in', () => {
    const modules = ['d', 'c', 'a-b'].map(
      (name, i) => `lib/modules/6.1.0-56/kernel/${name}${['.ko', '.ko.gz', '.ko.xz'][i]}`,
    );
    expect(withDependencies(folder, kernel(), ['a_b', 'built_in', 'd'])).toEqual(modules);
    expect(thrown(() => withDependencies(folder, kernel(), ['built']))).toBe('tool');
  });
});

const PACKERS = { name: 'xz or cpio', files: ['/usr/bin/xz', '/usr/bin/cpio'], how: 'apt-get install xz-utils cpio' };
describeWith(PACKERS, 'an initrd', () => {
  it('has modules as busybox loads them: not compressed', async () => {
    write('lib/modules/6.1.0-56/kernel/a-b.ko.xz', execFileSync('/usr/bin/xz', ['-c'], { input: 'module a' }));
    await writeInitrd(folder, kernel(), path.join(folder, 'initrd'), {
      programs: [],
      modules: ['a-b'],
      files: { x: 'y' },
    });
    execFileSync('/usr/bin/cpio', [
      '-id',
      '--quiet',
      '-D',
      folder,
      '-F',
      path.join(folder, 'initrd'),
      'modules',
      'usr/lib/*',
      'x',
    ]);
    const order = ['d', 'c', 'a-b'].map((name) => `/usr/lib/modules/6.1.0-56/kernel/${name}.ko`);
    expect(fs.readFileSync(path.join(folder, 'modules'), 'utf8').trim().split('\n')).toEqual(order);
    expect(order.map((name) => fs.readFileSync(path.join(folder, name), 'utf8'))).toEqual([
      'module d',
      'module c',
      'module a',
    ]);
  });
});

describe('what a program needs', () => {
  const node = fs.realpathSync(process.execPath);
  const head = () => {
    const bytes = Buffer.alloc(1 << 20);
    const file = fs.openSync(node, 'r');
    fs.readSync(file, bytes, 0, bytes.length, 0);
    fs.closeSync(file);
    return bytes;
  };

  it('are its libraries and loader, as ldd finds them', () => {
    const { libraries, loader } = neededBy(fs.readFileSync('/bin/sh'), 'sh');
    const ldd = execFileSync('/usr/bin/ldd', ['/bin/sh'], { encoding: 'utf8' });
    expect(libraries.length).toBeGreaterThan(0);
    for (const library of [...libraries, loader ?? '?']) expect(ldd).toContain(library);
    expect(withLibraries('/', ['bin/sh'])).toContain(loader?.slice(1));
    expect(thrown(() => withLibraries(folder, ['bin/sh']))).toBe('io');
  });

  it('is nothing for what is no ELF file', () => {
    expect(neededBy(Buffer.from('#!/bin/sh\n'), 'x')).toEqual({ libraries: [], loader: undefined });
    expect(neededBy(Buffer.alloc(0), 'x')).toEqual({ libraries: [], loader: undefined });
  });

  it('is a value or a typed error for any bytes', () => {
    const good = head();
    const sizes = fc.record({
      length: fc.nat(4096),
      flips: fc.array(fc.tuple(fc.nat(1023), fc.nat(255)), { maxLength: 40 }),
    });
    fc.assert(
      fc.property(sizes, ({ length, flips }) => {
        const bytes = Buffer.from(good.subarray(0, length));
        for (const [at, value] of flips) if (at > 3 && at < bytes.length) bytes.writeUInt8(value, at);
        const outcome = thrown(() => neededBy(bytes, 'x'));
        expect(
          outcome === 'format' || (typeof outcome === 'object' && outcome !== null && 'libraries' in outcome),
        ).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
