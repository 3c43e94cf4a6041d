/** @module Whether an EROFS file system has the files of a tree, in all that a program was told and did not read by itself. */
import { shownPath } from '../archive/entry.ts';
import { latin1 } from '../archive/tar-header.ts';
import { type Directory, type Inode, isDirectory, type Node } from '../archive/tree.ts';
import { BootsealError } from '../errors.ts';
import { TYPE_BITS } from './debugfs.ts';
import { type ErofsInode, type ReadErofs, readErofs } from './read-erofs.ts';

/**
 * Compares names, kinds, modes, owners, sizes, devices, attributes, and which names are of one file.
 *
 * @throws `tool` naming the first file that differs; `format` for a file system of another form
 */
export function checkErofsTree(tree: Directory, read: ReadErofs): void {
  const known = new Map<Inode, bigint>();
  const compare = (path: string, node: Node, found: ErofsInode): void => {
    const inode = isDirectory(node) ? node.inode : node;
    const [expected, made] = [describe(inode), words(inode.kind, found)];
    if (expected !== made) throw differs(path, `is ${made} and not ${expected}`);
    const attribute = otherAttribute(inode, found);
    if (attribute !== undefined) throw differs(path, `has not the same attribute ${shownPath(attribute)}`);
    const before = known.get(inode);
    if (before !== undefined && before !== found.nid) throw differs(path, 'is a file of its own');
    known.set(inode, found.nid);
    if (!isDirectory(node)) return;
    const children = found.children();
    for (const name of children.keys())
      if (!node.children.has(name)) throw differs(join(path, name), 'is in no archive');
    for (const [name, child] of node.children) {
      const other = children.get(name);
      if (other === undefined) throw differs(join(path, name), 'is missing');
      compare(join(path, name), child, other);
    }
  };
  compare('', tree, readErofs(read));
  if (new Set(known.values()).size < known.size) throw differs('', 'has one file in place of two');
}

const join = (path: string, name: string): string => (path === '' ? name : `${path}/${name}`);

function differs(path: string, how: string): BootsealError {
  return new BootsealError('tool', `mkfs.erofs was told other files than it made: ${shownPath(path)} ${how}`, {
    hint: 'is it linked statically, or does fakeroot not work here? Debian has both; or take --filesystem ext4',
  });
}

type Described = Pick<ErofsInode, 'mode' | 'uid' | 'gid' | 'size' | 'device'>;

function describe(inode: Inode): string {
  const { kind, target } = inode;
  const { major, minor } = inode.device;
  const device = ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
  const size = BigInt(kind === 'symlink' ? target.length : inode.size);
  return words(kind, { ...inode, mode: TYPE_BITS[kind] | inode.mode, device, size });
}

function words(kind: Inode['kind'], { mode, uid, gid, size, device }: Described): string {
  const hasSize = kind === 'file' || kind === 'symlink';
  const hasDevice = kind === 'character' || kind === 'block';
  const rest = hasSize ? `, ${size} bytes` : hasDevice ? `, device ${device}` : '';
  return `${mode.toString(8)} of ${uid}:${gid}${rest}`;
}

/** Name of an attribute that only one of them has, or has in another way; values are not for messages. */
function otherAttribute({ xattrs }: Inode, found: ErofsInode): string | undefined {
  const names = new Set([...xattrs.keys(), ...found.xattrs.keys()]);
  return [...names].find((name) => {
    const value = xattrs.get(name);
    return value === undefined || latin1(value) !== found.xattrs.get(name);
  });
}
