/** @module An initrd for guests of the lab: files of a system, and files of the caller. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { encodeMember, encodeTrailer, FILE_TYPE, fill } from '../../core/archive/cpio.ts';
import { concat } from '../../core/bytes.ts';
import { filterProgram } from '../../host/program.ts';
import { readSystemFile, type SystemKernel, type SystemPath, withDependencies, withLibraries } from './system.ts';

/** What goes into an initrd. */
export interface InitrdContent {
  /** Programs of the system; their libraries come along. */
  readonly programs: readonly SystemPath[];
  /** Modules of the kernel; those that they need come along. /modules names all of them, in the order to load them in. */
  readonly modules: readonly string[];
  /** Other files, all executable, and where they are. */
  readonly files: Readonly<Record<string, string | Buffer>>;
  /** Symbolic links and their targets. */
  readonly links?: Readonly<Record<string, string>>;
}

/** Folders that every initrd has. */
const FOLDERS = [
  ...['dev', 'etc', 'mnt', 'proc', 'root', 'run', 'sys', 'tmp'],
  ...['usr', 'usr/bin', 'usr/sbin', 'usr/lib', 'usr/lib64'],
];
/** As in Debian. */
const LINKS = { bin: 'usr/bin', sbin: 'usr/sbin', lib: 'usr/lib', lib64: 'usr/lib64' };

interface Member {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Writes an initrd, uncompressed. Throws as withLibraries and withDependencies, `tool` when a module cannot be decompressed. */
export async function writeInitrd(
  root: string,
  kernel: SystemKernel,
  file: string,
  { programs, modules, files, links = {} }: InitrdContent,
): Promise<void> {
  const members = new Map<string, Member>();
  const add = (name: string, type: number, data: Uint8Array) => {
    for (let parent = path.dirname(name); parent !== '.'; parent = path.dirname(parent)) {
      if (!members.has(parent)) add(parent, FILE_TYPE.directory, Buffer.of());
    }
    members.set(name, { type, data });
  };
  for (const folder of FOLDERS) add(folder, FILE_TYPE.directory, Buffer.of());
  for (const [name, target] of Object.entries({ ...LINKS, ...links })) add(name, FILE_TYPE.link, Buffer.from(target));
  const inUsr = (name: SystemPath) => name.replace(/^(bin|sbin|lib|lib64)\//, 'usr/$1/');
  for (const name of withLibraries(root, programs)) add(inUsr(name), FILE_TYPE.file, readSystemFile(root, name));
  const loaded: string[] = [];
  for (const name of withDependencies(root, kernel, modules)) {
    const module = inUsr(name).replace(/\.ko\.\w+$/, '.ko');
    add(module, FILE_TYPE.file, await readModule(root, name));
    loaded.push(`/${module}\n`);
  }
  for (const [name, data] of Object.entries(files)) add(name, FILE_TYPE.file, Buffer.from(data));
  add('modules', FILE_TYPE.file, Buffer.from(loaded.join('')));
  write(file, members);
}

/** Kernels since Debian 13 have compressed ones, which busybox cannot load. */
async function readModule(root: string, name: SystemPath): Promise<Uint8Array> {
  const bytes = readSystemFile(root, name);
  if (name.endsWith('.gz')) return zlib.gunzipSync(bytes);
  const program = name.endsWith('.xz') ? XZ : name.endsWith('.zst') ? ZSTD : undefined;
  if (program === undefined) return bytes;
  const pieces: Uint8Array[] = [];
  const stored = (async function* () {
    yield bytes;
  })();
  for await (const piece of filterProgram(program, { args: ['-dc'] }, stored)) pieces.push(piece);
  return concat(...pieces);
}

const XZ = { name: 'xz', package: 'xz-utils' };
const ZSTD = { name: 'zstd', package: 'zstd' };

function write(file: string, members: ReadonlyMap<string, Member>): void {
  const fd = fs.openSync(file, 'w');
  try {
    let inode = 1;
    // Shorter paths first: a folder stands before what is in it.
    for (const [name, { type, data }] of [...members].sort(([a], [b]) => a.split('/').length - b.split('/').length)) {
      const mode = type | (type === FILE_TYPE.link ? 0o777 : 0o755);
      fs.writeSync(fd, encodeMember({ name, mode, size: data.length }, inode++));
      fs.writeSync(fd, data);
      fs.writeSync(fd, new Uint8Array(fill(data.length)));
    }
    fs.writeSync(fd, encodeTrailer());
  } finally {
    fs.closeSync(fd);
  }
}
