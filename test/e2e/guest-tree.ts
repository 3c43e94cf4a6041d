/** @module The tree of Debian packages that guests are made of (bin/setup/guest-packages.js): programs, libraries, a kernel. */
import * as fs from 'node:fs';
import { createRequire } from 'node:module';
import * as path from 'node:path';
import type { Needed } from '../needs.ts';
import { neededBy } from './elf.ts';

const { GUEST_TREE } = createRequire(import.meta.url)('../../bin/setup/guest-packages.js') as { GUEST_TREE: string };

/** What tests with a guest need. */
export const GUEST: Needed = {
  name: 'QEMU, or the Debian packages of a guest,',
  files: ['/usr/bin/qemu-system-x86_64', GUEST_TREE],
  how: 'run npm test as root once, or install qemu-system-x86 and run node bin/setup.js test',
};

/** A file that goes into an initrd under the same path as in the tree; paths begin with no slash. */
export type TreePath = string;

/** Returns the real place of a file of the tree. */
export const inTree = (name: TreePath): string => path.join(GUEST_TREE, name);

/** The version of the kernel in the tree, as `uname -r` says it. */
export const kernelVersion = (): string => fs.readdirSync(inTree('usr/lib/modules'))[0] ?? '';
/** The kernel in the tree. */
export const kernelFile = (): string => inTree(`boot/vmlinuz-${kernelVersion()}`);

const LIBRARIES = ['usr/lib/x86_64-linux-gnu', 'usr/lib'];

/** Returns programs with their loader and all libraries that they need. */
export function withLibraries(programs: readonly TreePath[]): readonly TreePath[] {
  const found = new Set<TreePath>();
  const waiting = [...programs];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    const { libraries, loader } = neededBy(inTree(name));
    if (loader !== undefined) waiting.push(loader.slice(1));
    waiting.push(...libraries.map(findLibrary));
  }
  return [...found];
}

function findLibrary(name: string): TreePath {
  const folder = LIBRARIES.find((lib) => fs.existsSync(inTree(path.join(lib, name))));
  if (folder === undefined) throw new Error(`no library ${name} in ${GUEST_TREE}`);
  return path.join(folder, name);
}

/** Returns modules of the kernel and all that they depend on, in the order in which they can be loaded. */
export function withDependencies(modules: readonly string[]): readonly TreePath[] {
  const folder = `usr/lib/modules/${kernelVersion()}`;
  const dependencies = new Map<string, readonly string[]>();
  const files = new Map<string, string>();
  for (const line of fs
    .readFileSync(inTree(`${folder}/modules.dep`), 'utf8')
    .trim()
    .split('\n')) {
    const [file = '', needed = ''] = line.split(':');
    dependencies.set(file, needed.split(' ').filter(Boolean));
    files.set(path.basename(file, '.ko').replaceAll('-', '_'), file);
  }
  const builtIn = fs.readFileSync(inTree(`${folder}/modules.builtin`), 'utf8').replaceAll('-', '_');
  const ordered = new Set<string>();
  for (const module of modules) {
    const name = module.replaceAll('-', '_');
    const file = files.get(name);
    if (file === undefined) {
      if (builtIn.includes(`/${name}.ko`)) continue;
      throw new Error(`the kernel ${kernelVersion()} has no module ${module}`);
    }
    // modules.dep names all of them, the nearest first.
    for (const needed of [...(dependencies.get(file) ?? [])].reverse()) ordered.add(needed);
    ordered.add(file);
  }
  return [...ordered].map((file) => `${folder}/${file}`);
}
