/** @module The members of a cpio archive, one after another, of an archive that may be hostile. */
import { BootsealError } from '../errors.ts';
import { decodeUtf8 } from '../utf8.ts';
import { CpioHeader, FILE_TYPE, fill, INITRD_AGAIN, MAX_NAME, TRAILER } from './cpio.ts';
import { pass, passZeros, type Source, take } from './source.ts';

/** A member as it was read. */
export interface Member {
  /** Path from the root: without "./" or slashes before it; what is not UTF-8 stands as one letter a byte. */
  readonly name: string;
  /** Type and permission bits. */
  readonly mode: number;
  /** Bytes of data. */
  readonly size: number;
  /** Names that the file has; 1 unless it is a hard link. */
  readonly links: number;
  /** Where a link leads; undefined for all else. */
  readonly target: string | undefined;
}

/** Members that an initrd may have: some ten times what the largest in use have. */
export const MAX_MEMBERS = 1 << 18;

/**
 * Yields the members of one archive and passes it with its trailer. Throws `format` where it is broken, and beyond `most` members.
 */
export async function* readCpio(source: Source, most = MAX_MEMBERS): AsyncGenerator<Member> {
  const start = source.position;
  for (let count = 0; count <= most; count++) {
    const where = `cpio member ${count + 1} at byte ${source.position}`;
    const header = CpioHeader.unpack(await take(source, CpioHeader.size, where));
    if (header.nameSize === 0 || header.nameSize > MAX_NAME) {
      throw new BootsealError('format', `${where}: a name of ${header.nameSize} bytes`, INITRD_AGAIN);
    }
    const name = nameText(await take(source, header.nameSize, where), where);
    await pass(source, fill(source.position - start), where);
    if (name === TRAILER) return;
    const isLink = (header.mode & FILE_TYPE.mask) === FILE_TYPE.link;
    if (isLink && header.size > MAX_NAME) {
      throw new BootsealError('format', `${where}: a link of ${header.size} bytes`, INITRD_AGAIN);
    }
    const target = isLink ? text(await take(source, header.size, where)) : undefined;
    // Before the data go by: whoever wants them reads them from the source.
    yield { name: plainName(name), mode: header.mode, size: header.size, links: header.links, target };
    if (!isLink) await pass(source, header.size, where);
    await pass(source, fill(source.position - start), where);
  }
  throw new BootsealError('format', `cpio: more than ${most} members`, INITRD_AGAIN);
}

/** Yields the members of all archives in a decompressed segment. Throws `format` for anything else between them. */
export async function* readCpios(source: Source): AsyncGenerator<Member> {
  while (await passZeros(source)) yield* readCpio(source);
}

function nameText(bytes: Uint8Array, where: string): string {
  if (bytes[bytes.length - 1] !== 0) throw new BootsealError('format', `${where}: no NUL ends its name`, INITRD_AGAIN);
  return text(bytes.subarray(0, bytes.indexOf(0)));
}

function text(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes, 'name');
  } catch {
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  }
}

/** Returns the path as Linux finds it from the root of the initrd. */
export function plainName(name: string): string {
  return name
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}
