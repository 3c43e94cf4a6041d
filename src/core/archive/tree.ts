/**
 * @module The files that one archive after another makes, in memory and without their contents: what must not be is refused here,
 * before anything is written.
 */
import { BootsealError } from '../errors.ts';
import { ARCHIVE_AGAIN, type Entry, shownPath } from './entry.ts';

/** Where the content of a file stands: the entry with this number in this archive, both counted from 0. */
export interface Place {
  readonly archive: number;
  readonly entry: number;
}

/** A file, whatever number of names it has. */
export interface Inode extends Omit<Entry, 'path' | 'kind'> {
  readonly kind: Exclude<Entry['kind'], 'link'>;
  /** Where its content stands; only for files. */
  readonly place: Place;
}

/** A directory and what is in it, by name. */
export interface Directory {
  /** Its owner, mode, time and attributes. */
  inode: Inode;
  readonly children: Map<string, Node>;
}

export type Node = Directory | Inode;

/** Says whether a node is a directory. */
export function isDirectory(node: Node | undefined): node is Directory {
  return node !== undefined && 'children' in node;
}

/** Returns a tree of nothing but the root. */
export function emptyTree(): Directory {
  return newDirectory({ ...IMPLIED });
}

/** What a directory is that no archive describes, but that has something in it. */
const IMPLIED: Inode = {
  kind: 'directory',
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
  size: 0,
  target: '',
  device: { major: 0, minor: 0 },
  xattrs: new Map(),
  place: { archive: -1, entry: -1 },
};

const newDirectory = (inode: Inode): Directory => ({ inode, children: new Map() });

/** One archive that is put over a tree, entry by entry. */
export interface Overlay {
  readonly tree: Directory;
  /** Number of the archive. */
  readonly archive: number;
  /** Its name, for messages. */
  readonly name: string;
  /** What this archive has made so far: it may say the same thing twice, but not two things. */
  readonly made: Map<string, Entry['kind']>;
}

/** Starts to put an archive over `tree`. */
export function overlay(tree: Directory, archive: number, name: string): Overlay {
  return { tree, archive, name, made: new Map() };
}

/**
 * Puts entry number `number` into the tree. What archives before this one made in its place is replaced; a directory keeps what is
 * in it when it is made again.
 *
 * @throws `format` for an entry in something that is no directory, also not through a symbolic link; for a second entry of another
 * kind under one path; and for a hard link to nothing or to a directory
 */
export function addEntry(over: Overlay, entry: Entry, number: number): void {
  const where = `${over.name}: ${shownPath(entry.path)}`;
  const before = over.made.get(entry.path);
  if (before !== undefined && before !== entry.kind) {
    throw new BootsealError('format', `${where}: stands there as ${before} and as ${entry.kind}`, ARCHIVE_AGAIN);
  }
  const { path, kind, ...rest } = entry;
  const place = { archive: over.archive, entry: number };
  if (path === '') {
    over.tree.inode = { kind: 'directory', ...rest, place };
  } else {
    const { parent, name } = openParent(over, path, where);
    const present = parent.children.get(name);
    if (kind === 'directory' && isDirectory(present)) present.inode = { kind, ...rest, place };
    else parent.children.set(name, makeNode(over, entry, place, where));
  }
  over.made.set(path, kind);
}

function makeNode(over: Overlay, { path: _path, kind, ...rest }: Entry, place: Place, where: string): Node {
  if (kind === 'directory') return newDirectory({ kind, ...rest, place });
  if (kind !== 'link') return { kind, ...rest, place };
  const other = findNode(over.tree, rest.target);
  if (other === undefined || isDirectory(other)) {
    const why = other === undefined ? 'which is not there' : 'a directory';
    throw new BootsealError('format', `${where}: another name of ${shownPath(rest.target)}, ${why}`, ARCHIVE_AGAIN);
  }
  return other;
}

/** Returns what stands under a path, through directories only; undefined when nothing does. */
export function findNode(tree: Directory, path: string): Node | undefined {
  let node: Node | undefined = tree;
  for (const name of path === '' ? [] : path.split('/')) {
    node = isDirectory(node) ? node.children.get(name) : undefined;
  }
  return node;
}

/** Returns the directory of a path, made where no archive describes it. */
function openParent({ tree, made }: Overlay, path: string, where: string): { parent: Directory; name: string } {
  const names = path.split('/');
  const name = names.pop() ?? '';
  let parent = tree;
  let at = '';
  for (const step of names) {
    at = at === '' ? step : `${at}/${step}`;
    const next = parent.children.get(step);
    if (isDirectory(next)) {
      parent = next;
      continue;
    }
    if (next !== undefined) {
      const what = next.kind === 'symlink' ? 'a symbolic link' : 'no directory';
      throw new BootsealError('format', `${where}: its directory ${shownPath(at)} is ${what}`, ARCHIVE_AGAIN);
    }
    const implied = newDirectory({ ...IMPLIED });
    parent.children.set(step, implied);
    made.set(at, 'directory');
    parent = implied;
  }
  return { parent, name };
}

/** A file in its place. */
export interface Placed {
  readonly path: string;
  readonly node: Node;
}

/** Yields everything below the root, each directory before what is in it, in the order of the bytes of names. */
export function* walkTree(tree: Directory, path = ''): Generator<Placed> {
  const names = [...tree.children.keys()].sort(byBytes);
  for (const name of names) {
    const node = tree.children.get(name);
    if (node === undefined) continue;
    const here = path === '' ? name : `${path}/${name}`;
    yield { path: here, node };
    if (isDirectory(node)) yield* walkTree(node, here);
  }
}

const byBytes = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
