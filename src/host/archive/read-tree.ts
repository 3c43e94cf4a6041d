/** @module The files that archives hold together, and their contents: first all that is said of them is read and checked, then they are read again. */
import { createHash } from 'node:crypto';
import type { Entry } from '../../core/archive/entry.ts';
import { readTar } from '../../core/archive/read-tar.ts';
import {
  addEntry,
  type Directory,
  emptyTree,
  type Inode,
  isDirectory,
  overlay,
  walkTree,
} from '../../core/archive/tree.ts';
import { addLayer } from '../../core/archive/whiteout.ts';
import { BootsealError } from '../../core/errors.ts';
import type { FileContent } from '../filesystem/fill-tree.ts';
import type { TarFile } from './tar-file.ts';

/** How archives are read. */
export interface ReadTreeOptions {
  /** Whether they are layers of a container image, of known digests, of which each may take away what those before it brought. */
  readonly layers: boolean;
  /** Whether everything belongs to root, whatever they say. */
  readonly ownedByRoot: boolean;
  readonly stop?: AbortSignal | undefined;
}

/** The files of some archives. */
export interface ArchiveTree {
  readonly tree: Directory;
  /** Bytes of all contents. */
  readonly bytes: number;
  /** Reads the contents: throws `io` when an archive is not what it was. */
  contents(): AsyncGenerator<FileContent>;
}

/** Reads what archives say, each over those before it. Throws `format` naming the entry that is not acceptable. */
export async function readTree(archives: readonly TarFile[], options: ReadTreeOptions): Promise<ArchiveTree> {
  const tree = emptyTree();
  const fingerprints: string[] = [];
  for (const [number, archive] of archives.entries()) {
    const over = overlay(tree, number, archive.name);
    const entries: Entry[] = [];
    const { fingerprint } = await readAll(archive, options, async (entry) => {
      const owned = options.ownedByRoot ? { ...entry, uid: 0, gid: 0 } : entry;
      if (options.layers) entries.push(owned);
      else addEntry(over, owned, entries.push(owned) - 1);
    });
    if (options.layers) addLayer(over, entries);
    fingerprints.push(fingerprint);
  }
  const files = filesOf(tree);
  return {
    tree,
    bytes: [...files.values()].reduce((sum, inode) => sum + inode.size, 0),
    contents: () => readContents(archives, files, fingerprints, options),
  };
}

const placeName = (archive: number, entry: number): string => `${archive}:${entry}`;

/** The files of a tree by the place of their content. */
function filesOf(tree: Directory): ReadonlyMap<string, Inode> {
  const files = new Map<string, Inode>();
  for (const { node } of walkTree(tree)) {
    if (isDirectory(node) || node.kind !== 'file') continue;
    files.set(placeName(node.place.archive, node.place.entry), node);
  }
  return files;
}

async function* readContents(
  archives: readonly TarFile[],
  files: ReadonlyMap<string, Inode>,
  fingerprints: readonly string[],
  { layers, stop }: ReadTreeOptions,
): AsyncGenerator<FileContent> {
  const reading = { needsEnd: !layers };
  for (const [number, archive] of archives.entries()) {
    const fingerprint = newFingerprint();
    const open = await archive.open();
    try {
      let count = 0;
      for await (const { entry, content } of readTar(open.source, archive.name, reading)) {
        stop?.throwIfAborted();
        fingerprint.add(entry);
        const inode = files.get(placeName(number, count++));
        if (inode === undefined) continue;
        if (entry.size !== inode.size) throw changed(archive);
        yield { inode, content };
      }
      await open.finish();
    } finally {
      await open.close();
    }
    if (fingerprint.end() !== fingerprints[number]) throw changed(archive);
  }
}

function changed({ name }: TarFile): BootsealError {
  return new BootsealError('io', `${name} was changed while it was read`, {
    hint: 'make the disk from files that nothing writes to, such as a copy or a snapshot',
  });
}

async function readAll(
  archive: TarFile,
  { layers, stop }: ReadTreeOptions,
  take: (entry: Entry) => Promise<void>,
): Promise<{ fingerprint: string }> {
  const reading = { needsEnd: !layers };
  const fingerprint = newFingerprint();
  const open = await archive.open();
  try {
    for await (const { entry } of readTar(open.source, archive.name, reading)) {
      stop?.throwIfAborted();
      fingerprint.add(entry);
      await take(entry);
    }
    await open.finish();
  } finally {
    await open.close();
  }
  return { fingerprint: fingerprint.end() };
}

/** What archives say, in short: whether it is the same when they are read again. */
function newFingerprint() {
  const hash = createHash('sha256');
  return {
    add({ xattrs, ...entry }: Entry): void {
      const attributes = [...xattrs].map(([name, value]) => [name, Buffer.from(value).toString('hex')]);
      hash.update(`${JSON.stringify([entry, attributes])}\n`);
    },
    end: () => hash.digest('hex'),
  };
}
