/** @module An initrd made by a test: files of the guests' tree and files that stand in the test. */
import * as fs from 'node:fs';
import * as path from 'node:path';
import { encodeMember, encodeTrailer, FILE_TYPE, fill } from '../../src/core/archive/cpio.ts';
import { inTree, type TreePath, withDependencies, withLibraries } from './guest-tree.ts';

/** What goes into an initrd. */
export interface InitrdContent {
  /** Programs of the tree; their libraries come along. */
  readonly programs: readonly TreePath[];
  /** Modules of the kernel; those that they need come along. /modules names all of them, in the order to load them in. */
  readonly modules: readonly string[];
  /** Other files, all executable, and where they are. */
  readonly files: Readonly<Record<string, string | Buffer>>;
  /** Symbolic links and their targets. */
  readonly links?: Readonly<Record<string, string>>;
}

/** Folders that every initrd has. */
const FOLDERS = [
  'dev',
  'etc',
  'mnt',
  'proc',
  'root',
  'run',
  'sys',
  'tmp',
  'usr',
  'usr/bin',
  'usr/sbin',
  'usr/lib',
  'usr/lib64',
];
/** As in the tree. */
const LINKS = { bin: 'usr/bin', sbin: 'usr/sbin', lib: 'usr/lib', lib64: 'usr/lib64' };

/** Writes an initrd, uncompressed. */
export function writeInitrd(file: string, { programs, modules, files, links = {} }: InitrdContent): void {
  const loaded = withDependencies(modules);
  const members = new Map<string, { readonly type: number; readonly data: Buffer }>();
  const add = (name: string, type: number, data: Buffer) => {
    for (let parent = path.dirname(name); parent !== '.'; parent = path.dirname(parent)) {
      if (!members.has(parent)) add(parent, FILE_TYPE.directory, Buffer.of());
    }
    members.set(name, { type, data });
  };
  for (const folder of FOLDERS) add(folder, FILE_TYPE.directory, Buffer.of());
  for (const [name, target] of Object.entries({ ...LINKS, ...links })) add(name, FILE_TYPE.link, Buffer.from(target));
  for (const name of [...withLibraries(programs), ...loaded]) {
    add(name.replace(/^(bin|sbin|lib|lib64)\//, 'usr/$1/'), FILE_TYPE.file, fs.readFileSync(inTree(name)));
  }
  for (const [name, data] of Object.entries(files)) add(name, FILE_TYPE.file, Buffer.from(data));
  add('modules', FILE_TYPE.file, Buffer.from(loaded.map((name) => `/${name}\n`).join('')));
  write(file, members);
}

function write(file: string, members: ReadonlyMap<string, { readonly type: number; readonly data: Buffer }>): void {
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
