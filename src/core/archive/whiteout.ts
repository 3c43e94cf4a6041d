/**
 * @module Layers of container images: an entry whose name says that something of the layers below is gone (OCI image
 * specification 1.1, layer.md, "Whiteouts").
 */

import { BootsealError } from '../errors.ts';
import { type Entry, shownPath } from './entry.ts';
import { addEntry, type Directory, findNode, isDirectory, type Overlay } from './tree.ts';

const PREFIX = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Other names of this form are aufs's own. */
const RESERVED = '.wh..wh.';

/** Something of the layers below that is gone: one path, or all that is in a directory. */
export interface Whiteout {
  readonly path: string;
  readonly what: 'path' | 'contents';
}

/** Returns what an entry of a layer takes away, undefined when it is a file like others. Throws `format` for names without meaning. */
export function whiteoutOf({ path, kind }: Entry, layer: string): Whiteout | undefined {
  const slash = path.lastIndexOf('/');
  const name = path.slice(slash + 1);
  if (!name.startsWith(PREFIX)) return undefined;
  const folder = path.slice(0, Math.max(0, slash));
  if (name === OPAQUE) return { path: folder, what: 'contents' };
  const gone = name.slice(PREFIX.length);
  if (kind !== 'file' || name.startsWith(RESERVED) || gone === '' || gone === '.' || gone === '..') {
    throw new BootsealError('format', `${layer}: ${shownPath(path)}: a whiteout without meaning`, {
      hint: 'build the image again, or unpack it yourself and give the folder with its files',
    });
  }
  return { path: folder === '' ? gone : `${folder}/${gone}`, what: 'path' };
}

/**
 * Puts a whole layer over the tree. Whiteouts come first whatever their place in the layer, since they speak only of the layers
 * below; what they name need not be there.
 *
 * @throws `format` as {@link whiteoutOf} and addEntry
 */
export function addLayer(over: Overlay, entries: readonly Entry[]): void {
  const whiteouts = entries.map((entry) => whiteoutOf(entry, over.name));
  for (const whiteout of whiteouts) if (whiteout !== undefined) takeAway(over.tree, whiteout);
  for (const [number, entry] of entries.entries()) {
    if (whiteouts[number] === undefined) addEntry(over, entry, number);
  }
}

function takeAway(tree: Directory, { path, what }: Whiteout): void {
  const slash = path.lastIndexOf('/');
  const folder = findNode(tree, what === 'contents' ? path : path.slice(0, Math.max(0, slash)));
  if (!isDirectory(folder)) return;
  if (what === 'contents') folder.children.clear();
  else folder.children.delete(path.slice(slash + 1));
}
