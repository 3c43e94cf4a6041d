/**
 * @module The header of a cpio archive's member in the form that Linux unpacks: "newc" (linux
 * Documentation/driver-api/early-userspace/buffer-format.rst, init/initramfs.c).
 */
import { concat, type Field, layout, magic } from '../bytes.ts';
import { BootsealError } from '../errors.ts';
import { encodeUtf8 } from '../utf8.ts';

/** What to do about an initrd that is broken. */
export const INITRD_AGAIN = {
  hint: 'make the initrd again with the program that made it, such as update-initramfs or dracut',
} as const;

/** A number as eight hexadecimal digits in ASCII. */
const hex8: Field<number> = {
  size: 8,
  encode(value, out, at, where) {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
      throw new BootsealError('format', `${where}: ${value} does not fit in eight hexadecimal digits`, {
        hint: 'a file in an initrd has less than 4 GiB',
      });
    }
    out.set(encodeUtf8(value.toString(16).padStart(8, '0')), at);
  },
  decode(source, at, where) {
    const digits = String.fromCharCode(...source.subarray(at, at + 8));
    if (!/^[0-9a-fA-F]{8}$/.test(digits)) {
      throw new BootsealError('format', `${where}: not eight hexadecimal digits`, INITRD_AGAIN);
    }
    return Number.parseInt(digits, 16);
  },
};

/** One digit: 1, or 2 where `checksum` is filled in. */
const form: Field<1 | 2> = {
  size: 1,
  encode(value, out, at) {
    out[at] = 0x30 + value;
  },
  decode(source, at, where) {
    if (source[at] === 0x31) return 1;
    if (source[at] === 0x32) return 2;
    throw new BootsealError('format', `${where}: neither newc (070701) nor crc (070702)`, INITRD_AGAIN);
  },
};

/** The start of every member; the name follows, then the data, each filled up with zeros to a multiple of 4 from the archive's start. */
export const CpioHeader = layout('cpio header', {
  magic: magic(encodeUtf8('07070')),
  form,
  inode: hex8,
  /** Type and permission bits. */
  mode: hex8,
  uid: hex8,
  gid: hex8,
  links: hex8,
  mtime: hex8,
  /** Bytes of data. */
  size: hex8,
  deviceMajor: hex8,
  deviceMinor: hex8,
  /** Of a device node. */
  nodeMajor: hex8,
  nodeMinor: hex8,
  /** With the NUL that ends the name. */
  nameSize: hex8,
  checksum: hex8,
});

/** Bits of `mode` that say what a member is (inode(7)). */
export const FILE_TYPE = { mask: 0o170000, directory: 0o040000, file: 0o100000, link: 0o120000 } as const;

/** The name of the member that ends an archive. */
export const TRAILER = 'TRAILER!!!';

/** Bytes of a name with its NUL that Linux takes: PATH_MAX. */
export const MAX_NAME = 4096;

/** Returns how many zeros follow `size` bytes. */
export const fill = (size: number): number => (4 - (size % 4)) % 4;

/** A member that is to be written. */
export interface NewMember {
  /** Path from the root, without a slash before it. */
  readonly name: string;
  /** Type and permission bits. */
  readonly mode: number;
  /** Bytes of data: of a file its content, of a link its target. */
  readonly size: number;
}

/**
 * Returns header and name of the member numbered `inode`, up to where its data begin; its data and `fill(size)` zeros follow.
 * Nothing in it depends on when or where it is written. Throws `format` for names and sizes that Linux would pass over.
 */
export function encodeMember(member: NewMember, inode: number): Uint8Array {
  const { name, mode, size } = member;
  const encoded = encodeUtf8(name);
  if (encoded.length === 0 || encoded.length >= MAX_NAME || encoded.includes(0)) {
    throw new BootsealError('format', `cpio: a name needs 1 to ${MAX_NAME - 1} bytes without NUL`, {
      hint: 'choose another path for the file',
    });
  }
  if (name === TRAILER) {
    throw new BootsealError('format', `cpio: no file can be called ${TRAILER}, which ends an archive`, {
      hint: 'choose another path for the file',
    });
  }
  if ((mode & FILE_TYPE.mask) === FILE_TYPE.link && size > MAX_NAME) {
    throw new BootsealError('format', `cpio: the target of a link has at most ${MAX_NAME} bytes`, {
      hint: 'let the link lead to a shorter path',
    });
  }
  return encodeHead(member, inode);
}

/** Returns the member that ends an archive. */
export function encodeTrailer(): Uint8Array {
  return encodeHead({ name: TRAILER, mode: 0, size: 0 }, 0);
}

function encodeHead({ name, mode, size }: NewMember, inode: number): Uint8Array {
  const encoded = encodeUtf8(name);
  const header = CpioHeader.pack({
    form: 1,
    inode,
    mode,
    uid: 0,
    gid: 0,
    links: (mode & FILE_TYPE.mask) === FILE_TYPE.directory ? 2 : 1,
    mtime: 0,
    size,
    deviceMajor: 0,
    deviceMinor: 0,
    nodeMajor: 0,
    nodeMinor: 0,
    nameSize: encoded.length + 1,
    checksum: 0,
  });
  return concat(header, encoded, new Uint8Array(1 + fill(header.length + encoded.length + 1)));
}
