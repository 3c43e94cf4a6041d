/**
 * @module An archive of files for GNU tar to unpack, entry by entry: POSIX headers, with GNU tar's long names, which are bytes of no
 * certain encoding, and pax records for times and large numbers. Attributes are left out.
 */
import { concat } from '../bytes.ts';
import type { Entry } from './entry.ts';
import { encodePax, type PaxRecords, paxTimeText } from './pax.ts';
import { encodeTarHeader, latin1Bytes, TAR_BLOCK, type TarHeader } from './tar-header.ts';

/** What stands in a tar header for each kind (POSIX.1-2017, pax utility, "ustar Interchange Format"). */
const TYPES: Readonly<Record<Entry['kind'], string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

/** Bytes of a name that fit into a header. */
const SHORT = 100;

/** The largest numbers that seven and eleven octal digits show. */
const MAX_ID = 0o7777777;
const MAX_SIZE = 0o77777777777;

/** Two blocks of zeros. */
export const TAR_END = new Uint8Array(2 * TAR_BLOCK);

/** Returns the header of an entry and what belongs before it; the content follows, then {@link tarPadding}. */
export function encodeTarEntry(entry: Omit<Entry, 'xattrs'>): Uint8Array {
  const { path, target, uid, gid, size } = entry;
  const header = encodeTarHeader({
    ...entry,
    name: path.length > SHORT ? '' : path,
    linkname: target.length > SHORT ? '' : target,
    uid: uid > MAX_ID ? 0 : uid,
    gid: gid > MAX_ID ? 0 : gid,
    size: size > MAX_SIZE ? 0 : size,
    mtime: 0,
    type: TYPES[entry.kind],
  });
  return concat(
    ...(path.length > SHORT ? [extra('L', latin1Bytes(`${path}\0`))] : []),
    ...(target.length > SHORT ? [extra('K', latin1Bytes(`${target}\0`))] : []),
    extra('x', encodePax(recordsOf(entry))),
    header,
  );
}

/** Returns the zeros behind a content of `size` bytes. */
export function tarPadding(size: number): Uint8Array {
  return new Uint8Array((TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK);
}

function recordsOf({ mtime, uid, gid, size }: Omit<Entry, 'xattrs'>): PaxRecords {
  return new Map([
    ['mtime', paxTimeText(mtime)],
    ...(uid > MAX_ID ? [['uid', `${uid}`] as const] : []),
    ...(gid > MAX_ID ? [['gid', `${gid}`] as const] : []),
    ...(size > MAX_SIZE ? [['size', `${size}`] as const] : []),
  ]);
}

/** An entry about the one after it. */
function extra(type: string, content: Uint8Array): Uint8Array {
  const nothing: TarHeader = {
    ...{ name: 'more', mode: 0o600, uid: 0, gid: 0, mtime: 0, linkname: '', device: { major: 0, minor: 0 } },
    type,
    size: content.length,
  };
  return concat(encodeTarHeader(nothing), content, tarPadding(content.length));
}
