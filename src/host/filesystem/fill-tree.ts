/** @module The files of a tree, made in an empty ext4 file system by debugfs. */
import { shownPath } from '../../core/archive/entry.ts';
import { checkExt4Attributes } from '../../core/archive/ext4-attributes.ts';
import { namesOf } from '../../core/archive/names.ts';
import { type Directory, type Inode, isDirectory } from '../../core/archive/tree.ts';
import {
  attributeCommand,
  expandCommand,
  inodeCommands,
  linkCommand,
  linksCommand,
  makeCommand,
  openCommand,
} from '../../core/disk/debugfs.ts';
import { BootsealError } from '../../core/errors.ts';
import type { Debugfs } from './debugfs.ts';
import type { Stages } from './stages.ts';

/** What is made. */
export interface Filling {
  readonly tree: Directory;
  /** Yields the content of every file of the tree once, also of those that are empty. */
  contents(): AsyncIterable<FileContent>;
  /** Told now and then how many bytes of contents are done. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** The content of one file. */
export interface FileContent {
  readonly inode: Inode;
  readonly content: AsyncIterable<Uint8Array>;
}

/** mke2fs makes it, for what the checker finds. */
const LOST_FOUND = 'lost+found';

/** Makes all files. Throws `tool` when debugfs cannot, `format` for a lost+found that is no directory. */
export async function fillTree(
  debugfs: Debugfs,
  stages: Stages,
  { tree, contents, onProgress }: Filling,
): Promise<void> {
  const lostFound = tree.children.get(LOST_FOUND);
  if (lostFound !== undefined && !isDirectory(lostFound)) {
    throw new BootsealError('format', '"lost+found" is no directory', {
      hint: 'give it another name: in ext4 it is the folder for what the checker finds',
    });
  }
  const names = namesOf(tree);
  const talk = conversation(debugfs);
  for (const [inode, [path = '']] of names) checkExt4Attributes(path, inode);
  for (const [inode, [path = '']] of names) {
    if (inode.kind === 'file' || path === '' || path === LOST_FOUND) continue;
    await talk.say(path, make(path, inode, ''));
  }
  let done = 0;
  for await (const { inode, content } of contents()) {
    const path = names.get(inode)?.[0] ?? '';
    await stages.put(content, (file) => debugfs.run(make(path, inode, file), shownPath(path)));
    done += inode.size;
    onProgress?.(done);
  }
  await stages.settle();
  for (const [folder, bytes] of linkBytes(names)) await talk.say(folder, expand(folder, bytes));
  for (const [inode, [path = '', ...more]] of names) {
    if (more.length > 0) await talk.say(path, link(path, more));
    for (const [name, value] of inode.xattrs) {
      const set = (file: string) => debugfs.run([attributeCommand(path, name, file)], shownPath(path));
      await stages.put(once(value), set);
    }
    await talk.say(path, inodeCommands(path, inode));
  }
  await stages.settle();
  await talk.end();
}

function make(path: string, inode: Inode, content: string): readonly string[] {
  const { folder, name } = split(path);
  return [openCommand(folder), makeCommand(name, inode, content)];
}

/** Bytes that the second and further names of files take in each directory. */
function linkBytes(names: ReadonlyMap<Inode, readonly string[]>): ReadonlyMap<string, number> {
  const bytes = new Map<string, number>();
  for (const path of [...names.values()].flatMap(([, ...more]) => more)) {
    const { folder, name } = split(path);
    bytes.set(folder, (bytes.get(folder) ?? 0) + ENTRY + name.length);
  }
  return bytes;
}

/** Bytes of a name in a directory beside its letters, filled up to four (Linux, Documentation/filesystems/ext4/directory.rst). */
const ENTRY = 11;

/** Bytes of names that a block surely takes: the rest may be too small for the longest. */
const SURELY = 3800;

/** debugfs makes room for new files, but not for new names of files. */
const expand = (folder: string, bytes: number): readonly string[] =>
  Array.from({ length: Math.ceil(bytes / SURELY) }, () => expandCommand(folder));

function link(path: string, more: readonly string[]): readonly string[] {
  const commands = more.flatMap((other) => {
    const { folder, name } = split(other);
    return [openCommand(folder), linkCommand(path, name)];
  });
  return [...commands, linksCommand(path, more.length + 1)];
}

function split(path: string): { folder: string; name: string } {
  const slash = path.lastIndexOf('/');
  return { folder: path.slice(0, Math.max(0, slash)), name: path.slice(slash + 1) };
}

async function* once(value: Uint8Array): AsyncGenerator<Uint8Array> {
  yield value;
}

/** Commands that are on their way at most. */
const WINDOW = 64;

/** Commands one after another, without waiting for each. */
function conversation(debugfs: Debugfs) {
  const waiting: Promise<void>[] = [];
  const say = async (path: string, commands: readonly string[]): Promise<void> => {
    const run = debugfs.run(commands, shownPath(path));
    run.catch(() => undefined);
    waiting.push(run);
    if (waiting.length > WINDOW) await waiting.shift();
  };
  return {
    say,
    async end() {
      await Promise.all(waiting);
    },
  };
}
