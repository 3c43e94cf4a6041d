/** @module A Debian system that guests are made of: the machine's own, or a folder into which packages were unpacked. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { BootsealError } from '../../core/errors.ts';
import { ioError } from '../../host/io-error.ts';
import { neededBy } from './elf.ts';

/** A file of a system; begins with no slash. */
export type SystemPath = string;

/** A kernel of a system. */
export interface SystemKernel {
  /** As `uname -r` says it. */
  readonly version: string;
  readonly file: SystemPath;
  /** Folder of its modules. */
  readonly modules: SystemPath;
}

const LIBRARIES = [
  ...['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu', 'usr/lib64', 'lib64', 'usr/lib', 'lib'],
  // Those of systemd alone, which it finds by a path in its own file.
  'usr/lib/x86_64-linux-gnu/systemd',
];
const MODULES = ['usr/lib/modules', 'lib/modules'];
const PROGRAMS = ['usr/bin', 'usr/sbin', 'bin', 'sbin'];

/** Returns the program with this name; undefined when the system has none. */
export function findProgram(root: string, name: string): SystemPath | undefined {
  return PROGRAMS.map((folder) => path.join(folder, name)).find((file) => isThere(root, file));
}

/** Returns the newest kernel that stands there with its modules; undefined when there is none. */
export function findKernel(root: string): SystemKernel | undefined {
  const found = MODULES.flatMap((folder) => {
    const versions = isThere(root, folder) ? fs.readdirSync(path.join(root, folder)) : [];
    return versions.map((version) => ({
      version,
      file: `boot/vmlinuz-${version}`,
      modules: path.join(folder, version),
    }));
  });
  const whole = found.filter(({ file, modules }) => isThere(root, file) && isThere(root, `${modules}/modules.dep`));
  const byVersion = new Intl.Collator('en', { numeric: true });
  return whole.sort((a, b) => byVersion.compare(b.version, a.version))[0];
}

function isThere(root: string, name: SystemPath): boolean {
  return fs.existsSync(path.join(root, name));
}

/** Reads a file of a system; throws `io`. */
export function readSystemFile(root: string, name: SystemPath): Buffer {
  const file = path.join(root, name);
  try {
    return fs.readFileSync(file);
  } catch (cause) {
    throw ioError(cause, file, 'read');
  }
}

/** Returns programs with their loader and all libraries that they need. Throws `tool` when one is missing, `format`, `io`. */
export function withLibraries(root: string, programs: readonly SystemPath[]): readonly SystemPath[] {
  const found = new Set<SystemPath>();
  const waiting = [...programs];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    const { libraries, loader } = neededBy(readSystemFile(root, name), path.join(root, name));
    if (loader !== undefined) waiting.push(loader.slice(1));
    waiting.push(...libraries.map((library) => findLibrary(root, library)));
  }
  return [...found];
}

function findLibrary(root: string, name: string): SystemPath {
  const file = LIBRARIES.map((folder) => path.join(folder, name)).find((library) => isThere(root, library));
  if (file === undefined) {
    throw new BootsealError('tool', `there is no library ${name} in ${root}`, {
      hint: `apt-file search ${name} says in which package of Debian it is: install it, or unpack it there`,
    });
  }
  return file;
}

/**
 * Returns modules of a kernel and all that they depend on, in the order in which they can be loaded; what is built in is left out. Throws `tool`
 * for a module that the kernel has not, `io`.
 */
export function withDependencies(
  root: string,
  { version, modules: folder }: SystemKernel,
  modules: readonly string[],
): readonly SystemPath[] {
  const dependencies = new Map<string, readonly string[]>();
  const files = new Map<string, string>();
  for (const line of readSystemFile(root, `${folder}/modules.dep`).toString().trim().split('\n')) {
    const [file = '', needed = ''] = line.split(':');
    dependencies.set(file, needed.split(' ').filter(Boolean));
    files.set(moduleName(file), file);
  }
  const builtIn = readSystemFile(root, `${folder}/modules.builtin`).toString().split('\n').map(moduleName);
  const ordered = new Set<string>();
  for (const module of modules) {
    const name = moduleName(module);
    const file = files.get(name);
    if (file === undefined) {
      if (builtIn.includes(name)) continue;
      throw new BootsealError('tool', `the kernel ${version} has no module ${module}`, {
        hint: "take a kernel of Debian's package linux-image-amd64",
      });
    }
    // modules.dep names all of them, the nearest first.
    for (const needed of [...(dependencies.get(file) ?? [])].reverse()) ordered.add(needed);
    ordered.add(file);
  }
  return [...ordered].map((file) => `${folder}/${file}`);
}

/** The kernel takes - and _ in names of modules for the same. */
function moduleName(file: string): string {
  return path
    .basename(file)
    .replace(/\.ko(\.\w+)?$/, '')
    .replaceAll('-', '_');
}
