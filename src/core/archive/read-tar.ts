/**
 * @module The entries of a tar archive, one after another, of an archive that may be hostile. What two readers could take for
 * different things is refused: that is how files are smuggled past a check.
 */
import { BootsealError } from '../errors.ts';
import { ARCHIVE_AGAIN, checkLine, type Entry, type EntryKind, entryPath, shownPath } from './entry.ts';
import { type PaxRecords, parsePax, paxInteger, paxTime, paxValue } from './pax.ts';
import { pass, passZeros, type Source, take } from './source.ts';
import { decodeTarHeader, latin1, TAR_BLOCK, type TarHeader } from './tar-header.ts';

/** Entries that an archive may have: some ten times what the largest systems have. */
export const MAX_ENTRIES = 1 << 21;

/** Bytes of a pax header or of a long name: attributes have at most 64 KiB each. */
const MAX_EXTRA = 1 << 20;

/** Bytes of a file: what ext4 can hold in blocks of 4096. */
const MAX_SIZE = 2 ** 44;

const KINDS: Readonly<Record<string, EntryKind>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

/** An entry, and its content while it stands there to be read; what is not read is passed. */
export interface TarMember {
  readonly entry: Entry;
  readonly content: AsyncIterable<Uint8Array>;
}

/** What stands before a header and changes it. */
interface Extra {
  pax?: PaxRecords;
  name?: string;
  linkname?: string;
}

/** How an archive is read. */
export interface TarReading {
  /** Entries that are accepted. */
  readonly most?: number;
  /**
   * Whether an archive is whole only with the blocks of zeros at its end (the default). Layers of some tools lack them (umoci 0.4);
   * their digest tells that nothing is missing.
   */
  readonly needsEnd?: boolean;
}

/** Yields the entries of one archive, up to its end. Throws `format` where it is broken, naming `archive`. */
export async function* readTar(
  source: Source,
  archive: string,
  { most = MAX_ENTRIES, needsEnd = true }: TarReading = {},
): AsyncGenerator<TarMember> {
  let extra: Extra = {};
  for (let count = 0; ; ) {
    const where = `${archive}: entry at byte ${source.position}`;
    if (!needsEnd && Object.keys(extra).length === 0 && (await source.peek(1)).length === 0) return;
    const block = await take(source, TAR_BLOCK, where);
    if (block.every((byte) => byte === 0)) {
      if (Object.keys(extra).length > 0)
        throw new BootsealError('format', `${archive}: ends after half an entry`, ARCHIVE_AGAIN);
      // Some readers stop here and others go on.
      if (await passZeros(source)) {
        throw new BootsealError('format', `${archive}: data follow the end of the archive`, {
          hint: 'make the archive again; tar --concatenate joins two archives, and cat does not',
        });
      }
      return;
    }
    const header = decodeTarHeader(block, where);
    if (await readExtra(source, header, extra, where)) continue;
    if (++count > most) {
      throw new BootsealError('format', `${archive}: more than ${most} entries`, {
        hint: 'make the disk from fewer files',
      });
    }
    const entry = decodeEntry(header, extra, archive);
    extra = {};
    const content = openContent(source, entry.size, where, needsEnd);
    yield { entry, content: content.read() };
    await content.pass();
  }
}

/** Reads what only says something about the entry that follows; returns whether the header was of that kind. */
async function readExtra(source: Source, { type, size }: TarHeader, extra: Extra, where: string): Promise<boolean> {
  const names = { L: 'name', K: 'linkname', x: 'pax', g: undefined } as const;
  if (!(type === 'L' || type === 'K' || type === 'x' || type === 'g')) return false;
  if (size < 0) throw new BootsealError('format', `${where}: size ${size} is not possible`, ARCHIVE_AGAIN);
  if (size > MAX_EXTRA) {
    throw new BootsealError(
      'format',
      `${where}: ${size} bytes about one entry, of which ${MAX_EXTRA} are accepted`,
      ARCHIVE_AGAIN,
    );
  }
  const bytes = new Uint8Array(await take(source, size, where));
  await pass(source, padding(size), where);
  const name = names[type];
  if (name === undefined) {
    checkGlobal(parsePax(bytes, where), where);
    return true;
  }
  if (extra[name] !== undefined)
    throw new BootsealError('format', `${where}: a second ${name} for one entry`, ARCHIVE_AGAIN);
  if (name === 'pax') extra.pax = parsePax(bytes, where);
  else extra[name] = latin1(bytes).split('\0', 1)[0] ?? '';
  return true;
}

/** Some readers apply it to all entries that follow and others do not: only a remark makes no difference. */
function checkGlobal(records: PaxRecords, where: string): void {
  const other = [...records.keys()].find((key) => key !== 'comment');
  if (other !== undefined)
    throw new BootsealError('format', `${where}: a global header that changes entries`, ARCHIVE_AGAIN);
}

function padding(size: number): number {
  return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
}

function decodeEntry(header: TarHeader, { pax = new Map(), name, linkname }: Extra, archive: string): Entry {
  const written = paxValue(pax, 'path') ?? name ?? header.name;
  const where = `${archive}: ${shownPath(written)}`;
  checkOneName(name, pax, 'path', where);
  checkOneName(linkname, pax, 'linkpath', where);
  const kind = KINDS[header.type];
  if (header.type === 'S' || [...pax.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
    throw new BootsealError('format', `${where}: a sparse file`, { hint: 'make the archive without --sparse' });
  }
  if (kind === undefined) throw new BootsealError('format', `${where}: an unknown type of entry`, ARCHIVE_AGAIN);
  // A slash at the end makes a directory of it for some readers.
  if (kind !== 'directory' && written.endsWith('/')) {
    throw new BootsealError('format', `${where}: a name of a directory for what is none`, ARCHIVE_AGAIN);
  }
  const path = entryPath(written, where);
  if (path === '' && kind !== 'directory')
    throw new BootsealError('format', `${where}: the root is no directory`, ARCHIVE_AGAIN);
  const numbers = decodeNumbers(header, pax, where);
  if (kind !== 'file' && numbers.size !== 0) {
    throw new BootsealError('format', `${where}: content in an entry that has none`, ARCHIVE_AGAIN);
  }
  return {
    path,
    kind,
    ...numbers,
    target: decodeTarget(kind, paxValue(pax, 'linkpath') ?? linkname ?? header.linkname, where),
    device: kind === 'character' || kind === 'block' ? checkDevice(header.device, where) : { major: 0, minor: 0 },
    xattrs: decodeXattrs(pax, where),
  };
}

/** GNU tar takes the name of pax, and Go's archive/tar the one of GNU tar. */
function checkOneName(long: string | undefined, pax: PaxRecords, key: string, where: string): void {
  if (long === undefined || !pax.has(key)) return;
  throw new BootsealError('format', `${where}: a long name of GNU tar beside ${key} of pax`, ARCHIVE_AGAIN);
}

/** The largest owner: all ones mean "none" in Linux. */
const MAX_ID = 0xfffffffe;

/** What ext4 can hold (Linux, Documentation/filesystems/ext4/inodes.rst, "Inode Timestamps"). */
const MAX_TIME = 15032385535;
const MIN_TIME = -(2 ** 31);

function decodeNumbers(header: TarHeader, pax: PaxRecords, where: string) {
  const size = paxInteger(pax, 'size', where) ?? header.size;
  const uid = paxInteger(pax, 'uid', where) ?? header.uid;
  const gid = paxInteger(pax, 'gid', where) ?? header.gid;
  const mtime = paxTime(pax, 'mtime', where) ?? { seconds: header.mtime, nanoseconds: 0 };
  const limits: readonly (readonly [string, number, number, number])[] = [
    ['size', size, 0, MAX_SIZE],
    ['owner', uid, 0, MAX_ID],
    ['group', gid, 0, MAX_ID],
    ['time', mtime.seconds, MIN_TIME, MAX_TIME],
  ];
  for (const [what, value, least, most] of limits) {
    if (value < least || value > most) {
      throw new BootsealError('format', `${where}: ${what} ${value} is not possible`, {
        hint: `give the file another ${what}, and make the archive again`,
      });
    }
  }
  // Some archives have the type of the file in the bits above.
  return { mode: header.mode & 0o7777, uid, gid, size, mtime };
}

/** The longest that ext4 keeps in a block of 4096. */
const MAX_TARGET = 4000;

function decodeTarget(kind: EntryKind, target: string, where: string): string {
  if (kind === 'link') return entryPath(target, `${where}: the other name ${shownPath(target)}`);
  if (kind !== 'symlink') return '';
  if (target === '') throw new BootsealError('format', `${where}: a symbolic link to nothing`, ARCHIVE_AGAIN);
  if (target.length > MAX_TARGET) {
    throw new BootsealError('format', `${where}: a link of ${target.length} bytes`, {
      hint: 'let the link lead to a shorter path, and make the archive again',
    });
  }
  checkLine(target, where);
  return target;
}

/** Linux has 12 bits and 20 (include/linux/kdev_t.h), debugfs takes 16 of the latter (e2fsprogs, debugfs/debugfs.c, do_mknod). */
function checkDevice(device: Entry['device'], where: string): Entry['device'] {
  const { major, minor } = device;
  if (major >= 0 && major <= 0xfff && minor > 0xffff && minor <= 0xfffff) {
    throw new BootsealError('format', `${where}: device ${major}:${minor}: debugfs takes no minor number above 65535`, {
      hint: 'leave the device out of the archive; the guest can make it',
    });
  }
  if (major < 0 || major > 0xfff || minor < 0 || minor > 0xffff) {
    throw new BootsealError('format', `${where}: device ${major}:${minor} is not possible`, {
      hint: 'leave the device out of the archive',
    });
  }
  return device;
}

const XATTR = 'SCHILY.xattr.';
const ACL = 'SCHILY.acl.';

/** What ext4 keeps (Linux, fs/ext4/xattr.c); others are of other systems. */
const NAMESPACES = /^(?:(?:user|trusted|security)\.[\s\S]+|system\.posix_acl_(?:access|default))$/;

function decodeXattrs(pax: PaxRecords, where: string): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [key, value] of pax) {
    if (key.startsWith(ACL) && !pax.has(`${XATTR}system.posix_acl_${key.slice(ACL.length)}`)) {
      throw new BootsealError('format', `${where}: an access control list as text`, {
        hint: "make the archive with tar's --xattrs --xattrs-include='*' and without --acls",
      });
    }
    if (!key.startsWith(XATTR)) continue;
    const name = decodeName(key.slice(XATTR.length));
    if (found.has(name))
      throw new BootsealError('format', `${where}: ${shownPath(name)} stands there twice`, ARCHIVE_AGAIN);
    checkLine(name, where);
    if (name.length > MAX_NAME || !NAMESPACES.test(name)) {
      throw new BootsealError('format', `${where}: ext4 has no attribute ${shownPath(name)}`, {
        hint: 'make the archive without it, with --xattrs-exclude of GNU tar',
      });
    }
    found.set(
      name,
      Uint8Array.from(value, (letter) => letter.charCodeAt(0)),
    );
  }
  return found;
}

/** A pax key has no "="; GNU tar writes it, and the sign that it writes for it, in hexadecimal (src/xattrs.c, xattr_encode_keyword). */
const decodeName = (name: string): string => name.replace(/%(?:25|3D)/g, (code) => (code === '%25' ? '%' : '='));

const MAX_NAME = 255;

/** Pieces in which contents are read. */
const PIECE = 1 << 16;

/** The content that stands in `source` now. */
function openContent(source: Source, size: number, where: string, needsEnd: boolean) {
  let left = size;
  return {
    async *read(): AsyncGenerator<Uint8Array> {
      while (left > 0) {
        const piece = await take(source, Math.min(left, PIECE), where);
        left -= piece.length;
        yield piece;
      }
    },
    async pass(): Promise<void> {
      await pass(source, left, where);
      left = 0;
      if (needsEnd) await pass(source, padding(size), where);
      else await source.skip(padding(size));
    },
  };
}
