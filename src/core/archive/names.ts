/** @module The names of files in a tree: one file may have several. */
import { type Directory, type Inode, isDirectory, type Node, walkTree } from './tree.ts';

/** Returns all names of each file, the root's first, in the order in which they are made: the first one is made, the others are linked to it. */
export function namesOf(tree: Directory): ReadonlyMap<Inode, readonly string[]> {
  const names = new Map<Inode, string[]>([[tree.inode, ['']]]);
  const inodeOf = (node: Node): Inode => (isDirectory(node) ? node.inode : node);
  for (const { path, node } of walkTree(tree)) {
    const known = names.get(inodeOf(node));
    if (known === undefined) names.set(inodeOf(node), [path]);
    else known.push(path);
  }
  return names;
}
