/**
 * @module The commands of e2fsprogs' debugfs that make one file in a file system: it writes owners, devices and attributes into the
 * image itself, and so needs no right to make such files on this machine.
 */
import type { Inode } from '../archive/tree.ts';

/** A word of a command line: blanks and quotes in it are kept (e2fsprogs, lib/ss/parse.c). */
export function quoteWord(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/** A path of the file system, which else would be taken for an inode's number when it is `<12>`. */
function pathWord(path: string): string {
  return quoteWord(`/${path}`);
}

/** Opens a directory: new names are made in the one that is open. */
export function openCommand(path: string): string {
  return `cd ${pathWord(path)}`;
}

/** Makes a file of that name in the open directory; `content` is the path of its content on this machine, for files. */
export function makeCommand(name: string, inode: Inode, content: string): string {
  const word = quoteWord(name);
  switch (inode.kind) {
    case 'directory':
      return `mkdir ${word}`;
    case 'symlink':
      return `symlink ${word} ${quoteWord(inode.target)}`;
    case 'fifo':
      return `mknod ${word} p`;
    case 'character':
      return `mknod ${word} c ${inode.device.major} ${inode.device.minor}`;
    case 'block':
      return `mknod ${word} b ${inode.device.major} ${inode.device.minor}`;
    case 'file':
      return `write ${quoteWord(content)} ${word}`;
  }
}

/** Makes one more name of a file, in the open directory. The number of names is not counted: see {@link linksCommand}. */
export function linkCommand(path: string, name: string): string {
  return `ln ${pathWord(path)} ${quoteWord(name)}`;
}

/** Gives a directory room for more names, which `ln` does not do by itself. */
export function expandCommand(path: string): string {
  return `expand_dir ${pathWord(path)}`;
}

/** Says how many names a file has. */
export function linksCommand(path: string, count: number): string {
  return `sif ${pathWord(path)} links_count ${count}`;
}

/** Sets an attribute from a file of this machine. */
export function attributeCommand(path: string, name: string, content: string): string {
  return `ea_set -f ${quoteWord(content)} ${pathWord(path)} ${quoteWord(name)}`;
}

/** What the bits above the permissions say (POSIX, sys/stat.h). */
export const TYPE_BITS: Readonly<Record<Inode['kind'], number>> = {
  fifo: 0o010000,
  character: 0o020000,
  directory: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
};

/** Sets owner, mode and time of last change. */
export function inodeCommands(path: string, { kind, mode, uid, gid, mtime }: Inode): readonly string[] {
  const file = pathWord(path);
  // Linux, Documentation/filesystems/ext4/inodes.rst, "Inode Timestamps": 34 bits of seconds, the upper two beside the nanoseconds.
  const low = mtime.seconds >>> 0;
  const high = (Math.floor((mtime.seconds - (mtime.seconds | 0)) / 2 ** 32) & 3) >>> 0;
  const extra = mtime.nanoseconds * 4 + high;
  return [
    `sif ${file} mode 0${(TYPE_BITS[kind] | mode).toString(8)}`,
    ...(uid === 0 ? [] : [`sif ${file} uid ${uid}`]),
    ...(gid === 0 ? [] : [`sif ${file} gid ${gid}`]),
    `sif ${file} mtime @${low}`,
    `sif ${file} mtime_extra ${extra}`,
  ];
}
